package foreign

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"pointage/ledger"
	"pointage/node/anchor"
	"pointage/node/anchor/anchortest"
)

const (
	origin = "rehearsal/21014/epoch-0"
	name   = "foreign.example/witness"

	buildTimeout = 5 * time.Minute // cold, on a busy machine
	startTimeout = 20 * time.Second
)

// A litewitness is the foreign program, its database, and the ssh-agent with its key.
type litewitness struct {
	binary, dir, socket string
	fingerprint         string
	vkey                string
	url                 string
	process             *exec.Cmd
	output              bytes.Buffer
}

func newLitewitness(t *testing.T) *litewitness {
	t.Helper()
	// The path of a Unix socket is short: t.TempDir carries the test's name.
	dir, err := os.MkdirTemp("", "lw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &litewitness{dir: dir, binary: filepath.Join(dir, "litewitness"), socket: filepath.Join(dir, "agent")}
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", w.binary, "filippo.io/torchwood/cmd/litewitness").CombinedOutput(); err != nil {
		t.Fatalf("build litewitness: %v\n%s", err, out)
	}
	w.serveAgent(t)
	return w
}

// serveAgent holds the witness's key in an ssh-agent of the test's own.
func (w *litewitness) serveAgent(t *testing.T) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	w.fingerprint, w.vkey = ssh.FingerprintSHA256(key), ledger.CosignerVKey(name, public)
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: &private}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed below
			}
			wg.Go(func() {
				defer conn.Close()
				_ = agent.ServeAgent(keyring, conn) // until litewitness ends
			})
		}
	})
	t.Cleanup(func() {
		w.stop(t)
		_ = listener.Close()
		wg.Wait()
	})
}

func (w *litewitness) start(t *testing.T) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + address
	w.process = exec.Command(w.binary, "-listen", address, "-name", name, "-ssh-agent", w.socket,
		"-key", w.fingerprint, "-db", filepath.Join(w.dir, "witness.db"))
	w.process.Stderr = &w.output
	if err := w.process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(startTimeout); ; {
		page, err := http.Get(w.url)
		if err == nil {
			raw, _ := io.ReadAll(page.Body)
			_ = page.Body.Close()
			// HTML writes the plus of base64 as an entity.
			if !strings.Contains(strings.ReplaceAll(string(raw), "&#43;", "+"), w.vkey) {
				t.Fatalf("litewitness has another key than %s: %s", w.vkey, raw)
			}
			return
		}
		if time.Now().After(deadline) {
			w.stop(t)
			t.Fatalf("litewitness does not answer: %v\n%s", err, &w.output)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (w *litewitness) stop(t *testing.T) {
	t.Helper()
	if w.process == nil {
		return
	}
	if err := w.process.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := w.process.Wait(); err != nil {
		t.Errorf("litewitness ended with %v\n%s", err, &w.output)
	}
	w.process = nil
}

// know gives litewitness a log, as its own witnessctl does with add-log and add-key.
func (w *litewitness) know(t *testing.T, log *anchortest.Log) {
	t.Helper()
	db, err := sqlite.OpenConn(filepath.Join(w.dir, "witness.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	root := log.Root(0)
	if err := errors.Join(
		sqlitex.Execute(db, "INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)",
			&sqlitex.ExecOptions{Args: []any{log.Origin, base64.StdEncoding.EncodeToString(root[:])}}),
		sqlitex.Execute(db, "INSERT INTO key (origin, key) VALUES (?, ?)",
			&sqlitex.ExecOptions{Args: []any{log.Origin, log.VKey}}),
	); err != nil {
		t.Fatal(err)
	}
}

func checkpoint(log *anchortest.Log, size int64) anchor.Checkpoint {
	return anchor.Checkpoint{
		Checkpoint: ledger.Checkpoint{Origin: log.Origin, Size: uint64(size), Root: ledger.Hash(log.Root(size))},
		Note:       log.Checkpoint(size),
	}
}

// mustAnchor submits and opens what came back as the ledger's verifier would.
func mustAnchor(t *testing.T, client *anchor.Client, w *litewitness, log *anchortest.Log, old uint64, size int64) {
	t.Helper()
	before := time.Now().Truncate(time.Second)
	anchored, err := client.Submit(t.Context(), checkpoint(log, size), old, log)
	if err != nil {
		t.Fatalf("anchor %d to %d: %v", old, size, err)
	}
	if anchored.Time.Before(before) || anchored.Time.After(time.Now()) {
		t.Errorf("size %d was cosigned at %s, submitted at %s", size, anchored.Time, before)
	}
	cosigner, err := ledger.ParseCosignerVKey(w.vkey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.SplitN(log.VKey, "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	got, cosignatures, err := ledger.OpenCheckpoint(anchored.Bytes(), ledger.LogKey(origin, key[1:]), []*ledger.NoteKey{cosigner})
	if err != nil || len(cosignatures) != 1 || got.Size != uint64(size) {
		t.Errorf("open the anchored note: %+v %d cosignatures, %v", got, len(cosignatures), err)
	}
}

func TestForeignWitnessStandsIn(t *testing.T) {
	w := newLitewitness(t)
	w.start(t)
	log := anchortest.NewLog(t, origin, 700)
	connect := func() *anchor.Client {
		t.Helper()
		client, err := anchor.NewClient(w.url, w.vkey, anchor.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	client := connect()
	if _, err := client.Submit(t.Context(), checkpoint(log, 300), 0, log); !errors.Is(err, anchor.ErrUnknownLog) && !errors.Is(err, anchor.ErrLogKey) {
		t.Errorf("before it knows the log: %v", err)
	}
	w.know(t, log)

	mustAnchor(t, client, w, log, 0, 300)   // the first one
	mustAnchor(t, client, w, log, 300, 450) // growth
	mustAnchor(t, client, w, log, 450, 450) // refreshed
	mustAnchor(t, client, w, log, 0, 450)   // the answer was lost
	mustAnchor(t, client, w, log, 300, 500) // the size was forgotten

	refuseForks := func(client *anchor.Client) {
		t.Helper()
		fork := log.Fork(200, 500)
		for _, step := range []struct{ old, size int64 }{{500, 500}, {0, 500}, {500, 600}, {0, 600}} {
			if _, err := client.Submit(t.Context(), checkpoint(fork, step.size), uint64(step.old), fork); !errors.Is(err, anchor.ErrFork) {
				t.Errorf("fork from %d to %d: %v", step.old, step.size, err)
			}
		}
		var ahead *anchor.AheadError
		if _, err := client.Submit(t.Context(), checkpoint(log, 400), 300, log); !errors.As(err, &ahead) || ahead.Size != 500 {
			t.Errorf("rollback: %v", err)
		}
		impostor := anchortest.NewLog(t, origin, 600)
		if _, err := client.Submit(t.Context(), checkpoint(impostor, 600), 500, impostor); !errors.Is(err, anchor.ErrLogKey) {
			t.Errorf("impostor: %v", err)
		}
	}
	refuseForks(client)

	w.stop(t)
	if _, err := client.Submit(t.Context(), checkpoint(log, 600), 500, log); !errors.Is(err, anchor.ErrUnavailable) {
		t.Errorf("while it is away: %v", err)
	}
	w.start(t)
	client = connect()
	refuseForks(client)
	mustAnchor(t, client, w, log, 500, 700)
}
