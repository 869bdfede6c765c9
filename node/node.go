// Package node is the station: it joins the floors into one bureau. Start is the only
// wiring there is; the program, the testnet and the tests all use it.
package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"pointage/consensus"
	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/rights"
	"pointage/node/anchor"
	"pointage/node/journal"
	"pointage/node/pollbook"
	"pointage/node/register"
	"pointage/node/store"
	"pointage/transport"
)

// Options are what a program gives beside the configuration.
type Options struct {
	// Passphrase opens the bureau's keys.
	Passphrase string
	// Program is the SHA-256 of the running program, for the opening's statement.
	Program ledger.Hash
	// Verified is shared by the bureaux of one process, so that each batch's
	// signature is checked once there; nil checks at every bureau.
	Verified *store.Verified
	Logger   *slog.Logger
}

// Node is one bureau at work.
type Node struct {
	cfg      Config
	prepared *Prepared
	keys     register.Keys
	secrets  election.Secrets
	log      *slog.Logger

	// In the order of starting; Close goes the other way round.
	register *register.Register
	lock     *os.File
	api      *api
	host     *transport.Host
	store    *store.Store
	journal  *journal.Journal
	group    *consensus.Group
	book     *pollbook.Pollbook
	rights   *answerer
	cosigns  *answerer
	notary   *notary
	anchorer *anchor.Anchorer
	anchors  *anchors

	peers *peers
	stop  context.CancelFunc
	work  sync.WaitGroup
	// receiver takes new entries once the pollbook is there.
	receiver atomic.Pointer[pollbook.Pollbook]
}

// Start brings a bureau up: keys and register into memory, then network, ledger, journal,
// group and table. It needs no other bureau. What had started is closed again on an error; an
// InputError comes before anything was written.
func Start(cfg Config, opt Options) (n *Node, err error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	n = &Node{cfg: cfg, log: opt.Logger.With("bureau", cfg.Bureau)}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	// What can be refused is looked at before the journal begins a session.
	for _, start := range []func(Options) error{
		n.unlock, n.lockData, n.listenAPI, n.startHost, n.startStore, n.startJournal, n.startGroup, n.startBook, n.startNotary, n.serveAPI,
	} {
		if err := start(opt); err != nil {
			if cerr := n.Close(); cerr != nil {
				err = errors.Join(err, cerr)
			}
			return nil, err
		}
	}
	n.work.Go(func() { n.watch(ctx) })
	if n.anchorer != nil {
		n.work.Go(func() { n.anchorer.Run(ctx) })
		n.work.Go(func() { n.wakeAnchorer(ctx) })
	}
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
	if n.keys, n.secrets, err = n.prepared.OpenKeys(n.cfg.Keys, opt.Passphrase, n.cfg.Bureau); err != nil {
		return InputError{err}
	}
	if n.register, err = n.prepared.OpenRegister(n.keys.Identity); err != nil {
		return InputError{err}
	}
	return nil
}

func (n *Node) lockData(Options) (err error) {
	n.lock, err = lockData(n.cfg.Data)
	return err
}

// startHost joins the network of the commune's machines and nobody else's.
func (n *Node) startHost(Options) (err error) {
	n.peers = &peers{id: map[ledger.BureauNumber]string{}, bureau: map[string]ledger.BureauNumber{}}
	addrs := map[ledger.BureauNumber][]string{}
	for _, p := range n.cfg.Peers {
		addrs[p.Bureau] = p.Addresses
	}
	var members []transport.Member
	for _, b := range n.prepared.Commune.Bureaux {
		id, err := transport.PeerID(b.Keys[0].Device)
		if err != nil {
			return fmt.Errorf("bureau %d: %w", b.Number, err)
		}
		n.peers.id[b.Number], n.peers.bureau[id] = id, b.Number
		members = append(members, transport.Member{Peer: id, Addrs: addrs[b.Number]})
	}
	n.host, err = transport.Start(transport.Config{
		Key: n.secrets.Device, Listen: n.cfg.Listen, Announce: n.cfg.Announce, Members: members, MDNS: n.cfg.MDNS, Logger: n.log,
	})
	if err == nil {
		n.peers.net = n.host
	}
	return err
}

func (n *Node) startJournal(Options) (err error) {
	n.journal, err = journal.Open(journalOptions(n.cfg, n.prepared.Group, n.keys, n.secrets.Device, n.log))
	return err
}

func journalOptions(cfg Config, g *ledger.Group, k register.Keys, device ed25519.PrivateKey, log *slog.Logger) journal.Options {
	opt := journal.Options{
		Group: g, Bureau: cfg.Bureau, Incarnation: k.Incarnation, Key: device, JournalKey: k.Journal,
		Random: rand.Reader, Now: now, Logger: log,
	}
	for i, path := range cfg.Media {
		opt.Media[i] = journal.Medium{Path: path}
	}
	return opt
}

// now is the device's clock: information for people, never the ground of a decision.
func now() ledger.Instant { return ledger.Instant(time.Now().UnixMilli()) }

func (n *Node) startStore(opt Options) (err error) {
	n.store, err = store.Open(filepath.Join(n.cfg.Data, "ledger"), n.prepared.Group, store.Options{
		Logger: n.log, Verified: opt.Verified,
		OnPlaced: func(entries []ledger.PlacedEntry) {
			if b := n.receiver.Load(); b != nil {
				b.Placed(entries)
			}
		},
	})
	return err
}

// storeNote is the journal's note of the number of this machine's Raft store: durable
// before the store exists, so that an identity never comes back with an empty one.
const storeNote = "raft store number"

// startGroup joins the commune's Raft group. A store that was lost gets a new number and
// joins when the leader adds it.
func (n *Node) startGroup(Options) error {
	number, existed, err := n.storeNumber()
	if err != nil {
		return err
	}
	n.group, err = n.openGroup(number, existed)
	if errors.Is(err, consensus.ErrStoreLost) || errors.Is(err, consensus.ErrDamaged) {
		n.log.Warn("the Raft store is gone, joining with a new one", "err", err)
		if err := os.RemoveAll(filepath.Join(n.cfg.Data, "raft")); err != nil {
			return fmt.Errorf("set the damaged store aside: %w", err)
		}
		if number, err = n.newStoreNumber(); err != nil {
			return err
		}
		n.group, err = n.openGroup(number, false)
	}
	if err != nil {
		return fmt.Errorf("start the group: %w", err)
	}
	return nil
}

func (n *Node) storeNumber() (number uint64, existed bool, err error) {
	if b, ok := n.journal.Note(storeNote); ok && len(b) == 8 {
		return binary.BigEndian.Uint64(b), true, nil
	}
	return 0, false, n.setStoreNumber(0)
}

func (n *Node) newStoreNumber() (uint64, error) {
	var b [8]byte
	rand.Read(b[:])
	number := binary.BigEndian.Uint64(b[:]) | 1 // never 0, the first store's
	return number, n.setStoreNumber(number)
}

func (n *Node) setStoreNumber(number uint64) error {
	if err := n.journal.SetNote(context.Background(), storeNote, binary.BigEndian.AppendUint64(nil, number)); err != nil {
		return fmt.Errorf("keep the Raft store's number: %w", err)
	}
	return nil
}

func (n *Node) openGroup(number uint64, existed bool) (*consensus.Group, error) {
	c := n.prepared.Commune
	votes := map[ledger.BureauNumber]bool{}
	for _, b := range c.Voting {
		votes[b] = true
	}
	var members []consensus.Member
	for _, b := range c.Bureaux {
		members = append(members, consensus.Member{Peer: n.peers.id[b.Number], Voting: votes[b.Number]})
	}
	return consensus.Start(consensus.Config{
		Dir: filepath.Join(n.cfg.Data, "raft"), Members: members, StoreNumber: number, StoreExisted: existed,
		Principal: n.peers.id[c.Principal], Deputy: n.peers.id[c.Deputy], Logger: n.log,
	}, n.host, n.store)
}

func (n *Node) startBook(opt Options) (err error) {
	m := n.prepared.Manifest
	n.book, err = pollbook.Open(pollbook.Config{
		Group: n.prepared.Group, Journal: n.journal, Peers: n.peers, Proposer: proposer{n.group}, View: n.store,
		Away: m.Where != election.HomeBureau, Barrier: time.Duration(m.BarrierMillis) * time.Millisecond,
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

// Close ends the bureau cleanly: nobody is admitted any longer, what was durable
// stays, the media are level.
func (n *Node) Close() error {
	n.stop()
	var errs []error
	closeAll := func(cs ...interface{ Close() error }) {
		for _, c := range cs {
			errs = append(errs, c.Close())
		}
	}
	if n.api != nil {
		closeAll(n.api)
	}
	n.work.Wait()
	if n.cosigns != nil {
		closeAll(n.cosigns)
	}
	if n.rights != nil {
		closeAll(n.rights)
	}
	if n.book != nil {
		closeAll(n.book)
	}
	if n.group != nil {
		closeAll(n.group)
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
	if n.register != nil {
		n.register.Close()
	}
	if n.lock != nil {
		closeAll(n.lock)
	}
	return errors.Join(errs...)
}
