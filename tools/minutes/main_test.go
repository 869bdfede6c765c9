package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/minutes"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"minutes": func() { os.Exit(run()) }})
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
	full := ledgertest.NewDay(t, 3, 12, nil)
	ledgertest.Full(full)
	exports := map[string]map[string][]byte{"full": full.Export(), "recovered": recovered(t).Export(), "recorded": recorded(t).Export(), "lost": lost(t).Export()}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for name, files := range exports {
				write(t, filepath.Join(env.WorkDir, name), files)
			}
			env.Setenv("MANIFEST", election.Hash(full.File).String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"flip": flip, "page": page, "lastline": lastLine},
	})
}

// recovered goes on in a second epoch.
func recovered(t *testing.T) *ledgertest.Day {
	d := ledgertest.NewDay(t, 3, 12, nil)
	one, two := d.Started(1), d.Started(2)
	one.Put(ledgertest.Admission(0))
	d.Recover(uint64(len(d.Entries)))
	two.Put(ledgertest.Admission(1))
	return d
}

// sums are the SHA-256 of a bureau's minutes as of a day's entries, and of own statements beyond.
func sums(t *testing.T, d *ledgertest.Day, n ledger.BureauNumber, own ...*ledger.Batch) (out [2]ledger.Hash) {
	t.Helper()
	c, err := minutes.NewCollector(d.Manifest, d.Group)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range d.Entries {
		c.Entry(ledger.Reference(d.Epoch, uint64(i)), e.Entry, e.Batch)
	}
	for _, b := range own {
		c.Own(b, len(b.Statements))
	}
	m, err := c.Minutes(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, lang := range minutes.Languages {
		pdf, err := minutes.Compose(m, lang).PDF()
		if err != nil {
			t.Fatal(err)
		}
		out[i] = sha256.Sum256(pdf)
	}
	return out
}

// recorded is a day whose bureau 1 was cut off when it drew its minutes; those of bureau 2 are others than it says, and the
// commune's have names.
func recorded(t *testing.T) *ledgertest.Day {
	d := ledgertest.NewDay(t, 2, 8, nil)
	one, two := d.Started(1), d.Started(2)
	waits, upTo := one.Sign(ledgertest.Admission(0), &ledger.BureauClosed{CheckedIn: 1}), uint64(len(d.Entries))
	sum := sums(t, d, 1, waits)
	statement := one.Sign(&ledger.Minutes{Bureau: 1, UpTo: upTo, Own: one.At.Next, French: sum[0], Dutch: sum[1]})
	two.Put(ledgertest.Admission(1))
	d.Place(waits)
	d.Place(statement)
	two.Put(&ledger.Minutes{Bureau: 2, UpTo: 4, Own: 2, French: ledger.Hash{1}})
	one.Put(&ledger.Minutes{Named: true, UpTo: uint64(len(d.Entries)), French: ledger.Hash{1}})
	two.Put(ledgertest.Admission(3))
	return d
}

// lost is a day whose bureau 1 drew its minutes from an entry that the next epoch does not have.
func lost(t *testing.T) *ledgertest.Day {
	d := ledgertest.NewDay(t, 2, 8, nil)
	one, two := d.Started(1), d.Started(2)
	seed := uint64(len(d.Entries))
	two.Put(ledgertest.Admission(1))
	statement := one.Sign(&ledger.Minutes{Bureau: 1, UpTo: uint64(len(d.Entries)), Own: one.At.Next})
	d.Recover(seed)
	d.Place(statement)
	return d
}

// flip changes one bit: flip FILE OFFSET.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	change(ts, args[0], at)
}

// page changes one bit of a page's content: page FILE NUMBER.
func page(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, at := []byte(ts.ReadFile(args[0])), 0
	for range n {
		at += bytes.Index(b[at:], []byte("<</Type /Page\n")) + 1
	}
	at += bytes.Index(b[at:], []byte(" Tj ET"))
	change(ts, args[0], at-2)
}

func change(ts *testscript.TestScript, name string, at int) {
	path := ts.MkAbs(name)
	b, err := os.ReadFile(path)
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

func TestInterruptedDrawingSaysNothing(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 4, nil)
	ledgertest.Short(d)
	dir := t.TempDir()
	write(t, dir, d.Export())
	ctx, stop := context.WithCancel(context.Background())
	stop()
	var stdout, stderr bytes.Buffer
	if code := command(ctx, []string{"--out", t.TempDir(), dir}, &stdout, &stderr); code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("code %d, output %q, %q", code, &stdout, &stderr)
	}
}
