package pcsc

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ElMostafaIdrassi/goscard"

	"pointage/node/eid"
)

// table is seats with a clock and numbers.
type table struct {
	seats
	t      *testing.T
	now    time.Time
	visits int
	begun  []int
}

func newTable(t *testing.T) *table {
	return &table{t: t, now: time.Unix(1e9, 0), seats: seats{at: map[string]*seat{}, limit: MaxReading}}
}

func (b *table) told(all []news) string {
	var words []string
	for _, n := range all {
		words = append(words, fmt.Sprintf("%v/%s/%d", n.event.Kind, n.event.Reader, n.event.Trouble))
		if n.begin != 0 {
			b.begun = append(b.begun, n.begin)
		}
	}
	return strings.Join(words, " ")
}

// sees looks, and compares what is told.
func (b *table) sees(want string, all ...seen) {
	b.t.Helper()
	got := b.told(b.look(b.now, all, func() int { b.visits++; return b.visits }))
	if got != want {
		b.t.Errorf("told %q, want %q", got, want)
	}
}

// hears finishes a reading, and compares what is told.
func (b *table) hears(want, reader string, visit int) {
	b.t.Helper()
	if got := b.told(b.finished(reader, visit, eid.Event{Kind: eid.CardRead, Reader: reader})); got != want {
		b.t.Errorf("told %q, want %q", got, want)
	}
}

func empty(reader string, changes uint16) seen { return seen{reader: reader, changes: changes} }

func full(reader string, changes uint16) seen {
	return seen{reader: reader, changes: changes, present: true}
}

func TestWhatIsAsItWasIsNotTold(t *testing.T) {
	b := newTable(t)
	b.sees("reader-present/a/0", empty("a", 0))
	b.sees("", empty("a", 0))
	b.sees("card-inserted/a/0", full("a", 1))
	b.sees("", full("a", 1))
	b.hears("card-read/a/0", "a", 1)
	b.sees("", full("a", 1))
	b.sees("card-removed/a/0", empty("a", 2))
	b.sees("", empty("a", 2))
}

func TestReaderThatIsUnpluggedTakesItsCardAlong(t *testing.T) {
	b := newTable(t)
	b.sees("reader-present/a/0 reader-present/b/0 card-inserted/b/0", empty("a", 0), full("b", 1))
	b.hears("card-read/b/0", "b", 1)
	b.sees("card-removed/b/0 reader-gone/b/0", empty("a", 0))
	b.sees("reader-present/b/0 card-inserted/b/0", empty("a", 0), full("b", 0))
	b.sees("reader-gone/a/0 trouble/b/12 card-removed/b/0 reader-gone/b/0")
	b.hears("", "b", 2)
}

func TestCardSwappedBetweenTwoLooksIsReadAnew(t *testing.T) {
	b := newTable(t)
	b.sees("reader-present/a/0 card-inserted/a/0", full("a", 1))
	b.hears("card-read/a/0", "a", 1)
	b.sees("card-removed/a/0 card-inserted/a/0", full("a", 3))
	b.hears("", "a", 1)
	b.hears("card-read/a/0", "a", 2)
	b.hears("", "a", 2)
}

func TestWhatAReadingBringsAfterItsCardLeftIsNobodys(t *testing.T) {
	b := newTable(t)
	b.sees("reader-present/a/0 card-inserted/a/0", full("a", 1))
	b.sees("trouble/a/12 card-removed/a/0", empty("a", 2))
	b.hears("", "a", 1)
	b.sees("card-inserted/a/0", full("a", 3))
	b.hears("", "a", 1)
	b.hears("card-read/a/0", "a", 2)
}

func TestReadingThatTakesTooLongIsGivenUp(t *testing.T) {
	b := newTable(t)
	b.sees("reader-present/a/0 card-inserted/a/0", full("a", 1))
	b.now = b.now.Add(MaxReading)
	b.sees("", full("a", 1))
	b.now = b.now.Add(1)
	b.sees("trouble/a/15", full("a", 1))
	b.hears("", "a", 1)
	b.sees("", full("a", 1))
	b.sees("card-removed/a/0", empty("a", 2))
}

func TestMuteCardIsToldAndNotRead(t *testing.T) {
	mute := full("a", 1)
	mute.mute = true
	b := newTable(t)
	b.sees("reader-present/a/0 card-inserted/a/0 trouble/a/10", mute)
	b.sees("", mute)
	if len(b.begun) != 0 {
		t.Error("a card that does not answer is being read")
	}
	b.sees("card-removed/a/0", empty("a", 2))
	// One that falls silent while it is read.
	b.sees("card-inserted/a/0", full("a", 3))
	mute.changes = 3
	b.sees("trouble/a/10", mute)
	b.hears("", "a", 1)
}

func TestReadersBeyondTheLimitAreToldOnce(t *testing.T) {
	var all []seen
	var there []string
	for i := range eid.MaxReaders + 1 {
		all = append(all, empty(fmt.Sprint(i), 0))
		if i < eid.MaxReaders {
			there = append(there, fmt.Sprintf("reader-present/%d/0", i))
		}
	}
	b := newTable(t)
	b.sees("trouble//5 "+strings.Join(there, " "), all...)
	b.sees("", all...)
	b.sees("", all[:eid.MaxReaders]...)
	b.sees("trouble//5", all...)
}

func TestEveryCardIsReadOnceHoweverTheReadersStand(t *testing.T) {
	b := newTable(t)
	changes := map[string]uint16{}
	inserted := 0
	for i := range 4000 { // a walk that is the same each time
		var all []seen
		for j, reader := range []string{"a", "b", "c"} {
			bits := (i*2654435761 + j*40503) >> 5
			if bits%11 == 0 {
				continue // unplugged
			}
			if bits%3 == 0 {
				changes[reader]++
			}
			all = append(all, seen{reader: reader, present: changes[reader]%2 == 1, changes: changes[reader]})
		}
		for _, n := range b.look(b.now, all, func() int { b.visits++; return b.visits }) {
			if n.event.Kind == eid.CardInserted {
				if inserted++; n.begin != b.visits && n.begin == 0 {
					t.Fatal("a card is in and is not read")
				}
			} else if n.begin != 0 {
				t.Fatalf("a reading begins with %v", n.event.Kind)
			}
		}
	}
	if inserted == 0 || inserted != b.visits {
		t.Errorf("%d cards, %d readings", inserted, b.visits)
	}
}

func TestReadersAreNamedWithinTheLimits(t *testing.T) {
	for raw, want := range map[string]string{
		"Reader 00 00": "Reader 00 00", "a\nb\x1b": "a?b?", "\xff\xfe": "??", "": "?", "é": "é",
		strings.Repeat("x", 200): strings.Repeat("x", eid.MaxReaderName), strings.Repeat("é", 200): strings.Repeat("é", eid.MaxReaderName/2),
	} {
		if got := clean(raw); got != want || len(got) > eid.MaxReaderName || !utf8.ValidString(got) {
			t.Errorf("%q is named %q", raw, got)
		}
	}
}

func TestReadersThatLeaveOrAreAmbiguousAreNotSeen(t *testing.T) {
	last := map[string]goscard.SCardState{
		"here": goscard.SCardStatePresent | 5<<16, "left": goscard.SCardStateUnknown, "away": goscard.SCardStateUnavailable,
		"same\n": goscard.SCardStateEmpty, "same\t": goscard.SCardStatePresent, "dumb": goscard.SCardStatePresent | goscard.SCardStateMute,
	}
	got := standing([]string{"here", "left", "away", "same\n", "same\t", "dumb", "unsaid"}, last)
	want := []seen{{reader: "here", present: true, changes: 5}, {reader: "same?"}, {reader: "dumb", present: true, mute: true}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("seen %v, want %v", got, want)
	}
}
