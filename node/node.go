// Package node is the station: it joins the floors into one bureau. Start is the only
// wiring there is; the program, the testnet and the tests all use it.
package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pointage/consensus"
	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/rights"
	"pointage/node/anchor"
	"pointage/node/heads"
	"pointage/node/journal"
	"pointage/node/pollbook"
	"pointage/node/register"
	"pointage/node/store"
	"pointage/node/web"
	"pointage/transport"
)

// Options are what a program gives beside the configuration.
type Options struct {
	// Passphrase opens the bureau's keys.
	Passphrase string
	// Program is the SHA-256 of the running program, for the opening's statement.
	Program ledger.Hash
	// Verified is shared by the bureaux of one process, so that each batch's
	// signature is checked once there; nil for one of the bureau's own.
	Verified *store.Verified
	// Clock is the time of day that is shown and written down; nil for the machine's. Nothing is decided by it.
	Clock  func() time.Time
	Logger *slog.Logger
}

// Node is one bureau at work.
type Node struct {
	cfg      Config
	prepared *Prepared
	keys     register.Keys
	secrets  election.Secrets
	log      *slog.Logger
	clock    func() time.Time

	// In the order of starting; Close goes the other way round.
	register *register.Register
	// members are those convened for the commune's bureaux.
	members []register.Member
	witness *anchor.Client
	locked  locked
	api     *api
	// screens are nil where none are configured. screensAt and tabletsAt are their addresses.
	screens              *web.Server
	screensAt, tabletsAt net.Listener
	fingerprint          string
	stopCards            func()
	// opener tells the passphrase that opened the keys.
	opener  opener
	program ledger.Hash
	rows    rows
	host    *transport.Host
	store   *store.Store
	journal *journal.Journal
	book    *pollbook.Pollbook
	rights  *answerer
	heads   atomic.Pointer[heads.Heads]
	chains  []*answerer
	cosigns *answerer
	notary  *notary
	// group and anchoring are the present epoch's.
	group     atomic.Pointer[consensus.Group]
	anchoring atomic.Pointer[anchoring]
	// uploads is nil where no platform is configured.
	uploads *uploads
	// amending is held by whoever takes the next amendment's number.
	amending sync.Mutex
	// recovering is held by whoever moves to the next epoch; left says that nobody does any more.
	recovering sync.Mutex
	left       bool
	recoveries []*answerer

	peers *peers
	stop  context.CancelFunc
	work  sync.WaitGroup
	// day is what the bureaux declared so far, read when it is asked for.
	day day
	// receiver takes new entries once the pollbook is there.
	receiver atomic.Pointer[pollbook.Pollbook]
	// answers are timed for whoever watches.
	answers answerTimes
	// exporting is held by the one export that is written.
	exporting sync.Mutex
	// minuting is held by the one act that records minutes.
	minuting sync.Mutex
	closing  sync.Once
	closeErr error

	// acts is held for reading by every act from outside, and by Close when it takes away what
	// they use; shut says that it has.
	acts sync.RWMutex
	shut bool
}

// enter begins an act from outside; the caller leaves it by n.acts.RUnlock when there is no error.
func (n *Node) enter() error {
	n.acts.RLock()
	if n.shut {
		n.acts.RUnlock()
		return pollbook.ErrClosed
	}
	return nil
}

// Start brings a bureau up: keys and register into memory, then network, ledger, journal,
// group and table. It needs no other bureau. What had started is closed again on an error; an
// InputError comes before anything was written.
func Start(cfg Config, opt Options) (n *Node, err error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	n = &Node{cfg: cfg, clock: opt.Clock, answers: newAnswerTimes(), log: opt.Logger.With("bureau", cfg.Bureau)}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	// What can be refused is looked at before anything is written.
	for _, start := range []func(Options) error{
		n.unlock, n.lock, n.listenAPI, n.listenScreens, n.startHost, n.reopenStore, n.startJournal, n.startStore, n.startGroup, n.startBook, n.startHeads, n.startNotary, n.startUploads, n.startRecoveries, n.serveAPI, n.serveScreens,
	} {
		if err := start(opt); err != nil {
			return nil, inLine(errors.Join(err, n.Close()))
		}
	}
	n.work.Go(func() { n.watch(ctx) })
	n.work.Go(func() { n.tend(ctx) })
	n.work.Go(func() { n.tellAgain(ctx) })
	n.work.Go(func() { n.follow(ctx) })
	n.work.Go(func() { n.backups(ctx) })
	n.work.Go(func() { n.keepPaper(ctx) })
	n.work.Go(func() { n.upload(ctx) })
	n.work.Go(func() { n.handInInherited(ctx) })
	return n, nil
}

// unlock reads the prepared election and opens keys and register into memory.
func (n *Node) unlock(opt Options) (err error) {
	if n.prepared, err = ReadPrepared(n.cfg.Election, n.cfg.Commune); err != nil {
		return InputError{err}
	}
	if err := n.prepared.has(n.cfg); err != nil {
		return InputError{err}
	}
	if n.witness, err = n.prepared.witness(n.cfg); err != nil {
		return InputError{err}
	}
	if n.keys, n.secrets, err = n.prepared.OpenKeys(n.cfg.Keys, opt.Passphrase, n.cfg.Bureau); err != nil {
		return InputError{err}
	}
	n.opener, n.program = newOpener(opt.Passphrase), opt.Program
	if n.register, err = n.prepared.OpenRegister(n.keys.Identity); err != nil {
		return InputError{err}
	}
	if n.members, err = n.prepared.OpenMembers(n.keys.Identity); err != nil {
		return InputError{err}
	}
	return nil
}

// lock takes the bureau's directories. The media too: under another data directory a second
// program would go on from the same head, and admit whom this one admits.
func (n *Node) lock(Options) error {
	if err := n.locked.lock(n.cfg.Media...); err != nil {
		return err
	}
	return n.locked.lockData(n.cfg.Data, ownerOf(n.prepared.Group, n.cfg.Bureau))
}

// startHost joins the network of the commune's machines and nobody else's.
func (n *Node) startHost(Options) (err error) {
	if n.peers, err = newPeers(n.prepared.Commune); err != nil {
		return err
	}
	addrs := map[ledger.BureauNumber][]string{}
	for _, p := range n.cfg.Peers {
		addrs[p.Bureau] = p.Addresses
	}
	var members []transport.Member
	for b, ids := range n.peers.machines {
		for i, id := range ids { // a bureau's next machine stands where its first did
			members = append(members, transport.Member{Peer: id, Addrs: addrs[b], Later: i > 0})
		}
	}
	relays, err := n.peers.relays(n.cfg.Relays)
	if err != nil {
		return err
	}
	n.host, err = transport.Start(transport.Config{
		Relays: relays,
		Key:    n.secrets.Device, Listen: n.cfg.Listen, Announce: n.cfg.Announce, Members: members, MDNS: n.cfg.MDNS, Logger: n.log,
	})
	switch {
	case err != nil && strings.Contains(err.Error(), syscall.EADDRINUSE.Error()): // libp2p passes the words on, not the error
		return fmt.Errorf("an address to be reached at is taken: stop what uses it or change \"listen\" (%w)", err)
	case err != nil:
		return fmt.Errorf("%w: correct \"listen\", \"announce\" or \"peers\"", err)
	}
	n.peers.net = n.host
	return nil
}

func (n *Node) startJournal(Options) (err error) {
	n.journal, err = journal.Open(journalOptions(n.cfg, n.prepared.Group, n.keys, n.secrets.Device, n.now, n.log))
	return err
}

func journalOptions(cfg Config, g *ledger.Group, k register.Keys, device ed25519.PrivateKey, now func() ledger.Instant, log *slog.Logger) journal.Options {
	opt := journal.Options{
		Group: g, Bureau: cfg.Bureau, Incarnation: k.Incarnation, Key: device, JournalKey: k.Journal,
		Random: rand.Reader, Now: now, Logger: log,
	}
	copy(opt.Media[:], mediaAt(cfg.Data, cfg.Media...))
	return opt
}

// now is the device's clock: information for people, never the ground of a decision.
func (n *Node) now() ledger.Instant { return instantOf(n.clock()) }

func instantOf(t time.Time) ledger.Instant { return ledger.Instant(t.UnixMilli()) }

// reopenStore opens the ledger that is there, since it may be refused; a new one is founded
// when the media have opened.
func (n *Node) reopenStore(opt Options) error {
	if _, err := os.Stat(filepath.Join(n.cfg.Data, ledgerDir)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return n.openStore(opt)
}

func (n *Node) startStore(opt Options) error {
	if err := claimData(n.cfg.Data, ownerOf(n.prepared.Group, n.cfg.Bureau)); err != nil || n.store != nil {
		return err
	}
	return n.openStore(opt)
}

// ledgerDir is the store's directory in the data directory.
const ledgerDir = "ledger"

func (n *Node) openStore(opt Options) (err error) {
	n.store, err = store.Open(filepath.Join(n.cfg.Data, ledgerDir), n.prepared.Group, store.Options{
		Logger: n.log, Verified: opt.Verified,
		OnPlaced: func(entries []ledger.PlacedEntry) {
			if b := n.receiver.Load(); b != nil {
				b.Placed(entries)
			}
		},
	})
	return err
}

func (n *Node) startBook(opt Options) (err error) {
	m := n.prepared.Manifest
	if err := n.stateSettled(); err != nil {
		return err
	}
	n.book, err = pollbook.Open(pollbook.Config{
		Group: n.prepared.Group, Journal: n.journal, Peers: n.peers, Proposer: proposer{n}, View: known{n},
		Retired: n.retired, Away: m.Where != election.HomeBureau, Unfenced: n.journal.Unfenced(), Barrier: time.Duration(m.BarrierMillis) * time.Millisecond,
		Register: n.prepared.Commune.Register, Program: opt.Program, Logger: n.log,
	})
	if err != nil {
		return err
	}
	n.receiver.Store(n.book)
	n.rights, err = serve(n.host, protocolRights, n.receive)
	return err
}

// receive takes a message of the rights protocol. A request carries no signature: it is the
// peer's own, or it is nobody's.
func (n *Node) receive(peer string, q []byte) []byte {
	m, err := decodeMessage(q)
	if err != nil || m.Kind == rights.RequestMessage && m.By != n.peers.bureau[peer] {
		return nil
	}
	n.book.Receive(m)
	return []byte{}
}

// Close ends the bureau cleanly: nobody is admitted any longer, what was durable stays, the
// media are level. Acts under way hear pollbook.ErrClosed, as do those that come later. Closing
// again does nothing.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closeErr = inLine(n.close()) })
	return n.closeErr
}

func (n *Node) close() error {
	n.stop()
	var errs []error
	closeAll := func(cs ...interface{ Close() error }) {
		for _, c := range cs {
			errs = append(errs, c.Close())
		}
	}
	errs = append(errs, n.closeScreens())
	if n.api != nil {
		closeAll(n.api)
	}
	n.work.Wait()
	n.recovering.Lock()
	n.left = true
	n.recovering.Unlock()
	if a := n.anchoring.Load(); a != nil {
		a.Close()
	}
	for _, a := range n.recoveries {
		closeAll(a)
	}
	if n.cosigns != nil {
		closeAll(n.cosigns)
	}
	for _, a := range n.chains {
		closeAll(a)
	}
	if h := n.heads.Load(); h != nil {
		closeAll(h)
	}
	if n.rights != nil {
		closeAll(n.rights)
	}
	if n.book != nil {
		closeAll(n.book)
	}
	n.acts.Lock() // nobody waits at the table any longer
	n.shut = true
	n.acts.Unlock()
	if g := n.group.Load(); g != nil {
		closeAll(g)
	}
	if n.journal != nil {
		closeAll(n.journal)
	}
	if n.store != nil {
		closeAll(n.store)
	}
	if n.host != nil {
		closeAll(n.host)
	}
	if n.witness != nil {
		n.witness.Close()
	}
	if n.register != nil {
		n.register.Close()
	}
	closeAll(&n.locked)
	return errors.Join(errs...)
}

// lined tells an error in one line, however many it was joined from.
type lined struct{ error }

func (l lined) Error() string { return strings.ReplaceAll(l.error.Error(), "\n", "; ") }

// Unwrap gives the error itself.
func (l lined) Unwrap() error { return l.error }

func inLine(err error) error {
	if err == nil {
		return nil
	}
	return lined{err}
}
