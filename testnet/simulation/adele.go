package simulation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"pointage/ledger"
	"pointage/tools/adele/platform"
	"pointage/tools/prepare/preparation"
)

const (
	// adeleName is the note name of the simulated platform's witness key.
	adeleName = "adele.testnet/witness"
	// adeleKeyFile keeps its secret key beside a simulated election.
	adeleKeyFile = "adele.key"
)

// adele is the reference platform, which can be away for a while: the witness, and beside it the
// regional platform that takes the commune's entries.
type adele struct {
	dir, key, election string
	addr, regionAddr   string
	logs               []platform.Log
	log                *slog.Logger

	mu     sync.Mutex
	server *platform.Server
	region *platform.Region
	stop   context.CancelFunc
	served chan error
}

// newAdele reads the key that was drawn with the election.
func newAdele(election, dir string, ins ledger.Commune, log *slog.Logger) (*adele, error) {
	key, err := os.ReadFile(filepath.Join(election, adeleKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read the witness's key: %w", err)
	}
	logs, err := platform.ReadLogs(filepath.Join(election, strconv.Itoa(int(ins)), preparation.LogVKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read the commune's log key: %w", err)
	}
	a := &adele{dir: dir, election: election, key: strings.TrimSpace(string(key)), logs: logs, log: log}
	for _, addr := range []*string{&a.addr, &a.regionAddr} {
		if *addr, err = freePort(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func drawAdele() (skey, vkey string, err error) { return platform.GenerateKey(rand.Reader, adeleName) }

func (a *adele) url() string { return "http://" + a.addr }

// regional is where the platform takes entries, and its pin.
func (a *adele) regional() (url, pin string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return "https://" + a.regionAddr, a.region.Pin()
}

// Start brings the platform up, also after it was away.
func (a *adele) Start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server != nil {
		return nil
	}
	s, err := platform.Open(a.dir, platform.Options{Key: a.key, Logs: a.logs, Now: time.Now, Logger: a.log})
	if err != nil {
		return fmt.Errorf("start ADELE: %w", err)
	}
	fail := func(err error) error { return errors.Join(fmt.Errorf("start ADELE: %w", err), s.Close()) }
	r, err := platform.OpenRegion(s, a.dir, platform.RegionOptions{Election: a.election})
	if err != nil {
		return fail(err)
	}
	witness, err := net.Listen("tcp", a.addr)
	if err != nil {
		return fail(err)
	}
	regional, err := net.Listen("tcp", a.regionAddr)
	if err != nil {
		return fail(errors.Join(err, witness.Close()))
	}
	ctx, stop := context.WithCancel(context.Background())
	a.server, a.region, a.stop, a.served = s, r, stop, make(chan error, 2)
	go func() { a.served <- s.Serve(ctx, witness) }()
	go func() { a.served <- r.Serve(ctx, regional) }()
	return nil
}

// Stop takes the platform away.
func (a *adele) Stop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server == nil {
		return nil
	}
	a.stop()
	err := errors.Join(<-a.served, <-a.served, a.server.Close())
	a.server = nil
	return err
}

// holds writes what the platform has of the commune's ledger, as experts verify it.
func (a *adele) holds(ins ledger.Commune, dir string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.region.ExportLedger(ins, dir)
}
