package rights

import (
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
)

// commune is three bureaux around the first elector, who is at home at bureau 1. Every
// statement goes through the ledger's placing as it becomes durable, and must be judged
// there as Step expects.
type commune struct {
	tb       testing.TB
	day      *ledgertest.Day
	right    ledger.Right
	stations [bureaux + 1]*station // by number
}

// station is one bureau with its chain.
type station struct {
	*commune
	n      ledger.BureauNumber
	chain  *ledgertest.Chain
	c      *Context
	s      State
	past   []said
	opened byte
	// What Step asked for and nobody has carried out yet; Write is carried out by durable.
	sent  []Send
	told  []Tell
	late  []Event
	waits []ledger.StatementID
	alarm []ledger.Verdict
	// lights are the admissions whose ballots were handed over.
	lights []ledger.StatementID
}

func newCommune(tb testing.TB, change func(*election.Manifest)) *commune {
	tb.Helper()
	m := &commune{tb: tb, day: ledgertest.NewDay(tb, bureaux, maxElectors, change), right: ledger.Right{Elector: ledgertest.Elector(0), Kind: ledger.Admit}}
	for n := ledger.BureauNumber(1); n <= bureaux; n++ {
		m.stations[n] = &station{commune: m, n: n}
		m.stations[n].open()
	}
	return m
}

// open begins a session: the first of the day, or one after a crash.
func (u *station) open() {
	u.tb.Helper()
	var before *ledger.Head
	if u.chain != nil {
		before = u.chain.Head()
	}
	u.opened++
	u.chain = u.day.Session(u.n, byte(u.n)<<4|u.opened)
	if before != nil {
		u.chain.At.Previous = before.Hash
	}
	u.chain.Put(&ledger.SessionOpened{Generation: 1, Media: 3, Continues: before})
	home, _ := u.day.Group.Home(u.right.Elector)
	u.c = &Context{
		Group: u.day.Group, Right: u.right, Home: home, Away: u.day.Manifest.Where != election.HomeBureau,
		Standing: ledger.Standing{Author: u.chain.Author},
	}
	u.s = u.c.Start()
	for _, was := range u.past {
		var why ledger.Validity
		if u.s, why = u.c.Recover(u.s, was.id, was.body, was.extract); why != ledger.Valid {
			u.tb.Fatalf("bureau %d reads %v: %v", u.n, was.body.Kind(), why)
		}
	}
}

// crash loses all that is volatile.
func (u *station) crash() {
	u.tb.Helper()
	u.sent, u.told, u.late, u.waits = nil, nil, nil, nil
	u.open()
}

// do steps with an event and returns the effects.
func (u *station) do(e Event) []Effect {
	u.tb.Helper()
	next, out := Step(u.c, u.s, e)
	u.s = next
	for _, f := range out {
		switch f := f.(type) {
		case Tell:
			u.told = append(u.told, f)
			if f.Refusal == ledger.NotRefused && f.Answers&CheckIn != 0 {
				u.lights = append(u.lights, f.Record)
			}
		case Send:
			u.sent = append(u.sent, f)
		case Defer:
			u.late = append(u.late, f.Event)
		case AwaitGroup:
			u.waits = append(u.waits, f.ID)
		case Alarm:
			u.alarm = append(u.alarm, f.Verdict)
		case Note:
			if v := u.chain.Put(f.Body).Verdicts[0]; v.Validity != ledger.Valid {
				u.tb.Fatalf("bureau %d notes %+v: %v", u.n, f.Body, v)
			}
		case Write:
			if u.s.Pending == nil {
				u.tb.Fatal("written and not pending")
			}
		}
	}
	return out
}

// durable makes the pending statement durable and has it placed: the ledger must call it
// valid and have the same record.
func (u *station) durable() []Effect {
	u.tb.Helper()
	was := u.record()
	out := u.do(Written{ID: was.id, Extract: was.extract})
	if rec := u.day.Group.ReadRecord(u.day.View, u.n, u.right); rec != u.s.Record {
		u.tb.Fatalf("bureau %d after %v: Step says %+v, the ledger %+v", u.n, was.body.Kind(), u.s.Record, rec)
	}
	return out
}

// record puts the pending statement into the chain and the ledger.
func (u *station) record() said {
	u.tb.Helper()
	body := u.s.Pending
	if body == nil {
		u.tb.Fatalf("bureau %d has nothing to write", u.n)
	}
	b := u.chain.Sign(body)
	x := b.Extract(0)
	enc, err := x.Encode()
	if err != nil {
		u.tb.Fatal(err)
	}
	ans := u.day.Place(b)
	if ans.Status != ledger.Placed || ans.Verdicts[0].Validity != ledger.Valid {
		u.tb.Fatalf("bureau %d: %v is placed as %+v", u.n, body.Kind(), ans)
	}
	was := said{x.ID(), body, enc}
	u.past = append(u.past, was)
	return was
}

// admit checks the elector in, with no answer from the group.
func (u *station) admit() {
	u.tb.Helper()
	u.do(Ask{Means: ledger.ByCard, Attester: 1})
	u.settle()
	u.mustTell(ledger.NotRefused)
}

// settle makes durable what is pending until nothing is, with no answer from the group,
// and takes up what was deferred.
func (u *station) settle() {
	u.tb.Helper()
	for {
		switch {
		case u.s.Pending != nil:
			u.durable()
		case u.s.Desk == Awaiting:
			u.do(Expired{})
		case len(u.late) > 0:
			e := u.late[0]
			u.late = u.late[1:]
			u.do(e)
		default:
			return
		}
	}
}

// message is the newest message, taken off; it must be of this kind.
func (u *station) message(k MessageKind) Send {
	u.tb.Helper()
	if len(u.sent) == 0 {
		u.tb.Fatalf("bureau %d has sent nothing", u.n)
	}
	m := u.sent[len(u.sent)-1]
	u.sent = nil
	if m.Message.Kind != k {
		u.tb.Fatalf("bureau %d sent message %d, want %d", u.n, m.Message.Kind, k)
	}
	return m
}

// silent demands that nothing was sent and nobody told since the last look.
func (u *station) silent() {
	u.tb.Helper()
	if len(u.sent) > 0 || len(u.told) > 0 {
		u.tb.Fatalf("bureau %d sent %d messages, told %+v", u.n, len(u.sent), u.told)
	}
}

// mustTell demands the newest answer to the desk, and takes them all off.
func (u *station) mustTell(r ledger.Refusal) Tell {
	u.tb.Helper()
	if len(u.told) == 0 {
		u.tb.Fatalf("bureau %d told nothing, want %q", u.n, r)
	}
	got := u.told[len(u.told)-1]
	u.told = nil
	if got.Refusal != r {
		u.tb.Fatalf("bureau %d told %q, want %q", u.n, got.Refusal, r)
	}
	return got
}

func (u *station) mustBe(s ledger.State, nonce uint32) {
	u.tb.Helper()
	if u.s.Record.State != s || u.s.Record.Nonce != nonce {
		u.tb.Fatalf("bureau %d has %v %d, want %v %d", u.n, u.s.Record.State, u.s.Record.Nonce, s, nonce)
	}
}

// get hands a message over.
func (u *station) get(m Send) []Effect {
	u.tb.Helper()
	return u.do(m.Message.Event())
}

// released is a commune whose bureau 2 asks; the release is on its way.
func released(tb testing.TB) (home, away *station, release Send) {
	tb.Helper()
	m := newCommune(tb, nil)
	home, away = m.stations[1], m.stations[2]
	away.do(Ask{Means: ledger.ByCard, Attester: 1})
	home.get(away.message(RequestMessage))
	home.durable()
	return home, away, home.message(ReleaseMessage)
}

// returned is a commune where bureau 2 has given the right back; the return is on its way.
func returned(tb testing.TB) (home, away *station, release, back Send) {
	tb.Helper()
	home, away, release = released(tb)
	away.do(Leave{})
	away.get(release)
	away.durable()
	return home, away, release, away.message(ReturnMessage)
}
