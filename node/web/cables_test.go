package web_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node"
	"pointage/testnet/links"
	"pointage/tools/adele/platform"
	"pointage/tools/prepare/preparation"
)

// cabled is a commune whose bureaux reach each other by cables that can be cut, and whose checkpoints a real
// ADELE cosigns.
type cabled struct {
	*commune
	cables *links.Net
}

// newCabled lays out the usual three bureaux for so many electors; they are not started.
func newCabled(t *testing.T, electors int) *cabled {
	t.Helper()
	o := usual()
	o.electors = electors
	return newCabledOf(t, o)
}

func newCabledOf(t *testing.T, o order) *cabled {
	t.Helper()
	skey := prepareWitnessed(t, o)
	c := &cabled{commune: newCommune(t, o)}
	witness := serveWitness(t, c.election, skey)
	listen := map[int]string{}
	for n, s := range c.stations {
		cfg, err := node.LoadConfig(filepath.Join(s.dir, node.ConfigFile))
		if err != nil {
			t.Fatal(err)
		}
		listen[int(n)] = cfg.Listen[0]
	}
	c.cables = links.New(func(to int) string { return listen[to] })
	t.Cleanup(func() {
		for _, s := range c.stations {
			s.stop() // before the cables, which wait for what they carry
		}
		if err := c.cables.Close(); err != nil {
			t.Error(err)
		}
	})
	for n, s := range c.stations {
		change := []string{`"http://127.0.0.1:1"`, `"` + witness + `"`, `checkpoint_every = "0s"`, `checkpoint_every = "100ms"`}
		for m, at := range listen {
			by := at
			if m != int(n) {
				var err error
				if by, err = c.cables.Address(int(n), m); err != nil {
					t.Fatal(err)
				}
			}
			change = append(change, `"`+at+`"`, `"`+overTCP(t, by)+`"`)
		}
		s.reconfigure(change)
	}
	return c
}

// overTCP is host:port for TCP alone: the cables carry nothing else.
func overTCP(t *testing.T, hostPort string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/" + host + "/tcp/" + port
}

// reconfigure replaces texts of the bureau's configuration; each must be there.
func (s *station) reconfigure(change []string) {
	s.t.Helper()
	file := filepath.Join(s.dir, node.ConfigFile)
	b, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(change); i += 2 {
		if !bytes.Contains(b, []byte(change[i])) {
			s.t.Fatalf("the configuration has no %s", change[i])
		}
	}
	if err := os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(string(b))), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// prepareWitnessed makes an election whose witness's secret key it gives.
func prepareWitnessed(t *testing.T, o order) (skey string) {
	t.Helper()
	prepared.mu.Lock()
	defer prepared.mu.Unlock()
	parent, err := os.MkdirTemp("", "pointage-web-*")
	if err != nil {
		t.Fatal(err)
	}
	if prepared.dirs == nil {
		prepared.dirs = map[string]string{}
	}
	dir := filepath.Join(parent, "election")
	prepared.dirs[fmt.Sprint(o)] = dir
	skey, vkey, err := platform.GenerateKey(rand.Reader, "adele.test/witness")
	if err != nil {
		t.Fatal(err)
	}
	opens := time.Date(2030, 10, 13, 8, 0, 0, 0, time.UTC)
	_, err = preparation.Make(t.Context(), dir, preparation.Order{
		Election: "day", Policy: o.policy, Where: o.where, Method: ledger.Complement,
		Opens: ledger.Instant(opens.UnixMilli()), Closes: ledger.Instant(opens.Add(8 * time.Hour).UnixMilli()), Barrier: o.barrier, Simulation: true,
		Witnesses: []election.Witness{{VKey: vkey, URL: "http://127.0.0.1:1"}},
		Groups:    []preparation.Group{{List: electors(t, town, o.electors, o.bureaux)}, {List: electors(t, nextTown, 20, 1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return skey
}

// serveWitness runs the reference ADELE until the test ends.
func serveWitness(t *testing.T, election, skey string) (url string) {
	t.Helper()
	logs, err := platform.ReadLogs(filepath.Join(election, fmt.Sprint(town)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := platform.Open(t.TempDir(), platform.Options{Key: skey, Logs: logs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
