package pollbook

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
	"pointage/ledger/rights"
	"pointage/node/journal"
	"pointage/node/store"
)

const (
	// patience bounds every wait of a test.
	patience = time.Minute
	// never is a barrier that no test waits for.
	never = time.Minute
)

// commune is bureaux at work on real journals, real ledgers and real pollbooks. The group is
// one log that every linked bureau applies; cables carry the messages.
type commune struct {
	t       *testing.T
	day     *ledgertest.Day
	barrier time.Duration
	// asking is how long desks wait for a release.
	asking time.Duration
	away   bool

	mu      sync.Mutex
	log     [][]byte
	bureaux map[ledger.BureauNumber]*bureau
	cut     map[[2]ledger.BureauNumber]bool
	sent    []sent
}

type sent struct {
	from, to ledger.BureauNumber
	message  rights.Message
}

// bureau is one of them. Its owner is the test's goroutine; what others read is atomic or
// guarded by commune.mu.
type bureau struct {
	c       *commune
	number  ledger.BureauNumber
	dir     string
	store   *store.Store
	journal *journal.Journal
	book    *Pollbook
	// feed is the pollbook that new entries go to.
	feed atomic.Pointer[Pollbook]
	// isolated: no leader is known. shut: one is known, and nothing comes back until open is
	// closed; passes lets that many through. deaf: so many answers are lost on the way.
	isolated, shut atomic.Bool
	passes, deaf   atomic.Int32
	// commune.mu guards these: what was proposed, how many are under way and the most at a time. lag is
	// how long an answer takes.
	proposed       [][]byte
	underWay, most int
	lag            time.Duration
}

func newCommune(t *testing.T, change func(*commune)) *commune {
	t.Helper()
	c := &commune{
		t: t, day: ledgertest.NewDay(t, 3, 300, nil), barrier: never, asking: patience, away: true,
		bureaux: map[ledger.BureauNumber]*bureau{}, cut: map[[2]ledger.BureauNumber]bool{},
	}
	if change != nil {
		change(c)
	}
	return c
}

// home is the i-th elector at home at a bureau.
func home(n ledger.BureauNumber, i int) ledger.ElectorToken {
	return ledgertest.Elector(3*i + int(n) - 1)
}

func right(e ledger.ElectorToken) ledger.Right { return ledger.Right{Elector: e, Kind: ledger.Admit} }

// opened is a bureau that has declared itself open and is linked.
func (c *commune) opened(n ledger.BureauNumber) *bureau {
	c.t.Helper()
	b := c.started(n)
	b.open()
	b.linked()
	return b
}

// started is a bureau at work, not open.
func (c *commune) started(n ledger.BureauNumber) *bureau {
	c.t.Helper()
	b := &bureau{c: c, number: n, dir: c.t.TempDir()}
	for _, m := range []string{"disk", "key"} {
		if err := os.Mkdir(filepath.Join(b.dir, m), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := journal.Create(b.journalOptions()); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.bureaux[n] = b
	c.mu.Unlock()
	b.start()
	c.t.Cleanup(b.stop)
	return b
}

func (b *bureau) journalOptions() journal.Options {
	return journal.Options{
		Group: b.c.day.Group, Bureau: b.number, Key: ledgertest.Key(ledgertest.DeviceName(b.number, 0)),
		JournalKey: [32]byte{byte(b.number)}, Random: rand.Reader, Now: func() ledger.Instant { return ledgertest.Opens },
		Media: [3]journal.Medium{{Path: filepath.Join(b.dir, "disk")}, {Path: filepath.Join(b.dir, "key")}},
	}
}

func (b *bureau) start() {
	b.c.t.Helper()
	var err error
	if b.journal, err = journal.Open(b.journalOptions()); err != nil {
		b.c.t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(b.dir, "ledger"), b.c.day.Group, store.Options{OnPlaced: func(es []ledger.PlacedEntry) {
		if p := b.feed.Load(); p != nil {
			p.Placed(es)
		}
	}})
	if err != nil {
		b.c.t.Fatal(err)
	}
	b.c.mu.Lock()
	b.store = s
	b.c.mu.Unlock()
	b.book, err = Open(Config{
		Group: b.c.day.Group, Journal: b.journal, Peers: peers{b}, Proposer: group{b}, View: s,
		Away: b.c.away, Barrier: b.c.barrier, AskTimeout: b.c.asking,
	})
	if err != nil {
		b.c.t.Fatal(err)
	}
	b.feed.Store(b.book)
}

// stop ends the bureau's program.
func (b *bureau) stop() {
	if b.book == nil {
		return
	}
	b.feed.Store(nil)
	err := b.book.Close()
	b.book = nil
	b.c.mu.Lock()
	err = errors.Join(err, b.store.Close(), b.journal.Close())
	b.store = nil
	b.c.mu.Unlock()
	if err != nil {
		b.c.t.Error(err)
	}
}

func (b *bureau) restart() {
	b.c.t.Helper()
	b.stop()
	b.start()
}

func (b *bureau) open() {
	b.c.t.Helper()
	if err := b.book.OpenBureau(context.Background()); err != nil {
		b.c.t.Fatal(err)
	}
}

func (b *bureau) linked() {
	b.c.t.Helper()
	eventually(b.c.t, "the bureau is linked and has handed in all", func() bool {
		s := b.book.Status()
		return s.Link == Linked && s.Backlog == 0
	})
}

// isolate takes a bureau out of the group and off its cables; join brings it back.
func (b *bureau) isolate() {
	b.isolated.Store(true)
	b.c.setCut(b.number, true)
}

func (b *bureau) join() {
	b.isolated.Store(false)
	b.c.setCut(b.number, false)
}

func (c *commune) setCut(n ledger.BureauNumber, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for m := range c.bureaux {
		c.cut[[2]ledger.BureauNumber{n, m}], c.cut[[2]ledger.BureauNumber{m, n}] = cut, cut
	}
}

// oneWay cuts or heals the messages of one bureau to another.
func (c *commune) oneWay(from, to ledger.BureauNumber, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[[2]ledger.BureauNumber{from, to}] = cut
}

// put gives a batch that no bureau here made its place, as another machine's.
func (c *commune) put(batch []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, batch)
	c.apply()
}

// apply brings every linked bureau's ledger up to the log's end; mu is held.
func (c *commune) apply() (replies map[*bureau][][]byte) {
	replies = map[*bureau][][]byte{}
	for _, b := range c.bureaux {
		if b.store == nil || b.isolated.Load() {
			continue
		}
		from := b.store.Applied()
		if from < uint64(len(c.log)) {
			replies[b] = b.store.Apply(from+1, c.log[from:])
		}
	}
	return replies
}

// group is the commune's as one bureau has it.
type group struct{ b *bureau }

var errSilent = errors.New("no answer")

func (g group) Linked() bool { return !g.b.isolated.Load() }

func (g group) Propose(ctx context.Context, batch []byte) (*ledger.Answer, error) {
	b, c := g.b, g.b.c
	c.mu.Lock()
	b.proposed = append(b.proposed, bytes.Clone(batch))
	b.underWay++
	b.most = max(b.most, b.underWay)
	lag := b.lag
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		b.underWay--
		c.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(lag):
	}
	for b.shut.Load() && b.passes.Add(-1) < 0 {
		b.passes.Add(1)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	if b.isolated.Load() {
		return nil, errSilent
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, bytes.Clone(batch))
	replies := c.apply()[b]
	if b.deaf.Load() > 0 {
		b.deaf.Add(-1)
		return nil, errSilent
	}
	return ledger.DecodeAnswer(replies[len(replies)-1])
}

// peers carries one bureau's messages to the other pollbooks.
type peers struct{ b *bureau }

func (p peers) Send(_ context.Context, to ledger.BureauNumber, m rights.Message) error {
	c := p.b.c
	c.mu.Lock()
	cut, other := c.cut[[2]ledger.BureauNumber{p.b.number, to}], c.bureaux[to]
	c.sent = append(c.sent, sent{p.b.number, to, m})
	c.mu.Unlock()
	if cut || other == nil {
		return errSilent
	}
	if book := other.feed.Load(); book != nil {
		book.Receive(m)
	}
	return nil
}

// messages lists those of a kind that one bureau sent to another.
func (c *commune) messages(from, to ledger.BureauNumber, kind rights.MessageKind) (out []rights.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sent {
		if s.from == from && s.to == to && s.message.Kind == kind {
			out = append(out, s.message)
		}
	}
	return out
}

// asked is the desk's question in every test.
var asked = rights.Ask{Means: ledger.ByCard, Attester: 7}

// checkIn asks at a bureau's desk and wants an answer.
func (b *bureau) checkIn(e ledger.ElectorToken) Receipt {
	b.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := b.book.CheckIn(ctx, e, asked, 0)
	if err != nil {
		b.c.t.Fatal(err)
	}
	return r
}

// answered is what a desk that asked in the background was told.
type answered struct {
	receipt Receipt
	err     error
}

// begin asks at a bureau's desk and goes on.
func (b *bureau) begin(ctx context.Context, e ledger.ElectorToken) chan answered {
	out, book := make(chan answered, 1), b.book
	go func() {
		r, err := book.CheckIn(ctx, e, asked, 0)
		out <- answered{r, err}
	}()
	return out
}

func (c *commune) wait(ch chan answered) answered {
	c.t.Helper()
	select {
	case a := <-ch:
		return a
	case <-time.After(patience):
		c.t.Fatal("the desk was told nothing")
		panic("unreachable")
	}
}

// row is what a right's row at a bureau says.
func (b *bureau) row(e ledger.ElectorToken) (s rights.State) {
	b.book.mu.Lock()
	defer b.book.mu.Unlock()
	if r := b.book.rows[right(e)]; r != nil {
		return r.state
	}
	return rights.State{}
}

// chain lists the bodies of the bureau's own chain.
func (b *bureau) chain() (out []ledger.Body) {
	b.c.t.Helper()
	err := b.journal.Replay(func(batch *ledger.Batch, _ []ledger.Instant) error {
		for _, s := range batch.Statements {
			out = append(out, s.Body)
		}
		return nil
	})
	if err != nil {
		b.c.t.Fatal(err)
	}
	return out
}

// stated counts the statements of one kind in the bureau's chain.
func stated[T ledger.Body](b *bureau) (n int) {
	b.c.t.Helper()
	for _, body := range b.chain() {
		if _, ok := body.(T); ok {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, what string, held func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !held() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

// wantRefusal fails unless the receipt has the refusal and the bureau.
func wantRefusal(t *testing.T, r Receipt, want ledger.Refusal, at ledger.BureauNumber) {
	t.Helper()
	if r.Refusal != want || r.At != at {
		t.Fatalf("told %q at bureau %d, want %q at bureau %d", r.Refusal, r.At, want, at)
	}
}

func wantAdmitted(t *testing.T, r Receipt, replicated bool) {
	t.Helper()
	if r.Refusal != ledger.NotRefused || !r.Recorded || r.Record == (ledger.StatementID{}) || r.Replicated != replicated {
		t.Fatalf("told %+v, want an admission, replicated %v", r, replicated)
	}
}
