package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/node"
	"pointage/node/store"
	"pointage/tools/prepare/preparation"
)

// station is one bureau as its operator has it.
type station interface {
	Start(ctx context.Context) error
	// Stop ends the bureau cleanly, Kill as a power cut does, as far as this kind of
	// station can.
	Stop() error
	Kill() error
	Open(ctx context.Context) error
	Close(ctx context.Context) error
	CheckIn(ctx context.Context, id node.Identification) (node.Answer, error)
	CheckInProxy(ctx context.Context, x node.Proxy) (node.ProxyAnswer, error)
	// Annul takes back an admission after its light, by two members.
	Annul(ctx context.Context, a annulment) (node.Correction, error)
	Status(ctx context.Context) (node.Status, error)
	Export(ctx context.Context, dir string) error
	// Import and Replace are node.Node's.
	Import(ctx context.Context, from node.OldMedia) (*node.Imported, error)
	Replace(ctx context.Context, member int) error
	// Amend and Recover are node.Node's Amend and BeginEpoch.
	Amend(ctx context.Context, a node.Amendment) (*node.Amended, error)
	Recover(ctx context.Context, signers []node.Signing) (*node.NextEpoch, error)
}

// errDown is the answer of a station that is stopped.
var errDown = errors.New("the bureau is down")

// bureau is a station with what the simulation knows of it.
type bureau struct {
	station
	number ledger.BureauNumber
	dir    string
	config node.Config
	listen string
	// clock is its machine's, where it is no process of its own.
	clock clock
	// tables is held for reading while an elector is at one.
	tables sync.RWMutex
}

// checkpointEvery is the pace of anchors in a compressed day.
const checkpointEvery = time.Second

// paperEvery is after the compressed day: a hundred bureaux on one machine would all draw their paper lists at once.
const paperEvery = 24 * time.Hour

// layOut makes every bureau's directory: configuration, media, keys; its cables lead to
// each of the others.
func (d *day) layOut() error {
	for i, b := range d.prepared.Commune.Bureaux {
		u := &bureau{number: b.Number, dir: filepath.Join(d.plan.Out, "bureaux", fmt.Sprintf("bureau-%03d", b.Number))}
		listen, err := freePort()
		if err != nil {
			return err
		}
		api, err := freePort()
		if err != nil {
			return err
		}
		screens := ""
		if d.plan.Serve != nil {
			if screens, err = freePort(); err != nil {
				return err
			}
		}
		u.listen = listen
		keys := filepath.Join(d.election, filepath.FromSlash(preparation.BureauDir(d.plan.Commune, b.Number)))
		u.config = node.Config{
			Election: d.election, Commune: d.plan.Commune, Bureau: b.Number,
			Keys: filepath.Join(keys, preparation.KeysFile), PassphraseFile: filepath.Join(keys, preparation.PassphraseFile),
			Data: "data", Media: []string{"disk", "key1", "key2"}, Listen: []string{multiaddr(listen)}, Announce: []string{}, API: api, Screens: screens,
			Witness: d.witnessURL, CheckpointEvery: node.Duration(checkpointEvery), PaperEvery: node.Duration(paperEvery),
		}
		if d.adele != nil {
			u.config.Platform, u.config.PlatformPin = d.adele.regional()
		}
		d.bureaux = append(d.bureaux, u)
		d.index[b.Number] = i
	}
	for i, u := range d.bureaux {
		if err := d.initialise(i, u); err != nil {
			return fmt.Errorf("bureau %d: %w", u.number, err)
		}
	}
	return nil
}

func (d *day) initialise(i int, u *bureau) error {
	for j, v := range d.bureaux {
		if i == j || d.land != nil {
			continue
		}
		at, err := d.cables.Address(i, j)
		if err != nil {
			return err
		}
		u.config.Peers = append(u.config.Peers, node.Peer{Bureau: v.number, Addresses: []string{multiaddr(at)}})
	}
	if d.land != nil {
		d.land.furnish(d, i, &u.config)
	}
	return d.found(u)
}

// found formats a bureau's media and makes the station that will run it.
func (d *day) found(u *bureau) error {
	for _, m := range u.config.Media[:d.attached] {
		if err := os.MkdirAll(filepath.Join(u.dir, m), 0o700); err != nil {
			return err
		}
	}
	pass, err := readPassphrase(u)
	if err != nil {
		return err
	}
	if err := node.Init(u.dir, u.config, pass, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	return d.equip(u)
}

// equip makes the station that runs the bureau in its directory; one that is there already is stopped.
func (d *day) equip(u *bureau) error {
	pass, err := readPassphrase(u)
	if err != nil {
		return err
	}
	log, err := d.logFile(u)
	if err != nil {
		return err
	}
	switch s := u.station.(type) {
	case *process: // a stopped one goes on elsewhere
		s.dir, s.config, s.log = u.dir, u.config, log
	case *inProcess:
		s.dir, s.passphrase, s.log = u.dir, pass, slog.New(slog.NewTextHandler(log, nil))
	default:
		if d.plan.Processes {
			p := &process{program: d.program, dir: u.dir, config: u.config, log: log}
			if d.land != nil {
				p.place = d.land.places[d.index[u.number]]
				p.client.Transport = dialIn(p.place)
			}
			u.station = p
			return nil
		}
		u.station = &inProcess{dir: u.dir, passphrase: pass, verified: d.verified, clock: &u.clock, log: slog.New(slog.NewTextHandler(log, nil))}
	}
	return nil
}

func (d *day) logFile(u *bureau) (*os.File, error) {
	dir := filepath.Join(d.plan.Out, "logs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, filepath.Base(u.dir)+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	d.logs = append(d.logs, f)
	return f, nil
}

// Ports below those that the system gives to outgoing connections (from 32768 on Linux,
// 49152 elsewhere), so that none is taken between finding and listening, nor while a bureau is down.
const firstPort, lastPort = 10_000, 32_000

// givenPorts are the addresses that freePort gave in this process.
var givenPorts sync.Map

// freePort finds a loopback address that nobody listens at and that was not given before.
func freePort() (string, error) {
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		if _, given := givenPorts.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("no free port between %d and %d on the loopback", firstPort, lastPort)
}

// multiaddr is host:port for TCP alone: the simulated cables carry nothing else.
func multiaddr(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		panic("address of a listener: " + err.Error())
	}
	return "/ip4/" + host + "/tcp/" + port
}

// inProcess runs the bureau with node.Start, as the program does.
type inProcess struct {
	dir, passphrase string
	verified        *store.Verified
	clock           *clock
	log             *slog.Logger

	mu   sync.RWMutex
	node *node.Node
}

func (s *inProcess) Start(context.Context) error {
	cfg, err := node.LoadConfig(filepath.Join(s.dir, node.ConfigFile))
	if err != nil {
		return err
	}
	n, err := node.Start(cfg, node.Options{Passphrase: s.passphrase, Verified: s.verified, Clock: s.clock.now, Logger: s.log})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = n
	return nil
}

func (s *inProcess) Stop() error {
	s.mu.Lock()
	n := s.node
	s.node = nil
	s.mu.Unlock()
	if n == nil {
		return nil
	}
	return n.Close()
}

// Kill is Stop: within one process nothing else can be had. --processes kills.
func (s *inProcess) Kill() error { return s.Stop() }

func (s *inProcess) running() (*node.Node, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.node == nil {
		return nil, errDown
	}
	return s.node, nil
}

func (s *inProcess) Open(ctx context.Context) error {
	n, err := s.running()
	if err != nil {
		return err
	}
	return n.Open(ctx)
}

func (s *inProcess) Close(ctx context.Context) error {
	n, err := s.running()
	if err != nil {
		return err
	}
	return n.CloseBureau(ctx)
}

func (s *inProcess) CheckIn(ctx context.Context, id node.Identification) (node.Answer, error) {
	n, err := s.running()
	if err != nil {
		return node.Answer{}, err
	}
	return n.CheckIn(ctx, id)
}

func (s *inProcess) Status(context.Context) (node.Status, error) {
	n, err := s.running()
	if err != nil {
		return node.Status{}, err
	}
	return n.Status(), nil
}

func (s *inProcess) Import(ctx context.Context, from node.OldMedia) (*node.Imported, error) {
	n, err := s.running()
	if err != nil {
		return nil, err
	}
	return n.Import(ctx, from)
}

func (s *inProcess) Replace(ctx context.Context, member int) error {
	n, err := s.running()
	if err != nil {
		return err
	}
	return n.ReplaceMedium(ctx, member)
}

func (s *inProcess) Amend(ctx context.Context, a node.Amendment) (*node.Amended, error) {
	n, err := s.running()
	if err != nil {
		return nil, err
	}
	return n.Amend(ctx, a)
}

func (s *inProcess) Recover(ctx context.Context, signers []node.Signing) (*node.NextEpoch, error) {
	n, err := s.running()
	if err != nil {
		return nil, err
	}
	return n.BeginEpoch(ctx, signers)
}

func (s *inProcess) Export(_ context.Context, dir string) error {
	n, err := s.running()
	if err != nil {
		return err
	}
	return n.Export(dir)
}
