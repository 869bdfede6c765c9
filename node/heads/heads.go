// Package heads carries the bureaux' chains from peer to peer, outside the group: it tells
// how far each chain is known to go, fetches what is missing, and keeps the proof when two
// heads can't both stand.
//
// A bureau that comes back knows every admission as soon as it reaches any peer, and need not
// wait for the group. A leader that leaves batches out, a medium that was put back and a
// cloned one are noticed by whoever hears of two heads.
package heads

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"pointage/ledger"
)

// Limits of what is kept beside the ledger.
const (
	// exchangeEvery is the pace of exchanges, each with one connected peer, in turn.
	exchangeEvery = time.Second
	// askTimeout bounds one exchange with one peer.
	askTimeout = 5 * time.Second
	// maxAhead is how many batches of one author are kept that the ledger does not have,
	// maxAheadAll those of all.
	maxAhead, maxAheadAll = 4096, 65_536
	// maxFetches is how many answers are fetched from one peer in one exchange.
	maxFetches = 64
	// maxProofs is how many different contradictions are kept; beyond, they add nothing.
	maxProofs = 1024
	// relayAfter is how long a batch may be known and not placed before the leader proposes it
	// for its author, and overdue how long one of this bureau's own before it is called left out.
	relayAfter, overdue = 5 * time.Second, 10 * time.Second
)

// Peers are the other bureaux.
type Peers interface {
	// Connected lists those that can be reached now.
	Connected() []ledger.BureauNumber
	// AskHeads, AskChain and AskApplied put one question each and return its answer.
	AskHeads(ctx context.Context, b ledger.BureauNumber, q []byte) ([]byte, error)
	AskChain(ctx context.Context, b ledger.BureauNumber, q []byte) ([]byte, error)
	AskApplied(ctx context.Context, b ledger.BureauNumber, q []byte) ([]byte, error)
}

// Ledger is the group's ledger as this bureau has it.
type Ledger interface {
	Head() ledger.ChainHead
	// Entry is the entry that a reference names.
	Entry(ref uint64) ([]byte, error)
	Heads() ([]ledger.SignedHeader, error)
	Chain(q ledger.ChainRequest, most int) (batches []*ledger.Batch, more bool, err error)
	// Openings lists the first headers of the machine's sessions.
	Openings(m ledger.Member) ([]ledger.SignedHeader, error)
	Answer(b *ledger.Batch) (ans ledger.Answer, placed bool)
	// Verify is the header's own Verify; what held once may be remembered.
	Verify(h *ledger.SignedHeader) error
}

// Own is this bureau's own chain.
type Own interface {
	// Backlog lists the durable batches that the group has not answered, oldest first.
	Backlog(most int) ([]*ledger.Batch, error)
	// Knows says whether the chain has the session up to the sequence number, exclusively.
	Knows(session ledger.SessionID, next uint64) bool
}

// Config is what a Heads is made of.
type Config struct {
	Group  *ledger.Group
	Self   ledger.Member
	Peers  Peers
	Ledger Ledger
	Own    Own
	// Sign signs how far this member's ledger goes.
	Sign func(ledger.ChainHead) *ledger.Word
	// Learned is told of each batch that is new here, once, before the ledger has it.
	Learned func(*ledger.Batch)
	// Record makes evidence durable in this bureau's chain.
	Record func(context.Context, ledger.Body) error
	// Relay proposes another author's batch where this member leads, and says false where not.
	Relay func(context.Context, *ledger.Batch) bool
	// Again proposes anew what this bureau's ledger has no place for.
	Again  func()
	Logger *slog.Logger
}

// Alarms are what people must know of. What proves a lie or a lost medium stays for the day; that batches wait for their
// place is over once they have it.
type Alarms struct {
	// Forks counts proofs of two histories of one machine, Equivocations those of two words.
	Forks, Equivocations int
	// RolledBack: peers have shown batches of this machine that its media do not hold.
	RolledBack bool
	// LeftOut: the ledger grows, but this bureau's batches get no place in it.
	LeftOut bool
	// Differs: a peer's ledger is not this one's.
	Differs bool
}

// Heads is one bureau's part in the exchange.
type Heads struct {
	cfg  Config
	stop context.CancelFunc
	work sync.WaitGroup

	mu sync.Mutex
	// ahead are batches of other authors that the ledger does not have yet, in their order.
	ahead map[ledger.Author][]known
	count int
	// touched counts the statements of ahead that are about each right.
	touched map[ledger.Right]int
	// settled is where the ledger and count stood when settle looked last.
	settled struct {
		head  ledger.ChainHead
		count int
	}
	// seen are identities of headers that agree with what is known, so that each is looked at once.
	seen map[ledger.Hash]bool
	// proofs are the contradictions that have been recorded.
	proofs map[[2]ledger.Hash]bool
	// words are the newest of each member, spoken what each bureau last spoke for itself.
	words   map[ledger.Member]*ledger.Word
	spoken  map[ledger.BureauNumber]Spoken
	alarms  Alarms
	answers answers
	// waits is this bureau's oldest batch without a place, since when, the ledger's size then, and whether it was told.
	waits struct {
		batch ledger.Hash
		since time.Time
		size  uint64
		told  bool
	}
}

// known is a batch that was fetched.
type known struct {
	*ledger.Batch
	since time.Time
}

// Start begins to exchange; Close ends it.
func Start(cfg Config) *Heads {
	ctx, stop := context.WithCancel(context.Background())
	h := newHeads(cfg)
	h.stop = stop
	h.work.Go(func() { h.run(ctx) })
	return h
}

func newHeads(cfg Config) *Heads {
	return &Heads{
		cfg: cfg, ahead: map[ledger.Author][]known{}, touched: map[ledger.Right]int{}, seen: map[ledger.Hash]bool{},
		proofs: map[[2]ledger.Hash]bool{}, words: map[ledger.Member]*ledger.Word{}, spoken: map[ledger.BureauNumber]Spoken{}, answers: newAnswers(),
	}
}

// Close ends the exchange and waits for it.
func (h *Heads) Close() error {
	h.stop()
	h.work.Wait()
	return nil
}

// Alarms says what was noticed since the start.
func (h *Heads) Alarms() Alarms {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.alarms
	a.LeftOut = a.LeftOut || h.waits.told
	return a
}

// Ahead is how many batches are known that the ledger does not have yet.
func (h *Heads) Ahead() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// Known lists the batches of other authors that the ledger does not have yet.
func (h *Heads) Known() (out []*ledger.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, batches := range h.ahead {
		for _, b := range batches {
			out = append(out, b.Batch)
		}
	}
	return out
}

// Spoken is what a bureau last said of its own ledger.
type Spoken struct {
	At time.Time
	// Epoch and Size are its ledger's then.
	Epoch uint8
	Size  uint64
}

// Spoke says when a bureau last spoke for itself, and how far its ledger went; false for never.
func (h *Heads) Spoke(b ledger.BureauNumber) (Spoken, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w, ok := h.spoken[b]
	return w, ok
}

// Waits is since when the oldest batch of a bureau that has no place in the ledger is known; false when all have one.
func (h *Heads) Waits(b ledger.BureauNumber) (since time.Time, some bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for a, batches := range h.ahead {
		if a.Bureau == b && (!some || batches[0].since.Before(since)) {
			since, some = batches[0].since, true
		}
	}
	return since, some
}

// Admissions lists the admissions of a right that are known from chains alone; Position is 0,
// since they have no place yet. They warn early, and decide nothing.
func (h *Heads) Admissions(x ledger.Right) (out []ledger.LiveAdmission) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.touched[x] == 0 {
		return nil
	}
	for a, batches := range h.ahead {
		for _, b := range batches {
			for i, s := range b.Statements {
				out = effect(out, a, b.Header.First+uint64(i), s.Body, x)
			}
		}
	}
	return out
}

// effect adds the admission that a statement makes of the right, or takes away the one that
// it undoes.
func effect(as []ledger.LiveAdmission, a ledger.Author, sequence uint64, body ledger.Body, x ledger.Right) []ledger.LiveAdmission {
	if !slices.Contains(ledger.Touches(body), x) {
		return as
	}
	id := ledger.StatementID{Session: a.Session, Sequence: sequence}
	switch b := body.(type) {
	case *ledger.Admission, *ledger.Provisional, *ledger.ProxyAdmission:
		return append(as, ledger.LiveAdmission{Bureau: a.Bureau, ID: id})
	case *ledger.Void:
		id.Sequence = b.Sequence
	case *ledger.Annulment:
		id = b.Record
	default:
		return as
	}
	return slices.DeleteFunc(as, func(l ledger.LiveAdmission) bool { return l.ID == id })
}

// touch counts a batch's statements; mu is held.
func (h *Heads) touch(b *ledger.Batch, by int) {
	for _, s := range b.Statements {
		for _, x := range ledger.Touches(s.Body) {
			if h.touched[x] += by; h.touched[x] == 0 {
				delete(h.touched, x)
			}
		}
	}
}

// mine are the heads that this bureau knows: one of each machine's newest placed session, and the
// ends of what goes beyond.
func (h *Heads) mine() ([]ledger.SignedHeader, error) {
	out, err := h.cfg.Ledger.Heads()
	if err != nil {
		return nil, err
	}
	own, err := h.cfg.Own.Backlog(maxAhead)
	if err != nil {
		return nil, err
	}
	if len(own) > 0 {
		out = append(out, own[len(own)-1].Signed())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, batches := range h.ahead {
		out = append(out, batches[len(batches)-1].Signed())
	}
	return out[:min(len(out), ledger.MaxHeads)], nil
}

func memberOf(a ledger.Author) ledger.Member {
	return ledger.Member{Bureau: a.Bureau, Incarnation: a.Incarnation}
}

// settle forgets the batches that the ledger has by now.
func (h *Heads) settle() {
	head := h.cfg.Ledger.Head()
	h.mu.Lock()
	defer h.mu.Unlock()
	if head == h.settled.head && h.count == h.settled.count {
		return
	}
	for a, batches := range h.ahead {
		n := 0
		end, newest := h.placed(a)
		for n < len(batches) && (!newest || batches[n].Header.First < end) {
			if _, placed := h.cfg.Ledger.Answer(batches[n].Batch); !placed {
				break
			}
			h.touch(batches[n].Batch, -1)
			n++
		}
		h.count -= n
		if h.ahead[a] = batches[n:]; n == len(batches) {
			delete(h.ahead, a)
		}
	}
	h.settled.head, h.settled.count = head, h.count
}
