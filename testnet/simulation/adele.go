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
)

const (
	// adeleName is the note name of the simulated platform's witness key.
	adeleName = "adele.testnet/witness"
	// adeleKeyFile keeps its secret key beside a simulated election.
	adeleKeyFile = "adele.key"
)

// adele is the reference platform, which can be away for a while.
type adele struct {
	dir, key, addr string
	logs           []platform.Log
	log            *slog.Logger

	mu     sync.Mutex
	server *platform.Server
	stop   context.CancelFunc
	served chan error
}

// newAdele reads the key that was drawn with the election.
func newAdele(election, dir string, ins ledger.Commune, log *slog.Logger) (*adele, error) {
	key, err := os.ReadFile(filepath.Join(election, adeleKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read the witness's key: %w", err)
	}
	logs, err := platform.ReadLogs(filepath.Join(election, strconv.Itoa(int(ins))))
	if err != nil {
		return nil, fmt.Errorf("read the commune's log key: %w", err)
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	return &adele{dir: dir, key: strings.TrimSpace(string(key)), addr: addr, logs: logs, log: log}, nil
}

func drawAdele() (skey, vkey string, err error) { return platform.GenerateKey(rand.Reader, adeleName) }

func (a *adele) url() string { return "http://" + a.addr }

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
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		return errors.Join(fmt.Errorf("start ADELE: %w", err), s.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	a.server, a.stop, a.served = s, stop, make(chan error, 1)
	go func() { a.served <- s.Serve(ctx, l) }()
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
	err := errors.Join(<-a.served, a.server.Close())
	a.server = nil
	return err
}
