package pollbook

import (
	"slices"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/ledger/reconciliation"
	"pointage/ledger/rights"
)

// liar is bureau 1 in the hands of somebody who signs whatever he likes; bureaux 2 and 3 keep to the rules. Alone they reach
// neither the group nor each other, only him.
type liar struct {
	*ledgertest.Chain
	t          *testing.T
	c          *commune
	two, three *bureau
	alone      bool
	signed     []*ledger.Batch
}

// lying runs a test with a liar, in a group and without one.
func lying(t *testing.T, test func(t *testing.T, x *liar)) {
	for name, alone := range map[string]bool{"in the group": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			c := newCommune(t, func(c *commune) { c.asking = 2 * time.Second })
			x := &liar{Chain: c.day.Session(1, 1), t: t, c: c, two: c.opened(2), three: c.opened(3), alone: alone}
			if alone {
				x.two.isolate()
				x.three.isolate()
			}
			x.sign(&ledger.SessionOpened{Generation: 1, Media: 3})
			test(t, x)
		})
	}
}

// sign makes the liar's next batch and lets the group have it, if there is one.
func (x *liar) sign(bodies ...ledger.Body) *ledger.Batch {
	x.t.Helper()
	b := x.Sign(bodies...)
	x.signed = append(x.signed, b)
	if !x.alone {
		x.c.put(b.Encode())
	}
	return b
}

func (x *liar) extract(b *ledger.Batch, i int) []byte {
	x.t.Helper()
	enc, err := b.Extract(i).Encode()
	if err != nil {
		x.t.Fatal(err)
	}
	return enc
}

// give sends a release to whoever it names, whose desk waits for it.
func (x *liar) give(to *bureau, e ledger.ElectorToken, b *ledger.Batch, i int) {
	x.t.Helper()
	m := rights.Message{Kind: rights.ReleaseMessage, Right: right(e), Extract: x.extract(b, i)}
	eventually(x.t, "the desk asks for the right", func() bool {
		s := to.row(e)
		return s.Desk == rights.Asking || s.Record.State != ledger.None || s.Pending != nil
	})
	to.book.Receive(m)
}

// lights counts the green ones.
func lights(all ...Receipt) (n int) {
	for _, r := range all {
		if r.Refusal == ledger.NotRefused && r.Recorded {
			n++
		}
	}
	return n
}

// report is the evening's; nobody but the liar is accused in it.
func (x *liar) report() *reconciliation.Report {
	x.t.Helper()
	r := x.c.evening(x.two, x.signed...)
	for _, m := range r.Misconduct {
		if m.Record.Author.Bureau != 1 {
			x.t.Errorf("bureau %d is accused: %+v", m.Record.Author.Bureau, m)
		}
	}
	for _, f := range r.Forks {
		if f.First.Header.Author.Bureau != 1 || !f.Proved {
			x.t.Errorf("a fork of bureau %d, proved %v", f.First.Header.Author.Bureau, f.Proved)
		}
	}
	return r
}

// named says that the liar's i-th statement of a batch stands in the report for what it is.
func (x *liar) named(r *reconciliation.Report, b *ledger.Batch, i int, why ledger.Validity, state ledger.State) {
	x.t.Helper()
	for _, m := range r.Misconduct {
		if m.Record.Batch == b.Header.Identity() && m.Record.Sequence == b.Header.First+uint64(i) && m.Validity == why && m.State == state {
			return
		}
	}
	x.t.Errorf("statement %d, %T, is not in the report as %v from %v: %+v", i, b.Statements[i].Body, why, state, r.Misconduct)
}

// doubled says that the report has a double admission with exactly the records of these bureaux.
func (x *liar) doubled(r *reconciliation.Report, e ledger.ElectorToken, bureaux ...ledger.BureauNumber) {
	x.t.Helper()
	for _, d := range r.Double {
		var by []ledger.BureauNumber
		for _, rec := range d.Records {
			by = append(by, rec.Author.Bureau)
		}
		slices.Sort(by)
		if d.Right == right(e) && slices.Equal(by, bureaux) {
			return
		}
	}
	x.t.Errorf("the double admission by %v is not in the report: %+v", bureaux, r.Double)
}

func TestTwoReleasesOfOneRightAdmitOnceInAGroupAndAreReported(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		e := home(1, 0)
		second, third := x.two.begin(t.Context(), e), x.three.begin(t.Context(), e)
		first := x.sign(&ledger.Release{Right: right(e), To: 2})
		again := x.sign(&ledger.Release{Right: right(e), To: 3})
		x.give(x.two, e, first, 0)
		x.give(x.three, e, again, 0)
		n := lights(x.c.told(second), x.c.told(third))
		r := x.report()
		x.named(r, again, 0, ledger.NotHeld, ledger.Released)
		if x.alone {
			if n != 2 {
				t.Fatalf("%d lights: without the group nobody can know", n)
			}
			x.doubled(r, e, 2, 3)
		} else if n > 1 || len(r.Double) > 0 {
			t.Errorf("%d lights, double %+v", n, r.Double)
		}
	})
}

func TestTwoReleasesUnderOneNumberAreAForkWithBothHeaders(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		e := home(1, 0)
		second, third := x.two.begin(t.Context(), e), x.three.begin(t.Context(), e)
		twin := *x.Chain
		first := x.sign(&ledger.Release{Right: right(e), To: 2})
		again := twin.Sign(&ledger.Release{Right: right(e), To: 3})
		x.signed = append(x.signed, again)
		if !x.alone {
			x.c.put(again.Encode())
		}
		x.give(x.two, e, first, 0)
		x.give(x.three, e, again, 0)
		n := lights(x.c.told(second), x.c.told(third))
		r := x.report()
		if len(r.Forks) != 1 {
			t.Fatalf("%d forks in the report", len(r.Forks))
		}
		got := []ledger.Hash{r.Forks[0].First.Header.Identity(), r.Forks[0].Second.Header.Identity()}
		if !slices.Contains(got, first.Header.Identity()) || !slices.Contains(got, again.Header.Identity()) {
			t.Error("the fork names other headers than the two")
		}
		if x.alone {
			x.doubled(r, e, 2, 3)
		} else if n > 1 || len(r.Double) > 0 {
			t.Errorf("%d lights, double %+v", n, r.Double)
		}
	})
}

func TestTwoAdmissionsByOneBureauAreReported(t *testing.T) {
	lying(t, func(_ *testing.T, x *liar) {
		e := home(1, 0)
		b := x.sign(&ledger.Admission{Elector: e, Means: ledger.ByCard, Attester: 1}, &ledger.Admission{Elector: e, Means: ledger.ByName, Attester: 2})
		r := x.report()
		x.named(r, b, 1, ledger.NotHeld, ledger.Admitted)
		x.doubled(r, e, 1, 1)
	})
}

// After its release home admits all the same (R8).
func TestAdmissionOfWhatWasReleasedIsReported(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		e := home(1, 0)
		desk := x.two.begin(t.Context(), e)
		release := x.sign(&ledger.Release{Right: right(e), To: 2})
		lie := x.sign(&ledger.Admission{Elector: e, Means: ledger.ByCard, Attester: 1})
		x.give(x.two, e, release, 0)
		n := lights(x.c.told(desk))
		r := x.report()
		x.named(r, lie, 0, ledger.NotHeld, ledger.Released)
		if x.alone {
			x.doubled(r, e, 1, 2)
		} else if n > 0 || len(r.Double) > 0 {
			t.Errorf("%d lights beside the liar's admission; double %+v", n, r.Double)
		}
	})
}

func TestReturnOfAUsedRightIsReportedAndAdmitsNobodyInAGroup(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		e := home(2, 0)
		x.two.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(e), By: 1})
		eventually(t, "the right is released", func() bool { return len(x.c.messages(2, 1, rights.ReleaseMessage)) > 0 })
		release := x.c.messages(2, 1, rights.ReleaseMessage)[0].Extract
		b := x.sign(
			&ledger.Hold{Right: right(e), Release: release}, &ledger.Admission{Elector: e, Means: ledger.ByCard, Attester: 1},
			&ledger.Return{Right: right(e), Release: release},
		)
		x.two.book.Receive(rights.Message{Kind: rights.ReturnMessage, Right: right(e), Extract: x.extract(b, 2)})
		eventually(t, "the right is at home again", func() bool { return x.two.row(e).Record.State == ledger.Own })
		receipt := x.two.checkIn(e)
		r := x.report()
		x.named(r, b, 2, ledger.NotHeld, ledger.Admitted)
		if x.alone {
			wantAdmitted(t, receipt, false)
			x.doubled(r, e, 1, 2)
		} else if lights(receipt) > 0 || len(r.Double) > 0 {
			t.Errorf("told %+v; double %+v", receipt, r.Double)
		}
	})
}

func TestAdmissionWithoutAHoldIsReported(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		e := home(2, 0)
		lie := x.sign(&ledger.Admission{Elector: e, Means: ledger.ByCard, Attester: 1})
		receipt := x.two.checkIn(e)
		r := x.report()
		x.named(r, lie, 0, ledger.NotHeld, ledger.None)
		if x.alone {
			wantAdmitted(t, receipt, false)
			x.doubled(r, e, 1, 2)
		} else if lights(receipt) > 0 || len(r.Double) > 0 {
			t.Errorf("told %+v; double %+v", receipt, r.Double)
		}
	})
}

// What is embedded is judged from itself: a release that its home did not sign, or signed for another bureau, right or
// number, gives nothing, and neither does a return that was made up.
func TestFalseEmbeddingsAreReportedAndMoveNothing(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		e, other := home(2, 0), home(2, 1)
		own := x.sign(&ledger.Release{Right: right(home(1, 5)), To: 2})
		foreign := x.sign(&ledger.Release{Right: right(e), To: 1}) // of a right that was never at home here
		unsigned := forged(x.c, 2, &ledger.Release{Right: right(e), To: 1})
		for _, release := range [][]byte{unsigned, x.extract(own, 0), x.extract(foreign, 0), {1, 2, 3}} {
			b := x.sign(&ledger.Hold{Right: right(e), Release: release}, &ledger.Admission{Elector: e, Means: ledger.ByCard, Attester: 1})
			r := x.report()
			x.named(r, b, 0, ledger.BadEmbedding, ledger.None)
			x.named(r, b, 1, ledger.NotHeld, ledger.None)
		}
		x.two.book.Receive(rights.Message{Kind: rights.RequestMessage, Right: right(other), By: 1})
		eventually(t, "the right is released", func() bool { return len(x.c.messages(2, 1, rights.ReleaseMessage)) > 0 })
		release := x.c.messages(2, 1, rights.ReleaseMessage)[0].Extract
		b := x.sign(&ledger.Hold{Right: right(e), Release: release}, &ledger.Hold{Right: right(other), Nonce: 1, Release: release})
		r := x.report()
		x.named(r, b, 0, ledger.BadEmbedding, ledger.None)
		x.named(r, b, 1, ledger.BadEmbedding, ledger.None)
		back := x.sign(&ledger.Return{Right: right(other), Nonce: 0, Release: unsigned})
		x.two.book.Receive(rights.Message{Kind: rights.ReturnMessage, Right: right(other), Extract: x.extract(back, 0)})
		home5 := x.sign(&ledger.Restored{Right: right(home(1, 5)), Return: x.extract(back, 0)})
		r = x.report()
		x.named(r, back, 0, ledger.BadEmbedding, ledger.None)
		x.named(r, home5, 0, ledger.BadEmbedding, ledger.Released)
		if s := x.two.row(other).Record; s.State != ledger.Released || s.To != 1 {
			t.Errorf("the right that was given to bureau 1 is %+v", s)
		}
	})
}

// A lie about somebody else convinces nobody: made-up evidence and words accuse no bureau in the report.
func TestFalseAccusationsAccuseNobody(t *testing.T) {
	lying(t, func(t *testing.T, x *liar) {
		a, b := x.c.day.Session(2, 50), x.c.day.Session(2, 50)
		first := a.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}).Signed()
		second := b.Sign(&ledger.SessionOpened{Generation: 1, Media: 1}).Signed()
		second.Signature[0] ^= 1
		key := ledgertest.Key(ledgertest.DeviceName(1, 0))
		g, m := x.c.day.Group, ledger.Member{Bureau: 2}
		one, two := ledger.SignApplied(key, g, m, ledger.ChainHead{Size: 3}), ledger.SignApplied(key, g, m, ledger.ChainHead{Size: 3, Last: ledger.Hash{1}})
		x.sign(&ledger.Evidence{First: first.Encode(), Second: second.Encode()}, &ledger.Equivocation{First: one.Encode(), Second: two.Encode()})
		if r := x.report(); len(r.Forks)+len(r.Equivocations)+len(r.Misconduct)+len(r.Double) > 0 {
			t.Errorf("forks %d, equivocations %d, misconduct %+v", len(r.Forks), len(r.Equivocations), r.Misconduct)
		}
	})
}
