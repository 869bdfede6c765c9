package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pointage/tools/prepare/preparation"
)

// mediaAre waits until the bureau's media stand so.
func (b *bureau) mediaAre(want ...string) {
	b.c.t.Helper()
	b.c.until("media "+strings.Join(want, ", "), func() bool {
		have := b.node.Status().Media
		for i, w := range want {
			if i >= len(have) || !strings.HasPrefix(have[i], w) {
				return false
			}
		}
		return true
	})
}

func TestAKeyThatSlippedOutIsTakenUpAgain(t *testing.T) {
	c := newCommune(t, nil)
	c.opened(1, 2)
	b := c.bureaux[2]
	key := filepath.Join(b.dir, "key2")
	if err := os.Rename(key, key+".out"); err != nil {
		t.Fatal(err)
	}
	b.mediaAre("good", "good", "failed")
	b.admits(c.home(2, 0))
	if err := os.Rename(key+".out", key); err != nil {
		t.Fatal(err)
	}
	b.mediaAre("good", "good", "good")
	b.admits(c.home(2, 1))
	b.stop()
	// The disk and that key alone know everything.
	if err := os.RemoveAll(filepath.Join(b.dir, "key1")); err != nil {
		t.Fatal(err)
	}
	b.start()
	for i := range 2 {
		if a := b.checkIn(c.home(2, i)); a.Admitted {
			t.Errorf("elector %d is admitted again", i)
		}
	}
}

func TestABlankMediumTakesALostKeysPlace(t *testing.T) {
	c := newCommune(t, nil)
	c.opened(1, 2)
	b := c.bureaux[2]
	key := filepath.Join(b.dir, "key2")
	b.admits(c.home(2, 0))
	var input InputError
	if err := b.node.ReplaceMedium(t.Context(), 3); !errors.As(err, &input) {
		t.Errorf("medium 3: %v", err)
	}
	if err := b.node.ReplaceMedium(t.Context(), 2); err == nil {
		t.Error("a medium at work was replaced by itself")
	}
	if err := os.RemoveAll(key); err != nil {
		t.Fatal(err)
	}
	b.mediaAre("good", "good", "failed")
	if err := b.node.ReplaceMedium(t.Context(), 2); !errors.As(err, &input) {
		t.Errorf("nothing attached: %v", err)
	}
	if err := os.Mkdir(key, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.node.ReplaceMedium(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	b.mediaAre("good", "good", "good")
}

func TestTheEveningsKeysAreImportedAtThePrincipalBureau(t *testing.T) {
	c := newCommune(t, nil)
	c.opened(1, 2)
	three := c.bureaux[3]
	c.opened(3)
	three.admits(c.home(3, 0))
	three.stop()
	before := c.bureaux[1].node.Head().Size
	old := OldMedia{
		Bureau: 3, Keys: c.keys(3, preparation.KeysFile), Passphrase: three.pass,
		Media: []string{filepath.Join(three.dir, "key1"), filepath.Join(three.dir, "key2")},
	}
	principal, other := c.prepared().Commune.Principal, c.bureaux[2]
	if other.number == principal || other.number == c.prepared().Commune.Deputy {
		other = nil
	}
	if other != nil {
		if _, err := other.node.Import(t.Context(), old); !errors.Is(err, ErrNotPrincipal) {
			t.Errorf("at another bureau: %v", err)
		}
	}
	wrong := old
	wrong.Passphrase = "another"
	if _, err := c.bureaux[principal].node.Import(t.Context(), wrong); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	for range 2 { // once more does no harm
		got, err := c.bureaux[principal].node.Import(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		if got.Batches == 0 || got.Conflicts+got.Contradicted+got.Rejected > 0 || got.Incomplete != "" {
			t.Errorf("imported %+v", got)
		}
	}
	if after := c.bureaux[1].node.Head().Size; after <= before {
		t.Errorf("the ledger stays at %d entries", after)
	}
	if a := c.bureaux[2].checkIn(c.home(3, 0)); a.Admitted {
		t.Error("an imported elector is admitted again")
	}
}
