package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/plaintext"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"verify": func() { os.Exit(run()) }})
}

func write(tb testing.TB, dir string, files map[string][]byte) {
	tb.Helper()
	for name, b := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestScripts(t *testing.T) {
	full, double := ledgertest.NewDay(t, 3, 12, nil), ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(full)
	one, two := double.Started(1), double.Started(2)
	one.Put(ledgertest.Admission(0))
	two.Put(ledgertest.Admission(0))
	exports := map[string]map[string][]byte{"full": full.Export(), "double": double.Export(), "recovered": recovered(t).Export(), "cards": cards(t).Export()}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for name, files := range exports {
				write(t, filepath.Join(env.WorkDir, name), files)
			}
			env.Setenv("MANIFEST", election.Hash(full.File).String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"flip": flip, "lastline": lastLine},
	})
}

// cards is a day on which two electors came with a card and one without; one chip was not proven.
func cards(t *testing.T) *ledgertest.Day {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, two := d.Started(1), d.Started(2)
	first := one.At.Next
	one.Put(ledgertest.Admission(0), &ledger.Admission{Elector: ledgertest.Elector(3), Means: ledger.ByNationalNumber, Attester: 1})
	two.Put(ledgertest.Admission(1))
	unproven := func(bureau ledger.BureauNumber, sequence uint64, elector int) *ledger.Incident {
		said := plaintext.ChipNotProven{Bureau: bureau, Record: ledger.StatementID{Session: one.Author.Session, Sequence: sequence}, Elector: ledgertest.Elector(elector)}
		return &ledger.Incident{Code: plaintext.IncidentChipNotProven, Sealed: said.Encode()}
	}
	one.Put(unproven(1, first, 0), unproven(1, first, 0), unproven(1, first+1, 3), unproven(1, first, 3), unproven(2, first, 0), &ledger.Incident{Code: plaintext.IncidentChipNotProven})
	two.Put(unproven(1, first, 0), unproven(2, first, 0))
	return d
}

// recovered is a day with a clone, a next machine, a gap and a second epoch.
func recovered(t *testing.T) *ledgertest.Day {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, two, three := d.Started(1), d.Started(2), d.Started(3)
	clone := *two
	two.Put(ledgertest.Admission(1))
	d.Place(clone.Sign(&ledger.Admission{Elector: ledgertest.Elector(1), Means: ledger.ByName}))
	one.Put(d.Amend(ledger.Amendment{Number: 1, Act: ledger.Relabel, Bureau: 3, Place: []byte("Gemeentehuis")}))
	d.Anchor()
	lost := one.Sign(ledgertest.Admission(0))
	d.Place(lost)
	d.Anchor()
	d.Recover(uint64(len(d.Entries)) - 1)
	d.Place(lost)
	three.Sign(ledgertest.Admission(2)) // on no medium
	last := three.Sign(ledgertest.Admission(5), &ledger.Return{Right: ledger.Right{Elector: ledgertest.Elector(5), Kind: ledger.Admit}, Release: []byte{1}})
	one.Put(&ledger.Imported{Bureau: 3, Generation: 1, Media: 7})
	d.Place(last)
	heir := d.Session(2, 22)
	heir.Author.Incarnation = 1
	heir.Put(&ledger.SessionOpened{Generation: 1, Media: 3, Unfenced: true}, &ledger.Provisional{Elector: ledgertest.Elector(4), Means: ledger.ByCard})
	return d
}

// flip changes one bit: flip FILE OFFSET.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b[at] ^= 1
	ts.Check(os.WriteFile(path, b, 0o600))
}

// lastLine compares how the last line of standard output begins: lastline TEXT.
func lastLine(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n")
	if got := lines[len(lines)-1]; !strings.HasPrefix(got, args[0]) {
		ts.Fatalf("last line %q does not begin with %q", got, args[0])
	}
}

func TestInterruptedVerificationSaysNothing(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 4, nil)
	ledgertest.Short(d)
	dir := t.TempDir()
	write(t, dir, d.Export())
	ctx, stop := context.WithCancel(context.Background())
	stop()
	var stdout, stderr bytes.Buffer
	if code := command(ctx, []string{dir}, &stdout, &stderr); code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("code %d, output %q, %q", code, &stdout, &stderr)
	}
}

// largeDay is an export of about n entries, one admission each, of 20 bureaux.
func largeDay(tb testing.TB, n int) map[string][]byte {
	const bureaux = 20
	d := ledgertest.NewDay(tb, bureaux, n, nil)
	chains := make([]*ledgertest.Chain, bureaux)
	for i := range chains {
		chains[i] = d.Started(ledger.BureauNumber(i + 1))
	}
	for i := range n {
		chains[i%bureaux].Put(ledgertest.Admission(i))
	}
	return d.Export()
}

// BenchmarkVerify replays 10,000 entries and compares the signatures it checks per second with
// what crypto/ed25519 alone checks on the same cores.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	write(b, dir, largeDay(b, 10_000))
	bare, rounds, signatures := 0.0, 0, uint64(0)
	for b.Loop() {
		b.StopTimer()
		bare, rounds = bare+bareRate(10_000), rounds+1
		b.StartTimer()
		r := verify(b.Context(), options{dir: dir}, os.Stderr)
		if r.err != nil {
			b.Fatal(r.err)
		}
		signatures += r.report.Signatures
	}
	bare /= float64(rounds)
	rate := float64(signatures) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "signatures/s")
	b.ReportMetric(bare, "bare/s")
	b.ReportMetric(rate/bare, "of-bare")
}

// bareRate is how many signatures a second all cores check together.
func bareRate(n int) float64 {
	key := ledgertest.Key("bare")
	msg := make([]byte, 160)
	sig := ed25519.Sign(key, msg)
	cores := runtime.GOMAXPROCS(0)
	started := time.Now()
	var wg sync.WaitGroup
	for range cores {
		wg.Go(func() {
			for range n / cores {
				if !ed25519.Verify(key.Public().(ed25519.PublicKey), msg, sig) {
					panic("a signature just made does not hold")
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(started).Seconds()
}
