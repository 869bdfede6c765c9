package platform

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/node/anchor/anchortest"
)

const origin = "rehearsal/21014/epoch-0"

// A bench is one platform on a file system in memory, its log and its clock.
type bench struct {
	t      *testing.T
	files  *vfs.MemFS
	skey   string
	vkey   string
	log    *anchortest.Log
	extra  []Log
	clock  atomic.Int64 // Unix milliseconds
	server *Server
}

func newBench(t *testing.T) *bench {
	t.Helper()
	skey, vkey, err := GenerateKey(rand.Reader, "adele.example/witness")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, files: vfs.NewCrashableMem(), skey: skey, vkey: vkey, log: anchortest.NewLog(t, origin, 700)}
	b.clock.Store(1_717_916_400_000)
	b.open()
	t.Cleanup(func() {
		if err := b.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) options() Options {
	return Options{
		Key:    b.skey,
		Logs:   append([]Log{{Origin: origin, VKey: b.log.VKey}}, b.extra...),
		Now:    func() time.Time { return time.UnixMilli(b.clock.Load()) },
		Logger: slog.New(slog.DiscardHandler),
	}
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.server, err = openIn(b.files, "adele", b.options()); err != nil {
		b.t.Fatal(err)
	}
}

// post submits body and returns status, content type and answer.
func (b *bench) post(body []byte) (int, string, string) {
	w := httptest.NewRecorder()
	b.server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body)))
	return w.Code, w.Header().Get("Content-Type"), w.Body.String()
}

func (b *bench) get(path string) (int, []byte) {
	w := httptest.NewRecorder()
	b.server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.Bytes()
}

func (b *bench) page(path string) Page {
	b.t.Helper()
	code, raw := b.get(path)
	var page Page
	if err := json.Unmarshal(raw, &page); err != nil || code != http.StatusOK {
		b.t.Fatalf("GET %s: %d %v", path, code, err)
	}
	return page
}

// mustCosign submits log's checkpoint at size and checks the cosignature.
func (b *bench) mustCosign(log *anchortest.Log, old, size int64) time.Time {
	b.t.Helper()
	checkpoint := log.Checkpoint(size)
	code, kind, line := b.post(submit(b.t, log, old, size))
	if code != http.StatusOK || !strings.HasPrefix(kind, "text/plain") {
		b.t.Fatalf("%d to %d: %d %s %q", old, size, code, kind, line)
	}
	return b.verify(log, checkpoint, line)
}

func (b *bench) verify(log *anchortest.Log, checkpoint []byte, line string) time.Time {
	b.t.Helper()
	verifier, err := fnote.NewVerifierForCosignatureV1(b.vkey)
	if err != nil {
		b.t.Fatal(err)
	}
	logVerifier, err := note.NewVerifier(log.VKey)
	if err != nil {
		b.t.Fatal(err)
	}
	n, err := note.Open(append(bytes.Clone(checkpoint), line...), note.VerifierList(verifier, logVerifier))
	if err != nil || len(n.Sigs) != 2 {
		b.t.Fatalf("open the cosigned note: %v %+v", err, n)
	}
	at, err := fnote.CoSigV1Timestamp(n.Sigs[1])
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

func body(old int64, proof []tlog.Hash, checkpoint []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "old %d\n", old)
	for _, hash := range proof {
		fmt.Fprintf(&out, "%s\n", base64.StdEncoding.EncodeToString(hash[:]))
	}
	out.WriteString("\n")
	out.Write(checkpoint)
	return out.Bytes()
}

func submit(t *testing.T, log *anchortest.Log, old, size int64) []byte {
	t.Helper()
	var proof []tlog.Hash
	if old <= size {
		var err error
		if proof, err = log.Prove(context.Background(), uint64(old), uint64(size)); err != nil {
			t.Fatal(err)
		}
	}
	return body(old, proof, log.Checkpoint(size))
}
