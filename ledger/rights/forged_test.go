package rights

import (
	"bytes"
	"reflect"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// waiting is a bureau that waits for one message, and the genuine extract that moves it.
type waiting struct {
	name    string
	u       *station
	event   func(extract []byte) Event
	genuine []byte
}

func arrived(x []byte) Event   { return Arrived{x} }
func denied(x []byte) Event    { return Denied{x} }
func comesHome(x []byte) Event { return Returned{x} }

// waitings has one for each message that carries an extract.
func waitings(tb testing.TB) []waiting {
	tb.Helper()
	_, holds, release := released(tb)
	_, returns, late := released(tb)
	returns.do(Leave{})
	home, _, _, back := returned(tb)
	m := newCommune(tb, nil)
	m.stations[1].admit()
	refused := m.stations[2]
	refused.do(Ask{Means: ledger.ByCard, Attester: 1})
	m.stations[1].get(refused.message(RequestMessage))
	admission := m.stations[1].message(DenyMessage)
	given, _, _ := released(tb)
	third := given.stations[3]
	third.do(Ask{Means: ledger.ByCard, Attester: 1})
	given.get(third.message(RequestMessage))
	elsewhere := given.message(DenyMessage)
	return []waiting{
		{"release to hold", holds, arrived, release.Message.Extract},
		{"release to return", returns, arrived, late.Message.Extract},
		{"return", home, comesHome, back.Message.Extract},
		{"denial by admission", refused, denied, admission.Message.Extract},
		{"denial by release", third, denied, elsewhere.Message.Extract},
	}
}

// moves says whether the event has any effect; nothing is kept.
func (w *waiting) moves(extract []byte) bool {
	next, out := Step(w.u.c, w.u.s, w.event(extract))
	return len(out) > 0 || !reflect.DeepEqual(next, w.u.s)
}

func TestAlteredExtractHasNoEffect(t *testing.T) { // R15
	for _, w := range waitings(t) {
		t.Run(w.name, func(t *testing.T) {
			if !w.moves(w.genuine) {
				t.Fatal("the genuine one has none either")
			}
			for i := range w.genuine {
				for _, bit := range []byte{1, 0x80} {
					x := bytes.Clone(w.genuine)
					x[i] ^= bit
					if w.moves(x) {
						t.Errorf("byte %d of %d changed by %#x", i, len(x), bit)
					}
				}
			}
			for n := range w.genuine {
				if w.moves(w.genuine[:n]) {
					t.Errorf("cut to %d bytes", n)
				}
			}
			if w.moves(append(bytes.Clone(w.genuine), 0)) {
				t.Error("a byte more")
			}
		})
	}
}

// TestEveryFieldSignedByAnotherHasNoEffect makes well-formed, well-signed extracts that
// differ from the genuine one in one field.
func TestEveryFieldSignedByAnotherHasNoEffect(t *testing.T) {
	other := ledger.Right{Elector: ledgertest.Elector(0), Kind: ledger.Carry}
	neighbour := ledger.Right{Elector: ledgertest.Elector(1), Kind: ledger.Admit}
	for _, w := range waitings(t) {
		t.Run(w.name, func(t *testing.T) {
			x, err := ledger.DecodeExtract(w.genuine)
			if err != nil {
				t.Fatal(err)
			}
			a := x.Header.Author
			g := w.u.day.Group
			foreign := newCommune(t, func(m *election.Manifest) { m.Election = "other-2024" }).day.Group
			for name, forged := range map[string][]byte{
				"another's key":             signed(t, g, a, a.Bureau%bureaux+1, 7, x.Statement.Body).extract,
				"another bureau, its key":   signed(t, g, ledger.Author{Bureau: a.Bureau%bureaux + 1}, a.Bureau%bureaux+1, 7, x.Statement.Body).extract,
				"a bureau that is not":      signed(t, g, ledger.Author{Bureau: 9}, 9, 7, x.Statement.Body).extract,
				"another election":          signed(t, foreign, a, a.Bureau, 7, x.Statement.Body).extract,
				"a key of the next machine": signed(t, g, ledger.Author{Bureau: a.Bureau, Incarnation: 1}, a.Bureau, 7, x.Statement.Body).extract,
			} {
				if w.moves(forged) {
					t.Errorf("signed by %s", name)
				}
			}
			for i, body := range variations(x.Statement.Body, other, neighbour) {
				if w.moves(signed(t, g, a, a.Bureau, 7, body).extract) {
					t.Errorf("variation %d: %+v", i, body)
				}
			}
		})
	}
}

// variations of what the genuine author might say about something else.
func variations(body ledger.Body, rights ...ledger.Right) (out []ledger.Body) {
	for _, x := range rights {
		switch b := body.(type) {
		case *ledger.Release:
			out = append(out, &ledger.Release{Right: x, Nonce: b.Nonce, To: b.To})
		case *ledger.Return:
			out = append(out, &ledger.Return{Right: x, Nonce: b.Nonce, Release: b.Release})
		case *ledger.Admission:
			if x.Elector != b.Elector {
				out = append(out, &ledger.Admission{Elector: x.Elector, Means: b.Means})
			}
		}
	}
	switch b := body.(type) {
	case *ledger.Release: // to whoever did not ask for it, or who was told where it went
		out = append(out, &ledger.BureauClosed{}, &ledger.Hold{Right: b.Right, Nonce: b.Nonce, Release: []byte{1}})
	case *ledger.Return:
		out = append(
			out, &ledger.Return{Right: b.Right, Nonce: b.Nonce + 1, Release: b.Release}, &ledger.Return{Right: b.Right, Nonce: b.Nonce, Release: []byte{1}},
			&ledger.Hold{Right: b.Right, Nonce: b.Nonce, Release: b.Release}, &ledger.Restored{Right: b.Right, Nonce: b.Nonce, Return: b.Release},
		)
	case *ledger.Admission:
		out = append(out, &ledger.AttemptRefused{Elector: b.Elector, Refusal: ledger.AlreadyAdmitted, Means: b.Means}, &ledger.BureauClosed{})
	}
	return out
}

func TestMessagesOfOneKindAreNotTakenForAnother(t *testing.T) {
	all := waitings(t)
	kind := func(w waiting) ledger.Kind {
		x, err := ledger.DecodeExtract(w.genuine)
		if err != nil {
			t.Fatal(err)
		}
		return x.Statement.Body.Kind()
	}
	for _, w := range all {
		for _, o := range all {
			// A release is a denial to whoever it is not for.
			same := reflect.TypeOf(w.event(nil)) == reflect.TypeOf(o.event(nil)) || kind(w) == kind(o)
			if !same && w.moves(o.genuine) {
				t.Errorf("a bureau that waits for a %s takes a %s", w.name, o.name)
			}
		}
	}
}

func TestExtractsFromFullBatchesFitWhereTheyAreEmbedded(t *testing.T) {
	// The worst case: each statement in the middle of a batch of 64, its path the longest,
	// and embedded twice over.
	day := ledgertest.NewDay(t, bureaux, maxElectors, nil)
	right := ledger.Right{Elector: ledgertest.Elector(0), Kind: ledger.Admit}
	full := func(n ledger.BureauNumber, body ledger.Body) []byte {
		bodies := make([]ledger.Body, ledger.MaxStatements)
		for i := range bodies {
			bodies[i] = &ledger.BureauClosed{CheckedIn: uint32(i)}
		}
		bodies[37] = body
		c := day.Started(n)
		enc, err := c.Sign(bodies...).Extract(37).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return enc
	}
	release := full(1, &ledger.Release{Right: right, To: 2})
	back := full(2, &ledger.Return{Right: right, Release: release})
	c := Context{Group: day.Group, Right: right, Home: 1, Away: true, Standing: ledger.Standing{Author: ledger.Author{Bureau: 1}}}
	s := State{Record: ledger.Record{State: ledger.Released, To: 2}, Proof: release}
	s, _ = Step(&c, s, Returned{back})
	if s.Pending == nil {
		t.Fatal("the return has no effect")
	}
	if enc, err := ledger.NewStatement(0, s.Pending).Encode(); err != nil {
		t.Fatal(err)
	} else if len(enc) > ledger.MaxStatement*3/4 {
		t.Fatalf("%d bytes of %d: no room to grow", len(enc), ledger.MaxStatement)
	}
}
