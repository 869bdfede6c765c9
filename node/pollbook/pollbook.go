// Package pollbook is what a bureau does at its table: open, check in, correct and
// close, with the rights protocol behind it.
//
// The decision on every right is rights.Step's; this package carries its effects out:
// statements go to the journal, messages to the other bureaux, answers to the desk.
package pollbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/journal"
)

// Limits of what waits at one bureau.
const (
	// maxDeferred is how many messages wait for one right's statement to be durable; beyond,
	// they are dropped: their senders repeat them.
	maxDeferred = 64
	// maxSending is how many messages to other bureaux are on their way at a time, maxSendingTo
	// to one of them: one that does not answer leaves room for the others.
	maxSending, maxSendingTo = 256, 32
	// maxNoting is how many refused attempts wait to be recorded.
	maxNoting = 1024
	// maxOut is how many rights lie at one other bureau without being known to be used. An
	// honest bureau needs as many as it has desks; one that asks for the whole roll gets
	// no more.
	maxOut = 64
	// lookEvery is the pace of looking into the ledger which of those have been used.
	lookEvery = time.Second
	// requestEvery is how often a request is repeated while the desk waits.
	requestEvery = 500 * time.Millisecond
	// DefaultAskTimeout is how long the desk waits for another bureau's release.
	DefaultAskTimeout = 5 * time.Second
)

// Peers passes messages to other bureaux. Send may lose them.
type Peers interface {
	Send(ctx context.Context, to ledger.BureauNumber, m rights.Message) error
}

// Proposer is the group: it gives batches their place.
type Proposer interface {
	// Propose returns the group's answer for an encoded batch. After an error the
	// outcome is unknown, and the same bytes may be proposed again.
	Propose(ctx context.Context, batch []byte) (*ledger.Answer, error)
	// Linked says whether a leader is known.
	Linked() bool
}

// View is the group's ledger as this bureau has it.
type View interface {
	Admissions(x ledger.Right) []ledger.LiveAdmission
	// Answer is the group's answer for a batch that is placed here already.
	Answer(b *ledger.Batch) (ans ledger.Answer, placed bool)
}

// Config is what a pollbook is made of.
type Config struct {
	Group *ledger.Group
	// Journal is open; the pollbook reads and writes it, its owner closes it after
	// the pollbook.
	Journal  *journal.Journal
	Peers    Peers
	Proposer Proposer
	View     View
	// Away says whether rights may leave home (the manifest's policy).
	Away bool
	// Unfenced marks an incarnation that may only admit provisionally.
	Unfenced bool
	// Retired says whether an amendment has retired a machine's key: what it releases or returns
	// no longer arrives. Nil for never.
	Retired func(ledger.Member) bool
	// Barrier is D: how long an admission waits for the group. AskTimeout is how
	// long the desk waits for a release.
	Barrier, AskTimeout time.Duration
	// Register and Program are hashes for the opening's statement.
	Register, Program ledger.Hash
	Logger            *slog.Logger
}

// Link is how a bureau stands with its group.
type Link uint8

// The links.
const (
	// Linked: the group answers.
	Linked Link = iota
	// Alone: it does not; admissions don't wait for it.
	Alone
	// CatchingUp: it answers again, and the batches made meanwhile are on their way to it.
	// Admissions would wait behind them, and don't.
	CatchingUp
)

// String names the link.
func (l Link) String() string { return [...]string{"linked", "alone", "catching up"}[l] }

// Receipt is the answer to the desk.
type Receipt struct {
	// Refusal is ledger.NotRefused when the elector is admitted.
	Refusal ledger.Refusal
	// Of is which of a proxy's rights was refused: the principal's admit or the holder's carry
	// right; 0 where there is but one.
	Of ledger.RightKind
	// At is the bureau of the admission, or where to go; 0 when unknown.
	At ledger.BureauNumber
	// Record is the admission in this bureau's chain, also the earlier one that a
	// refusal rests on; zero when there is none here. A second tap gets the first's.
	Record ledger.StatementID
	// Recorded: durable on two media. Replicated: the group has it as the first.
	Recorded, Replicated bool
}

// Pollbook is one bureau's table. It is safe for use by many goroutines.
type Pollbook struct {
	cfg  Config
	self ledger.BureauNumber
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup
	// declaring is held by the act that opens or closes the bureau.
	declaring chan struct{}
	tries     tries

	mu sync.Mutex
	// rows holds every right of which more is known than the roll says.
	rows map[ledger.Right]*row
	// out lists for each other bureau the rights released to it that are not known to be
	// used, looked when that was last compared with the ledger.
	out    map[ledger.BureauNumber]map[ledger.Right]bool
	looked map[ledger.BureauNumber]time.Time
	// sending counts messages on their way, by bureau and in all; noting refused attempts on
	// their way into the chain.
	sendingTo       map[ledger.BureauNumber]int
	sending, noting int
	open            bool
	closed          bool
	link            Link
	tally           Tally
	// desks counts acts of the desk under way; left is closed and replaced when one ends.
	desks int
	left  chan struct{}
	// handedIn is the chain's batch up to which the group has answered.
	handedIn journal.Cursor
	// endRound ends the present round of upload.
	endRound context.CancelFunc
	// sessions are those that Open replayed, and how far each goes.
	sessions map[ledger.SessionID]uint64
}

// Tally counts what this bureau's desks were told since this opening of the media, and
// what stands in its chain.
type Tally struct {
	// Admitted counts live admissions in this bureau's own chain, by proxy too; Away those of
	// electors who are at home elsewhere, Proxies those by proxy.
	Admitted, Away, Proxies int
	// Refused counts refused attempts.
	Refused int
	// Voided counts admissions taken back before the light, Annulled after it.
	Voided, Annulled int
	// Alarms counts what people must look at: conflicts that the group reported after the light, and
	// batches that it did not place.
	Alarms int
}

// Open replays the bureau's chain and takes up the work where it stopped.
func Open(cfg Config) (*Pollbook, error) {
	if cfg.AskTimeout == 0 {
		cfg.AskTimeout = DefaultAskTimeout
	}
	if cfg.Retired == nil {
		cfg.Retired = func(ledger.Member) bool { return false }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pollbook{
		cfg: cfg, self: cfg.Journal.Author().Bureau, declaring: make(chan struct{}, 1),
		rows: map[ledger.Right]*row{}, out: map[ledger.BureauNumber]map[ledger.Right]bool{}, looked: map[ledger.BureauNumber]time.Time{},
		sendingTo: map[ledger.BureauNumber]int{}, link: Alone, left: make(chan struct{}), handedIn: cfg.Journal.Start(),
		sessions: map[ledger.SessionID]uint64{},
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	// A machine before this one belongs to the bureau's records as far as its media were read.
	if err := cfg.Journal.Inherited(func(b *ledger.Batch, _ []ledger.Instant) error { return p.replay(b) }); err != nil {
		return nil, fmt.Errorf("replay the machine before: %w", err)
	}
	if err := cfg.Journal.Replay(func(b *ledger.Batch, _ []ledger.Instant) error { return p.replay(b) }); err != nil {
		return nil, fmt.Errorf("replay journal: %w", err)
	}
	p.giveBackHeld()
	p.work.Go(p.upload)
	return p, nil
}

// replay takes one durable batch of this bureau's own chain into the rows (R13).
func (p *Pollbook) replay(b *ledger.Batch) error {
	p.sessions[b.Header.Author.Session] = b.Header.Next()
	for i, s := range b.Statements {
		switch s.Body.(type) {
		case *ledger.BureauOpened:
			p.open = true
		case *ledger.BureauClosed:
			p.open = false
		}
		touched := ledger.Touches(s.Body)
		if len(touched) == 0 {
			continue
		}
		x := b.Extract(i)
		enc, err := x.Encode()
		if err != nil {
			return err
		}
		for _, right := range touched {
			r := p.row(right)
			before := r.state
			next, why := r.ctx.Recover(r.state, x.ID(), s.Body, enc)
			if why != ledger.Valid && b.Header.Author.Incarnation > 0 {
				// What it did provisionally, not knowing what the machine before had done.
				p.tally.Alarms++
				continue
			}
			if why != ledger.Valid {
				return fmt.Errorf("statement %d of %v: %v", x.ID().Sequence, b.Header.Author, why)
			}
			r.state = next
			p.count(r, before, next)
		}
	}
	return nil
}

// giveBackHeld returns the rights that had arrived for a desk that no longer waits.
func (p *Pollbook) giveBackHeld() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rows {
		if r.state.Record.State == ledger.Held {
			p.stepLocked(r, rights.Leave{}, nil)
		}
	}
}

// Close ends what is under way. Whoever waits gets ErrClosed; what was durable stays so.
func (p *Pollbook) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rows {
		r.end()
	}
	return nil
}

// Status is the bureau's state for its screens and its health.
type Status struct {
	Open bool
	Link Link
	// Backlog is how many durable batches the group does not have yet.
	Backlog int
	Tally   Tally
}

// Status reports the bureau's state.
func (p *Pollbook) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Open: p.open, Link: p.link, Backlog: p.cfg.Journal.Behind(p.handedIn), Tally: p.tally}
	if !p.cfg.Proposer.Linked() {
		s.Link = Alone
	}
	return s
}

// Backlog lists the durable batches that the group has not answered, oldest first.
func (p *Pollbook) Backlog(most int) ([]*ledger.Batch, error) {
	p.mu.Lock()
	from := p.handedIn
	p.mu.Unlock()
	return p.cfg.Journal.From(from, most)
}

// Knows says whether this bureau's chain has the session up to the sequence number, exclusively.
func (p *Pollbook) Knows(session ledger.SessionID, next uint64) bool {
	if session == p.cfg.Journal.Author().Session {
		return next <= p.cfg.Journal.Point().Next
	}
	return next <= p.sessions[session] // Open's, and read only since
}

// ErrClosed is the fault of acts that Close cut short or that came after it: an admission may
// be recorded all the same, and asking again after the next start tells.
var ErrClosed = errors.New("the bureau's program is ending: ask again when it is up")

// OpenBureau declares the bureau open to electors; a second time it does nothing.
func (p *Pollbook) OpenBureau(ctx context.Context) error {
	return p.declare(ctx, true)
}

// CloseBureau declares the bureau closed; who queued at closing time has voted before. Acts
// of the desk that are under way end first, so that they are counted.
func (p *Pollbook) CloseBureau(ctx context.Context) error {
	return p.declare(ctx, false)
}

func (p *Pollbook) declare(ctx context.Context, open bool) error {
	select {
	case p.declaring <- struct{}{}:
		defer func() { <-p.declaring }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	was, closed := p.open, p.closed
	p.open = p.open && open // nobody begins an act while the bureau closes
	p.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if was == open {
		return nil
	}
	var body ledger.Body = &ledger.BureauOpened{Register: p.cfg.Register, Program: p.cfg.Program}
	err := error(nil)
	if !open {
		body, err = p.closing(ctx)
	}
	if err == nil {
		_, err = p.cfg.Journal.Append(ctx, body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.open = was
		return fmt.Errorf("record opening or closing: %w", err)
	}
	p.open = open
	return nil
}

// closing waits for the desks and counts.
func (p *Pollbook) closing(ctx context.Context) (ledger.Body, error) {
	for {
		p.mu.Lock()
		desks, left, n := p.desks, p.left, p.tally.Admitted
		p.mu.Unlock()
		if desks == 0 {
			return &ledger.BureauClosed{CheckedIn: uint32(n)}, nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Record puts a statement that moves no right into the bureau's chain: attendance,
// counts, anchors. It returns when the statement is durable.
func (p *Pollbook) Record(ctx context.Context, body ledger.Body) error {
	if len(ledger.Touches(body)) > 0 {
		panic(fmt.Sprintf("statement of kind %d moves a right and is Step's to make", body.Kind()))
	}
	if _, err := p.cfg.Journal.Append(ctx, body); err != nil {
		return fmt.Errorf("record statement: %w", err)
	}
	return nil
}
