package node

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pointage/ledger"
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

// successor is the machine of a bureau's first sealed envelope, with media of its own.
func (c *commune) successor(n ledger.BureauNumber) *bureau {
	c.t.Helper()
	was := c.bureaux[n]
	code, err := os.ReadFile(c.keys(n, preparation.CodeFile(1)))
	if err != nil {
		c.t.Fatal(err)
	}
	next := &bureau{c: c, number: n, dir: was.dir + "-next", pass: strings.TrimSpace(string(code)), log: &record{}}
	cfg := was.config()
	cfg.Keys, cfg.Data, cfg.Media = c.keys(n, preparation.EnvelopeFile(1)), "data", []string{"disk", "key1", "key2"}
	for _, m := range cfg.Media {
		if err := os.MkdirAll(filepath.Join(next.dir, m), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := Init(next.dir, cfg, next.pass, slog.New(slog.DiscardHandler)); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(next.stop)
	return next
}

func TestSettlingThatWasCutShortIsFinishedAtTheNextStart(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 3)
	first := c.bureaux[2]
	first.start() // it reaches nobody before it dies: what it did is on its keys only
	first.node.host.Close()
	if err := first.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.admits(c.home(2, 0))
	cfg := first.config()
	first.stop()

	next := c.successor(2)
	next.start()
	if err := next.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := next.checkIn(c.home(2, 1)); a.Refusal != ledger.UnfencedOnly {
		t.Errorf("a machine that knows nothing of the one before: %+v", a)
	}
	h, _, err := next.node.read(OldMedia{Bureau: 2, Keys: cfg.Keys, Passphrase: first.pass, Media: []string{cfg.Media[1], cfg.Media[2]}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.node.journal.Settle(t.Context(), h), h.Close()); err != nil {
		t.Fatal(err)
	}
	next.stop() // before it handed anything in, or stated anything
	c.bureaux[2] = next
	for range 2 { // stated once
		next.start()
		c.linked(2)
		next.stop()
	}
	next.start()
	if a := next.checkIn(c.home(2, 0)); a.Admitted {
		t.Error("whom the machine before admitted is admitted again")
	}
	next.admits(c.home(2, 1))
	next.replicates(c.home(2, 1))
	c.until("all of it is in the ledger, and nothing in it is wrong", func() bool {
		rep, err := next.node.Report(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		settled := 0
		for _, a := range rep.Activations {
			if a.Bureau == 2 && a.Settled {
				settled++
			}
		}
		return settled == 1 && rep.Admitted == 2 && len(rep.Misconduct)+len(rep.Double)+len(rep.Forks)+len(rep.Missing)+len(rep.Omissions) == 0
	})
}
