package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pointage/ledger"
	"pointage/tools/prepare/preparation"
)

// signing is town's i-th signatory with what opens the key: the principal bureau's, the deputy's, one of
// no bureau.
func (c *commune) signing(i int) Signing {
	c.t.Helper()
	dir := filepath.Join(c.election, "21014")
	keys, err := filepath.Glob(filepath.Join(dir, "signatory-*.age"))
	if err != nil || len(keys) != 3 {
		c.t.Fatal(keys, err)
	}
	key := keys[i-1]
	pass, err := os.ReadFile(filepath.Join(dir, preparation.PassphraseFile+"-"+strings.TrimSuffix(filepath.Base(key), ".age")))
	if err != nil {
		c.t.Fatal(err)
	}
	return Signing{Key: key, Passphrase: strings.TrimSpace(string(pass))}
}

// loses the data of a machine whose media are safe: a spare opens with them.
func (b *bureau) loses(parts ...string) {
	b.c.t.Helper()
	for _, p := range parts {
		if err := os.RemoveAll(filepath.Join(b.dir, "data", p)); err != nil {
			b.c.t.Fatal(err)
		}
	}
}

func TestGroupThatLostItsMajorityForGoodGoesOnInANewEpoch(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	c.opened(1, 2, 3)
	before := c.home(2, 0)
	c.bureaux[2].admits(before)
	c.bureaux[2].replicates(before)
	principal := c.bureaux[1].node
	c.until("the first epoch is anchored", func() bool { return principal.Status().AnchoredSize > 3 })
	if _, err := principal.NextEpoch(t.Context()); err == nil || !strings.Contains(err.Error(), "has a leader") {
		t.Errorf("a new epoch of a group that works: %v", err)
	}

	for _, n := range []ledger.BureauNumber{2, 3} {
		c.bureaux[n].stop()
		c.bureaux[n].loses("ledger", "raft")
		c.bureaux[n].start()
	}
	c.until("nobody leads", func() bool { return principal.Status().Leader == 0 })
	alone := []struct {
		at ledger.BureauNumber
		i  int
	}{{1, 0}, {2, 1}, {3, 0}}
	for _, a := range alone {
		if got := c.bureaux[a.at].admits(c.home(a.at, a.i)); got.Replicated {
			t.Error("replicated without a group")
		}
	}
	for what, signers := range map[string][]Signing{
		"one person": {c.signing(1)}, "one person twice": {c.signing(1), c.signing(1)},
		"a wrong passphrase": {c.signing(1), {Key: c.signing(2).Key, Passphrase: "wrong"}},
	} {
		if _, err := principal.BeginEpoch(t.Context(), signers); err == nil {
			t.Errorf("%s: begun", what)
		}
	}
	if _, err := c.bureaux[3].node.BeginEpoch(t.Context(), []Signing{c.signing(1), c.signing(2)}); err == nil {
		t.Error("a bureau without the log's key began an epoch")
	}
	if _, err := principal.BeginEpoch(t.Context(), []Signing{c.signing(3), c.signing(1)}); err != nil {
		t.Fatal(err)
	}
	c.linked(1, 2, 3)
	for n, b := range c.bureaux {
		c.until("every bureau is in the new epoch", func() bool { return b.node.Status().Epoch == 1 })
		if a := b.checkIn(before); a.Admitted {
			t.Errorf("bureau %d admits again whom epoch 0 has", n)
		}
	}
	for _, a := range alone {
		c.bureaux[a.at].replicates(c.home(a.at, a.i))
	}
	for _, n := range []ledger.BureauNumber{1, 2, 3} { // what they were before stays
		c.bureaux[n].stop()
	}
	c.opened(1, 2, 3)
	c.bureaux[3].admits(c.home(3, 5))
	c.bureaux[3].replicates(c.home(3, 5))
	principal = c.bureaux[1].node
	size := principal.Head().Size
	c.until("the new epoch is anchored", func() bool { return principal.Status().AnchoredSize >= size })
	dir := filepath.Join(t.TempDir(), "export")
	if err := principal.Export(dir); err != nil {
		t.Fatal(err)
	}
	r := c.verify(dir)
	c.until("the report finds nothing", func() bool { // an anchor may be on its way
		rep, err := principal.Report(t.Context())
		return err == nil && rep.Admitted == 5 && rep.Batches == rep.Placed && len(rep.Double)+len(rep.Forks)+len(rep.Omissions)+len(rep.Missing) == 0
	})
	if r.Epoch != 1 || len(r.Earlier) != 1 || r.Admitted != 5 || len(r.Double) != 0 {
		t.Errorf("verified: epoch %d after %d, %d admitted, %d double", r.Epoch, len(r.Earlier), r.Admitted, len(r.Double))
	}
}

func TestAmendmentsChangeAPlaceAndCutAKeyOff(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	two := []Signing{c.signing(1), c.signing(2)}
	principal := c.bureaux[1].node
	for what, a := range map[string]Amendment{
		"no act":           {Bureau: 3, Signers: two},
		"no place":         {Act: "relabel", Bureau: 3, Signers: two},
		"a place to much":  {Act: "retire", Bureau: 3, Place: "x", Signers: two},
		"a line break":     {Act: "relabel", Bureau: 3, Place: "Gemeentehuis\nbureau 4", Signers: two},
		"an order of text": {Act: "relabel", Bureau: 3, Place: "Gemeente\u202ehuis", Signers: two},
		"no text":          {Act: "relabel", Bureau: 3, Place: "Gemeente\xffhuis", Signers: two},
		"no such bureau":   {Act: "retire", Bureau: 9, Signers: two},
		"one person alone": {Act: "retire", Bureau: 3, Signers: two[:1]},
	} {
		if _, err := principal.Amend(t.Context(), a); err == nil {
			t.Errorf("%s: amended", what)
		}
	}
	got, err := principal.Amend(t.Context(), Amendment{Act: "relabel", Bureau: 3, Place: "Gemeentehuis", Signers: two})
	if err != nil || got.Number != 1 || !got.Effective {
		t.Fatalf("%+v, %v", got, err)
	}
	c.until("bureau 3 knows its place", func() bool { return c.bureaux[3].node.Status().Place == "Gemeentehuis" })
	if got, err = c.bureaux[2].node.Amend(t.Context(), Amendment{Act: "retire", Bureau: 3, Signers: two}); err != nil || got.Number < 2 || !got.Effective {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, n := range []ledger.BureauNumber{1, 2} {
		c.until("the others refuse the key", func() bool {
			s := c.bureaux[n].node.Status()
			for _, b := range s.Connected {
				if b == 3 {
					return false
				}
			}
			return true
		})
	}
	c.bureaux[2].admits(c.home(2, 0))
	c.bureaux[3].admits(c.home(3, 0)) // it is no longer heard, and still serves its own
	c.bureaux[3].c.until("it is alone", func() bool { return c.bureaux[3].node.Status().Link == "alone" })
}

func TestAmendmentsOfTwoBureauxAtOneTimeBothHaveEffect(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	two := []Signing{c.signing(1), c.signing(2)}
	var amending sync.WaitGroup
	var got [3]*Amended
	var errs [3]error
	for i, at := range []ledger.BureauNumber{1, 2, 3} {
		amending.Go(func() {
			got[i], errs[i] = c.bureaux[at].node.Amend(t.Context(), Amendment{Act: "relabel", Bureau: at, Place: fmt.Sprint("room ", at), Signers: two})
		})
	}
	amending.Wait()
	numbers := map[uint16]bool{}
	for i := range got {
		if errs[i] != nil || !got[i].Effective || numbers[got[i].Number] {
			t.Fatalf("bureau %d: %+v, %v", i+1, got[i], errs[i])
		}
		numbers[got[i].Number] = true
	}
	for n, b := range c.bureaux {
		c.until("every bureau knows its place", func() bool { return b.node.Status().Place == fmt.Sprint("room ", n) })
	}
	for _, again := range []bool{false, true} { // a key that is retired already
		if a, err := c.bureaux[2].node.Amend(t.Context(), Amendment{Act: "retire", Bureau: 1, Signers: two}); err != nil || !a.Effective {
			t.Fatalf("the leader's key, again %v: %+v, %v", again, a, err)
		}
		c.until("the others have another leader", func() bool { return c.bureaux[2].node.Status().Leader == 2 && c.bureaux[3].node.Status().Leader == 2 })
	}
	c.bureaux[3].admits(c.home(3, 0))
	c.bureaux[3].replicates(c.home(3, 0))
}
