package node

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
)

// TestADayOfThreeBureaux plays one small day; each part is a promise and goes on from the one before.
func TestADayOfThreeBureaux(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	c.opened(1, 2, 3)
	for _, part := range []struct {
		promise string
		play    func(*testing.T, *commune)
	}{
		{"ElectorsAreAdmittedAtHome", admittedAtHome},
		{"ASecondAttemptElsewhereIsRefusedAndSaysWhereAndWhen", secondAttempt},
		{"ACheckInAwayMovesTheRight", checkInAway},
		{"TwoSimultaneousAttemptsAdmitOne", simultaneous},
		{"AllLedgersAreTheSame", sameLedgers},
		{"ABureauStartedAgainGoesOnWhereItWas", startedAgain},
		{"ThePrincipalStoppedTheOthersGoOn", withoutPrincipal},
		{"TheExportVerifies", exportVerifies},
	} {
		ok := t.Run(part.promise, func(t *testing.T) {
			c.t = t
			defer func() { c.t = t }()
			part.play(t, c)
		})
		c.t = t
		if !ok {
			return
		}
	}
}

func admittedAtHome(t *testing.T, c *commune) {
	for n, b := range c.bureaux {
		for i := range 3 {
			b.admits(c.home(n, i))
			b.replicates(c.home(n, i))
		}
	}
	id := Identification{By: "convocation", Number: c.home(2, 3).ConvocationNumber.Digits(), Attester: 3}
	if a, err := c.bureaux[2].node.CheckIn(t.Context(), id); err != nil || !a.Admitted {
		t.Errorf("by convocation number: %+v, %v", a, err)
	}
}

func secondAttempt(t *testing.T, c *commune) {
	e := c.home(1, 0)
	for n, b := range c.bureaux {
		var a Answer
		c.until("the ledger says when", func() bool { a = b.checkIn(e); return a.When != "" })
		at, err := time.Parse(time.RFC3339, a.When)
		if err != nil || time.Since(at) < 0 || time.Since(at) > 6*time.Minute || at.Unix()%300 != 0 {
			t.Errorf("bureau %d: admitted at %q, which is not within these five minutes", n, a.When)
		}
		if a.Admitted || a.Refusal != ledger.AlreadyAdmitted || a.At != 1 {
			t.Errorf("bureau %d: %+v, want refusal %d at bureau 1", n, a, ledger.AlreadyAdmitted)
		}
	}
}

func checkInAway(t *testing.T, c *commune) {
	e := c.home(1, 5)
	if a := c.bureaux[3].admits(e); a.At != 3 {
		t.Errorf("away: %+v", a)
	}
	if s := c.bureaux[3].node.Status(); s.Away != 1 {
		t.Errorf("%d admissions away, want 1", s.Away)
	}
	for _, n := range []ledger.BureauNumber{1, 2} {
		var a Answer
		c.until("the ledger has the admission away", func() bool {
			a = c.bureaux[n].checkIn(e)
			return a.Refusal != ledger.ReleasedElsewhere // before that, the right is known to lie there
		})
		if a.Admitted || a.Refusal != ledger.AlreadyAdmitted || a.At != 3 {
			t.Errorf("bureau %d after the right has moved: %+v", n, a)
		}
	}
}

func simultaneous(t *testing.T, c *commune) {
	for i := 10; i < 16; i++ {
		e := c.home(1, i)
		var trying sync.WaitGroup
		answers := make([]Answer, 2)
		for j, n := range []ledger.BureauNumber{2, 3} {
			trying.Go(func() { answers[j] = c.bureaux[n].checkIn(e) })
		}
		trying.Wait()
		if answers[0].Admitted == answers[1].Admitted {
			t.Errorf("elector %d at two bureaux at a time: %+v", i, answers)
		}
		for _, a := range answers {
			if !a.Admitted && a.Refusal != ledger.AlreadyAdmitted && a.Refusal != ledger.ReleasedElsewhere {
				t.Errorf("elector %d: refused with %+v", i, a)
			}
		}
	}
}

// sameLedgers waits until nothing is under way and compares heads and roots.
func sameLedgers(t *testing.T, c *commune) {
	c.level(1, 2, 3)
	size := c.bureaux[1].node.Head().Size
	want, err := c.bureaux[1].node.store.Root(size)
	if err != nil {
		t.Fatal(err)
	}
	for n, b := range c.bureaux {
		got, err := b.node.store.Root(size)
		if err != nil || got != want {
			t.Errorf("bureau %d: root %v of %d entries, %v; bureau 1 has %v", n, got, size, err, want)
		}
	}
}

// level waits until bureaux have handed in everything and have the same head.
func (c *commune) level(numbers ...ledger.BureauNumber) {
	c.t.Helper()
	c.until("the ledgers are level", func() bool {
		head := c.bureaux[numbers[0]].node.Head()
		for _, n := range numbers {
			if s := c.bureaux[n].node.Status(); s.Backlog > 0 || c.bureaux[n].node.Head() != head {
				return false
			}
		}
		return true
	})
}

func startedAgain(t *testing.T, c *commune) {
	b, before := c.bureaux[2], c.bureaux[2].node.Status()
	b.stop()
	// Meanwhile the other two go on.
	c.bureaux[3].admits(c.home(3, 6))
	c.bureaux[3].replicates(c.home(3, 6))
	b.start()
	c.linked(2)
	after := b.node.Status()
	if !after.Open || after.Admitted != before.Admitted || after.Away != before.Away {
		t.Errorf("started again: %+v, before %+v", after, before)
	}
	if a := b.checkIn(c.home(2, 0)); a.Admitted || a.Refusal != ledger.AlreadyAdmitted || a.At != 2 || a.Record == "" {
		t.Errorf("admitted before the restart: %+v", a)
	}
	b.admits(c.home(2, 6))
	c.level(1, 2, 3)
}

func withoutPrincipal(t *testing.T, c *commune) {
	c.bureaux[1].stop()
	for _, n := range []ledger.BureauNumber{2, 3} {
		if a := c.bureaux[n].admits(c.home(n, 8)); n == 2 && a.At != 2 {
			t.Errorf("%+v", a)
		}
	}
	if a := c.bureaux[2].checkIn(c.home(1, 20)); a.Admitted || a.Refusal != ledger.HomeUnreachable {
		t.Errorf("an elector of the bureau that is down: %+v", a)
	}
	c.until("the deputy leads", func() bool { return c.bureaux[2].node.Status().Leader == 2 })
	c.linked(2, 3)
	c.until("the deputy anchors", func() bool { return c.bureaux[2].node.Status().AnchoredSize > 0 })
	c.bureaux[1].start()
	c.until("the principal leads again", func() bool { return c.bureaux[3].node.Status().Leader == 1 })
	c.linked(1)
	c.bureaux[1].admits(c.home(1, 20))
}

func exportVerifies(t *testing.T, c *commune) {
	for _, n := range []ledger.BureauNumber{3, 2, 1} {
		if err := c.bureaux[n].node.CloseBureau(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.until("the whole ledger is anchored", func() bool {
		s := c.bureaux[1].node.Status()
		return s.Backlog == 0 && s.AnchoredSize == s.LedgerSize
	})
	c.level(1, 2, 3)
	oneHistory(t, c)
	b := c.bureaux[1]
	if err := c.bureaux[3].node.Export(filepath.Join(c.dir, "no")); err != ErrNoLogKey {
		t.Errorf("export at a bureau without the log's key: %v", err)
	}
	running, stopped := filepath.Join(c.dir, "export", "running"), filepath.Join(c.dir, "export", "stopped")
	if err := b.node.Export(running); err != nil {
		t.Fatal(err)
	}
	head := b.node.Head()
	b.stop()
	if err := ExportStopped(b.config(), stopped); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{running, stopped} {
		r := c.verify(dir)
		if r.Entries != head.Size || r.Head != head.Last || r.Anchored != head.Size || r.Bureaux != 3 || !r.Certificate {
			t.Errorf("%s: %+v, the ledger has %+v", dir, r, head)
		}
		if len(r.Double) > 0 || len(r.Conflicts) > 0 || len(r.Evidence) > 0 {
			t.Errorf("%s: double %v, conflicts %v, evidence %v", dir, r.Double, r.Conflicts, r.Evidence)
		}
		if r.Admitted != 22 {
			t.Errorf("%s: %d electors admitted, the desks were told of 22", dir, r.Admitted)
		}
	}
}

// oneHistory compares all that principal and deputy have had cosigned with a third ledger.
func oneHistory(t *testing.T, c *commune) {
	g, s := c.prepared().Group, c.bureaux[3].node.store
	for _, n := range []ledger.BureauNumber{1, 2} {
		notes, err := c.bureaux[n].node.anchoring.Load().kept.all()
		if err != nil || len(notes) == 0 {
			t.Fatalf("bureau %d: %d anchors, %v", n, len(notes), err)
		}
		for _, note := range notes {
			x, sigs, err := ledger.OpenCheckpoint(note, ledger.LogKey(g.Origin(0), g.LogKey), g.Cosigners())
			if err != nil || len(sigs) == 0 {
				t.Fatalf("bureau %d: %v", n, err)
			}
			if root, err := s.Root(x.Size); err != nil || root != x.Root {
				t.Errorf("bureau %d has signed %v at size %d, bureau 3 has %v, %v", n, x.Root, x.Size, root, err)
			}
		}
	}
}

// verify is what an expert does.
func (c *commune) verify(dir string) *ledger.Report {
	c.t.Helper()
	x, err := election.OpenExport(os.DirFS(dir))
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := ledger.Verify(c.t.Context(), os.DirFS(dir), x.Group, x.Epoch, ledger.Options{Workers: 2})
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}
