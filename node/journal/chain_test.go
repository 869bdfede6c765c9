package journal

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// hand writes records on single media, as openings and cuts would have left them.
type hand struct {
	tb testing.TB
	d  *disks
	o  Options // all three attached
}

func newHand(tb testing.TB, seed byte) *hand {
	tb.Helper()
	d := newDisks()
	h := &hand{tb, d, d.on(bareOptions(ledgertest.NewDay(tb, 3, 12, nil).Group, seed), 0, 1, 2)}
	create(tb, h.o)
	return h
}

// put appends records to media.
func (h *hand) put(plain []byte, places ...int) {
	h.tb.Helper()
	for _, p := range places {
		head, problem := h.o.readHeader(p)
		if problem != nil {
			h.tb.Fatal(problem)
		}
		f, err := h.d.Open(h.o.Media[p].Path+"/"+recordsFile, toWrite)
		if err != nil {
			h.tb.Fatal(err)
		}
		m := &medium{place: p, member: p, header: head, seal: newSealer(h.o.JournalKey, head.set), f: f}
		s, err := m.scan(newUnion(&h.o))
		if err != nil {
			h.tb.Fatal(err)
		}
		if _, err := f.WriteAt(m.seal.appendFrame(nil, s.number, nonce{byte(s.number), byte(p)}, plain), s.end); err != nil {
			h.tb.Fatal(err)
		}
	}
}

// round writes which round a session has.
func (h *hand) round(number uint64, session byte, places ...int) {
	h.tb.Helper()
	h.put(round{number, ledger.SessionID{session}}.encode(), places...)
}

// batch writes a session's batch after a head, and returns the head after it. A nil body stands
// for the session's opening.
func (h *hand) batch(after *ledger.Head, session byte, body ledger.Body, places ...int) *ledger.Head {
	h.tb.Helper()
	var point ledger.Point
	if after != nil {
		point.Previous = after.Hash
	}
	if body == nil {
		body = &ledger.SessionOpened{Continues: after, Generation: 1, Media: 7}
	} else {
		point.Next = after.Next
	}
	now := h.o.Now()
	author := ledger.Author{Bureau: bureau, Session: ledger.SessionID{session}}
	b, err := ledger.Sign(h.o.Key, h.o.Group, author, point, []ledger.Statement{ledger.NewStatement(now, body)})
	if err != nil {
		h.tb.Fatal(err)
	}
	h.put(encodeBatchRecord(recorded{b, []ledger.Instant{now}}), places...)
	return &ledger.Head{Session: author.Session, Next: b.Header.Next(), Hash: b.Header.Identity()}
}

// session writes a session's round and opening.
func (h *hand) session(after *ledger.Head, number uint64, session byte, roundOn, openingOn []int) *ledger.Head {
	h.tb.Helper()
	h.round(number, session, roundOn...)
	return h.batch(after, session, nil, openingOn...)
}

// opens opens the media at the places and wants these counts in the chain and these orphans, each
// listed by exactly one statement.
func (h *hand) opens(want []int, orphans []ledger.Head, places ...int) {
	h.tb.Helper()
	o := h.o
	if len(places) > 0 {
		o = h.d.on(o, places...)
	}
	j, err := Open(o)
	if err != nil {
		h.tb.Fatal(err)
	}
	wellChained(h.tb, j, o.Group)
	if got := counts(h.tb, j); !slices.Equal(got, want) {
		h.tb.Errorf("the chain has %v, want %v", got, want)
	}
	var found, listed []ledger.Head
	for _, f := range j.Findings() {
		if f.Kind == Orphaned {
			found = append(found, f.Tail.Head)
		}
	}
	err = j.Replay(func(b *ledger.Batch, _ []ledger.Instant) error {
		for _, s := range b.Statements {
			if x, ok := s.Body.(*ledger.Orphan); ok {
				listed = append(listed, x.Head)
			}
		}
		return nil
	})
	if err != nil {
		h.tb.Fatal(err)
	}
	order := func(a, b ledger.Head) int { return bytes.Compare(a.Hash[:], b.Hash[:]) }
	for _, heads := range [][]ledger.Head{orphans, found, listed} {
		slices.SortFunc(heads, order)
	}
	if !slices.Equal(found, orphans) || !slices.Equal(listed, orphans) {
		h.tb.Errorf("orphans found %v, listed %v, want %v", found, listed, orphans)
	}
	closed(h.tb, j)
}

var (
	all3 = []int{0, 1, 2}
	two  = []int{0, 1}
)

func TestATailOnOneMediumIsAdopted(t *testing.T) {
	for place := range members {
		h := newHand(t, 60)
		head := h.session(nil, 1, 1, all3, all3)
		head = h.batch(head, 1, count(1), all3...)
		h.batch(head, 1, count(2), place)
		h.opens([]int{1, 2}, nil)
		h.opens([]int{1, 2}, nil, (place+1)%members, (place+2)%members) // it was written back
	}
}

func TestWhatEachMediumAloneHoldsIsUnited(t *testing.T) {
	h := newHand(t, 61)
	head := h.session(nil, 1, 1, all3, all3)
	head = h.batch(head, 1, count(1), 0, 1)
	head = h.batch(head, 1, count(2), 1, 2) // out of place on 2: what it lost stands elsewhere
	h.batch(head, 1, count(3), 0, 2)
	h.opens([]int{1, 2, 3}, nil)
	for _, places := range anyTwo {
		h.opens([]int{1, 2, 3}, nil, places...)
	}
}

func TestATailThatALaterSessionLeavesBehindIsAnOrphan(t *testing.T) {
	h := newHand(t, 62)
	head := h.session(nil, 1, 1, all3, all3)
	head = h.batch(head, 1, count(1), all3...)
	tail := h.batch(head, 1, count(2), 2)
	later := h.session(head, 2, 2, two, two)
	h.batch(later, 2, count(3), two...)
	h.opens([]int{1, 3}, []ledger.Head{*tail})
	h.opens([]int{1, 3}, []ledger.Head{*tail}) // found again, not listed again
}

func TestTheLongerTailDoesNotLead(t *testing.T) {
	h := newHand(t, 63)
	head := h.session(nil, 1, 1, all3, all3)
	cut := h.session(head, 2, 9, []int{0, 2}, []int{2})
	cut = h.session(cut, 3, 8, []int{0, 2}, []int{2})
	cut = h.session(cut, 4, 7, []int{0, 2}, []int{2}) // three openings in a row that were cut
	h.session(head, 5, 1+1, two, two)
	h.opens(nil, []ledger.Head{
		{Session: ledger.SessionID{9}, Next: 1, Hash: h.hashOf(9)}, {Session: ledger.SessionID{8}, Next: 1, Hash: h.hashOf(8)}, *cut,
	})
}

// hashOf is the identity of the session's only batch.
func (h *hand) hashOf(session byte) (id ledger.Hash) {
	h.tb.Helper()
	u := newUnion(&h.o)
	for p := range members {
		head, _ := h.o.readHeader(p)
		f, err := h.d.Open(h.o.Media[p].Path+"/"+recordsFile, toRead)
		if err != nil {
			h.tb.Fatal(err)
		}
		if _, err := (&medium{member: p, seal: newSealer(h.o.JournalKey, head.set), f: f}).scan(u); err != nil {
			h.tb.Fatal(err)
		}
	}
	for _, n := range u.nodes {
		if n.author.Session == (ledger.SessionID{session}) {
			return n.id
		}
	}
	h.tb.Fatalf("session %d has no batch", session)
	return id
}

// Two openings of one head, each cut when its first batch stood on one medium, and a third that
// went on from one of them: no clone had a part in it.
func TestOpeningsThatWereCutAreNoFork(t *testing.T) {
	for _, ids := range [][2]byte{{3, 4}, {4, 3}} {
		h := newHand(t, 64)
		head := h.session(nil, 1, 1, all3, all3)
		head = h.batch(head, 1, count(1), all3...)
		lost := h.session(head, 2, ids[0], []int{1, 2}, []int{2})
		kept := h.session(head, 3, ids[1], two, []int{1})
		h.opens([]int{1}, []ledger.Head{*lost}, 1, 2) // both are seen: the newer leads
		_ = kept
		h.opens([]int{1}, []ledger.Head{*lost}, 0, 1)
		h.opens([]int{1}, []ledger.Head{*lost})
	}
}

// The batch of the first session was copied by an opening that got no further, while a later
// one had gone on elsewhere: two copies prove nothing.
func TestACopiedTailThatWasNeverDurableIsNoFork(t *testing.T) {
	h := newHand(t, 65)
	head := h.session(nil, 1, 1, all3, all3)
	first := h.session(head, 2, 2, []int{1, 2}, []int{1, 2})
	child := h.session(first, 4, 4, []int{1, 2}, []int{2})
	h.session(head, 3, 3, []int{0, 1}, []int{0})
	last := h.session(&ledger.Head{Session: ledger.SessionID{3}, Next: 1, Hash: h.hashOf(3)}, 5, 5, two, two)
	h.batch(last, 5, count(1), two...)
	h.opens([]int{1}, []ledger.Head{*first, *child})
}

func TestAClonesHistoryIsRefusedAndNothingIsWritten(t *testing.T) {
	histories := map[string]func(h *hand, head *ledger.Head){
		"two sessions go on from one head": func(h *hand, head *ledger.Head) {
			h.batch(h.session(head, 2, 2, two, two), 2, count(2), two...)
			h.batch(h.session(head, 2, 3, []int{2}, []int{2}), 3, count(3), 2)
		},
		"one batch has two that follow": func(h *hand, head *ledger.Head) {
			h.batch(head, 1, count(2), two...)
			h.batch(head, 1, count(3), 2)
		},
		"a tail that must have been durable was left behind": func(h *hand, head *ledger.Head) {
			h.batch(h.batch(head, 1, count(2), two...), 1, count(3), two...)
			h.session(head, 2, 2, []int{2}, []int{2})
		},
		"two first sessions": func(h *hand, _ *ledger.Head) {
			h.batch(h.session(nil, 1, 2, []int{2}, []int{2}), 2, count(2), 2)
		},
	}
	for name, write := range histories {
		t.Run(name, func(t *testing.T) {
			h := newHand(t, 66)
			head := h.session(nil, 1, 1, all3, all3)
			write(h, h.batch(head, 1, count(1), all3...))
			before := h.d.at()
			_, err := Open(h.o)
			var fork *ForkError
			if !errors.As(err, &fork) || len(fork.Forks) == 0 {
				t.Fatalf("opened: %v", err)
			}
			for _, f := range fork.Forks {
				if f.Kind != Forked || len(f.Headers[0]) == 0 || bytes.Equal(f.Headers[0], f.Headers[1]) {
					t.Errorf("%+v", f)
				}
				if !strings.Contains(f.What, "on media") {
					t.Errorf("%q does not name the media", f.What)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %v", err)
			}
			if n := h.d.at(); n != before {
				t.Errorf("%d operations on media that were refused", n-before)
			}
		})
	}
}

func TestAMissingBatchAsksForTheThirdMedium(t *testing.T) {
	h := newHand(t, 67)
	head := h.session(nil, 1, 1, all3, all3)
	head = h.batch(head, 1, count(1), 0)
	h.batch(head, 1, count(2), all3...)
	if _, err := Open(h.d.on(h.o, 1, 2)); !errors.Is(err, ErrGap) {
		t.Errorf("opened without a batch: %v", err)
	}
	h.opens([]int{1, 2}, nil)
}

func TestManyOrphansAreAllListed(t *testing.T) {
	h := newHand(t, 68)
	head := h.session(nil, 1, 1, all3, all3)
	var orphans []ledger.Head
	for i := range byte(ledger.MaxStatements + 2) {
		orphans = append(orphans, *h.session(head, uint64(i)+2, i+2, []int{1, 2}, []int{2}))
	}
	h.session(head, 500, 255, two, two)
	h.opens(nil, orphans)
	h.opens(nil, orphans)
}
