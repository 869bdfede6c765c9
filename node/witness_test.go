package node

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node/anchor"
)

// oddWitness answers as a test wants it to.
type oddWitness struct {
	mu     sync.Mutex
	answer http.HandlerFunc
	asked  int
}

func (o *oddWitness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked++
	f := o.answer
	o.mu.Unlock()
	f(w, r)
}

func (o *oddWitness) answers(f http.HandlerFunc) (was int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = f
	return o.asked
}

func (o *oddWitness) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// withWitness is a commune whose two first bureaux are at work with an odd witness.
func withWitness(t *testing.T, f http.HandlerFunc) (*commune, *oddWitness) {
	t.Helper()
	o := &oddWitness{answer: f}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	c := newCommune(t, func(cfg *Config) { cfg.Witness = server.URL })
	c.opened(1, 2)
	return c, o
}

func TestAWitnessThatHangsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c, o := withWitness(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection seen
		<-r.Context().Done()
	})
	c.until("the witness is asked", func() bool { return o.count() > 0 })
	b := c.bureaux[1]
	for i := range 3 {
		b.admits(c.home(1, i))
		b.replicates(c.home(1, i))
	}
	if err := b.node.CloseBureau(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.node.Export(filepath.Join(c.dir, "export")); !errors.Is(err, ErrNotAnchored) {
		t.Errorf("export: %v", err)
	}
	started := time.Now()
	b.stop()
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestAWitnessThatAnswersGarbageIsNotBelieved(t *testing.T) {
	t.Parallel()
	status := func(code int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	c, o := withWitness(t, status(http.StatusOK, "text/plain", ""))
	b := c.bureaux[1]
	line := "— adele.test/witness " + strings.Repeat("A", 104) + "\n"
	for _, f := range []http.HandlerFunc{
		status(http.StatusOK, "text/plain", "\x00\n\xff<html>\r\n\r\n"),
		status(http.StatusOK, "text/plain", line),
		status(http.StatusOK, "text/plain", strings.Repeat(line, 10_000)),
		status(http.StatusConflict, "text/x.tlog.size", "99999999999999999999\n"),
		status(http.StatusConflict, "text/x.tlog.size", "7\n"),
		status(http.StatusUnprocessableEntity, "text/plain", "a\nfork\n"),
		status(http.StatusFound, "text/plain", ""),
		func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		was := o.answers(f)
		b.node.anchoring.Load().Hurry()
		c.until("the witness is asked again", func() bool { return o.count() > was })
	}
	b.admits(c.home(1, 0))
	b.replicates(c.home(1, 0))
	s := b.node.Status()
	if s.AnchoredSize != 0 || s.AnchorFault == "" || strings.Contains(s.AnchorFault, "\n") || s.Fault != "" {
		t.Errorf("%+v", s)
	}
	if kept, err := os.ReadDir(anchorsDir(b.config().Data, 0)); err != nil || len(kept) > 0 {
		t.Errorf("kept %v, %v", kept, err)
	}
	// ADELE itself is believed at once, and the fault is gone.
	c.witness.start()
	o.answers(func(w http.ResponseWriter, r *http.Request) { c.witness.server.Handler().ServeHTTP(w, r) })
	b.node.anchoring.Load().Hurry()
	c.until("it is anchored", func() bool {
		s := b.node.Status()
		return s.AnchoredSize > 0 && s.AnchorFault == ""
	})
}

// anchored is a checkpoint of one entry that ADELE has cosigned.
func (c *commune) anchored(n *Node) anchor.Anchored {
	c.t.Helper()
	c.witness.start()
	x, err := n.notary.sign(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := n.witness.Submit(c.t.Context(), x, 0, n.notary)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func TestAnAnchorWhoseStatementFailsIsKeptOnce(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	x := c.anchored(b.node)
	dir := t.TempDir()
	a, err := openAnchors(dir, b.node.prepared.Group, 0)
	if err != nil {
		t.Fatal(err)
	}
	tries, stopped := 0, errors.New("stopped")
	a.notary, a.open = b.node.notary, func() bool { return true }
	a.record = func(context.Context, ledger.Body) error {
		if tries++; tries < 4 {
			return stopped
		}
		return nil
	}
	for i := range 4 {
		if err := a.Keep(t.Context(), x); errors.Is(err, stopped) == (i == 3) {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
	if kept, err := a.all(); err != nil || len(kept) != 1 || tries != 4 {
		t.Errorf("%d anchors kept, %d statements tried, %v", len(kept), tries, err)
	}
}

func TestDamagedAnchorsAreSetAsideAndElectorsAreServed(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	x := c.anchored(b.node)
	if err := b.node.anchoring.Load().kept.Keep(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	b.stop()
	for _, spoil := range []func(dir string) error{
		func(dir string) error {
			return os.WriteFile(filepath.Join(dir, filepath.Base(ledger.AnchorFile(0))), []byte("no note\n"), 0o600)
		},
		func(dir string) error { // the first are missing
			return os.WriteFile(filepath.Join(dir, filepath.Base(ledger.AnchorFile(3))), x.Bytes(), 0o600)
		},
	} {
		dir := anchorsDir(b.config().Data, 0)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		b.start()
		if a := b.checkIn(c.home(1, 0)); a.Refusal == ledger.BureauNotOpen {
			t.Errorf("%+v", a)
		}
		if kept, err := b.node.anchoring.Load().kept.all(); err != nil || len(kept) > 0 {
			t.Errorf("%d anchors go on, %v", len(kept), err)
		}
		b.stop()
	}
	aside, err := filepath.Glob(filepath.Join(b.config().Data, "anchors-damaged-*", "anchors", "*"))
	if err != nil || len(aside) != 2 || strings.Count(b.log.String(), "set aside") != 2 {
		t.Errorf("set aside: %v, %v; the log says\n%s", aside, err, b.log)
	}
}

func TestNothingIsSignedAgainstWhatWasSigned(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	n := b.node.notary
	for _, was := range []struct {
		size uint64
		root byte
		says string
	}{{1, 0xff, "call the election authority"}, {1_000, 0, errBehind.Error()}} {
		note := append(binary.BigEndian.AppendUint64(nil, was.size), make([]byte, 32)...)
		note[8] = was.root
		if err := b.node.journal.SetNote(t.Context(), signedNote, note); err != nil {
			t.Fatal(err)
		}
		if _, err := n.sign(t.Context()); err == nil || !strings.Contains(err.Error(), was.says) {
			t.Errorf("after a checkpoint of %d entries: %v, want %q", was.size, err, was.says)
		}
		b.admits(c.home(1, int(was.root)%7))
	}
	// Another history under the log's own key is not cosigned, and is an alarm.
	forged, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: n.group.Origin(0), Size: 1, Root: ledger.Hash{1}}, n.logKey)
	if err != nil {
		t.Fatal(err)
	}
	if line := n.cosign("", forged); len(line) > 0 || !strings.Contains(b.log.String(), "shows another history") {
		t.Errorf("cosigned: %q", line)
	}
	root, err := b.node.store.Root(1)
	if err != nil {
		t.Fatal(err)
	}
	honest, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: n.group.Origin(0), Size: 1, Root: root}, n.logKey)
	if err != nil {
		t.Fatal(err)
	}
	if line := n.cosign("", honest); len(line) == 0 {
		t.Error("its own history is not cosigned")
	}
}
