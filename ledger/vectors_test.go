package ledger_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pointage/ledger"
	"pointage/ledger/election"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

const vectorsDir = "testdata/vectors"

// vector is one file of testdata/vectors; SPEC 11 says what its fields mean.
type vector struct {
	Name string `json:"name"`
	Says string `json:"says"`
	Kind string `json:"kind"`
	// Input is hexadecimal, or text where Kind is a number's.
	Input string `json:"input,omitempty"`
	// Steps of a "places" vector; Head is the chain's after them.
	Steps []step `json:"steps,omitempty"`
	Head  string `json:"head,omitempty"`
	// Files of an "export" vector, by name, as hexadecimal.
	Files map[string]string `json:"files,omitempty"`
	// Gives is what an accepted input means: hashes, and a number's printed form.
	Gives map[string]string `json:"gives,omitempty"`
	// Refused says at which stage; Where is an export's first offence.
	Refused string `json:"refused,omitempty"`
	Where   string `json:"where,omitempty"`
}

// step is one batch of a "places" vector and what becomes of it.
type step struct {
	Batch    string    `json:"batch"`
	Status   uint8     `json:"status"`
	Reason   uint8     `json:"reason"`
	Position uint64    `json:"position"`
	Verdicts []verdict `json:"verdicts,omitempty"`
	// Leaves are the leaf hashes of the entries that it made, its own and those of batches
	// that had waited for it.
	Leaves []string `json:"leaves,omitempty"`
}

type verdict struct {
	Validity uint8  `json:"validity"`
	Class    uint8  `json:"class"`
	Against  uint64 `json:"against"`
}

// setting is what all vectors but exports are judged by.
type setting struct {
	Manifest string         `json:"manifest"`
	Roll     string         `json:"roll"`
	Commune  ledger.Commune `json:"commune"`
}

func group(t *testing.T, s setting) *ledger.Group {
	t.Helper()
	file, rows := unhex(t, s.Manifest), unhex(t, s.Roll)
	m, err := election.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	roll, err := ledger.DecodeRoll(rows)
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Group(election.Hash(file), s.Commune, roll)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// judge reads a vector's input: the stage at which it is refused, none when it is not, and
// what it gives.
func judge(t *testing.T, g *ledger.Group, v vector) (stage string, gives map[string]string) {
	t.Helper()
	if strings.Contains(v.Kind, " number") {
		return judgeNumber(v)
	}
	in := unhex(t, v.Input)
	out, gives := in, map[string]string{}
	var err error
	switch v.Kind {
	case "statement":
		var s ledger.Statement
		if s, err = ledger.DecodeStatement(in); err == nil {
			out, err = s.Encode()
			gives["kind"], gives["time"] = fmt.Sprint(uint8(s.Body.Kind())), fmt.Sprint(int64(s.Time))
		}
	case "batch":
		var b *ledger.Batch
		if b, err = ledger.DecodeBatch(in); err == nil {
			out, err = b.Encode(), b.Verify(g)
			gives["identity"], gives["root"] = b.Header.Identity().String(), b.Header.Root.String()
		}
	case "extract":
		var x *ledger.Extract
		if x, err = ledger.DecodeExtract(in); err == nil {
			if out, err = x.Encode(); err == nil {
				err = x.Verify(g)
			}
			gives["sequence"] = fmt.Sprint(x.ID().Sequence)
		}
	case "entry":
		var e *ledger.Entry
		if e, err = ledger.DecodeEntry(in); err == nil {
			out, err = e.Encode()
			gives["leaf"], gives["position"] = ledger.LeafHash(in).String(), fmt.Sprint(e.Position)
		}
	case "answer":
		var a *ledger.Answer
		if a, err = ledger.DecodeAnswer(in); err == nil {
			out = a.Encode()
		}
	case "word":
		var w *ledger.Word
		if w, err = ledger.DecodeWord(in); err == nil {
			out, err = w.Encode(), w.Verify(g)
			gives["bureau"], gives["epoch"] = fmt.Sprint(w.Member.Bureau), fmt.Sprint(w.Epoch)
		}
	case "heads":
		var hs []ledger.SignedHeader
		if hs, err = ledger.DecodeHeads(in); err == nil {
			out, err = ledger.EncodeHeads(hs)
			gives["last"] = hs[len(hs)-1].Head().Hash.String()
		}
	case "chain request":
		var q ledger.ChainRequest
		if q, err = ledger.DecodeChainRequest(in); err == nil {
			out = q.Encode()
			gives["from"], gives["to"] = fmt.Sprint(q.From), fmt.Sprint(q.To)
		}
	case "chain answer":
		var a *ledger.ChainAnswer
		if a, err = ledger.DecodeChainAnswer(in); err == nil {
			out = a.Encode()
			gives["batches"] = fmt.Sprint(len(a.Batches))
		}
	case "roll":
		var r *ledger.Roll
		if r, err = ledger.DecodeRoll(in); err == nil {
			out = r.Encode()
			gives["hash"], gives["electors"] = r.Hash().String(), fmt.Sprint(r.Len())
		}
	case "manifest":
		_, err = election.Parse(in)
		gives["hash"] = election.Hash(in).String()
	case "checkpoint":
		var c ledger.Checkpoint
		var sigs []ledger.Cosignature
		if c, sigs, err = ledger.OpenCheckpoint(in, ledger.LogKey(g.Origin(0), g.LogKey), g.Cosigners()); err == nil {
			gives["size"], gives["root"], gives["cosignatures"] = fmt.Sprint(c.Size), c.Root.String(), fmt.Sprint(len(sigs))
		}
	default:
		t.Fatalf("vector of unknown kind %q", v.Kind)
	}
	if err == nil && !bytes.Equal(in, out) {
		t.Errorf("accepted, but encoded otherwise: %x", out)
	}
	return stageOf(err), gives
}

func judgeNumber(v vector) (stage string, gives map[string]string) {
	gives = map[string]string{}
	var err error
	switch v.Kind {
	case "national number":
		var n ledger.NationalNumber
		if n, err = ledger.ParseNationalNumber(v.Input); err == nil {
			year, _ := n.BirthYear()
			gives["printed"], gives["year"] = n.Printed(), fmt.Sprint(year)
		}
	case "convocation number, complement", "convocation number, remainder":
		method := ledger.Complement
		if v.Kind == "convocation number, remainder" {
			method = ledger.Remainder
		}
		var n ledger.ConvocationNumber
		if n, err = ledger.ParseConvocationNumber(v.Input, method); err == nil {
			gives["printed"] = n.Printed()
		}
	}
	return stageOf(err), gives
}

func stageOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ledger.ErrWrongElection):
		return "election"
	case errors.Is(err, ledger.ErrWrongCommune):
		return "commune"
	case errors.Is(err, ledger.ErrUnknownAuthor):
		return "author"
	case errors.Is(err, ledger.ErrSignature), errors.Is(err, election.ErrSignature):
		return "signature"
	}
	return "form"
}

// replay places the steps' batches in turn and says what became of them.
func replay(t *testing.T, g *ledger.Group, steps []step) (out []step, head ledger.Hash) {
	t.Helper()
	v := ledger.NewMemoryView()
	ledger.Begin(g, v)
	for _, s := range steps {
		b, err := ledger.DecodeBatch(unhex(t, s.Batch))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(g); err != nil {
			t.Fatal(err)
		}
		ans, placed := ledger.Place(g, v, b)
		got := step{Batch: s.Batch, Status: uint8(ans.Status), Reason: uint8(ans.Reason), Position: ans.Position}
		for _, w := range ans.Verdicts {
			got.Verdicts = append(got.Verdicts, verdict{uint8(w.Validity), uint8(w.Class), w.Against})
		}
		for _, e := range placed {
			got.Leaves = append(got.Leaves, ledger.LeafHash(e.Encoded).String())
		}
		out = append(out, got)
	}
	return out, ledger.ReadHead(v).Last
}

// verifyExport is where the first offence is, "" when there is none.
func verifyExport(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := fstest.MapFS{}
	for name, b := range files {
		dir[name] = &fstest.MapFile{Data: unhex(t, b), Mode: 0o644}
	}
	x, err := election.OpenExport(dir)
	if err == nil {
		_, err = ledger.Verify(context.Background(), dir, x.Group, x.Epoch, ledger.Options{})
	}
	var o *ledger.Offended
	if err != nil && !errors.As(err, &o) {
		t.Fatal(err)
	}
	if o != nil {
		return o.Where
	}
	return ""
}

func checkVector(t *testing.T, g *ledger.Group, v vector) {
	t.Helper()
	switch v.Kind {
	case "places":
		got, head := replay(t, g, v.Steps)
		for i := range got {
			if a, b := fmt.Sprintf("%+v", got[i]), fmt.Sprintf("%+v", v.Steps[i]); a != b {
				t.Errorf("step %d:\n got %s\nwant %s", i, a, b)
			}
		}
		if head.String() != v.Head {
			t.Errorf("head %v, want %s", head, v.Head)
		}
	case "export":
		if got := verifyExport(t, v.Files); got != v.Where {
			t.Errorf("offence at %q, want %q", got, v.Where)
		}
	default:
		stage, gives := judge(t, g, v)
		if stage != v.Refused {
			t.Errorf("refused at %q, want %q", stage, v.Refused)
		}
		if v.Refused == "" && !maps.Equal(gives, v.Gives) {
			t.Errorf("gives %v, want %v", gives, v.Gives)
		}
	}
}

func TestVectors(t *testing.T) {
	var s setting
	readJSON(t, filepath.Join(vectorsDir, "setting.json"), &s)
	g, rejected := group(t, s), 0
	for _, dir := range []string{"accept", "reject"} {
		paths, err := filepath.Glob(filepath.Join(vectorsDir, dir, "*.json"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no vectors in %s: %v", dir, err)
		}
		for _, path := range paths {
			var v vector
			readJSON(t, path, &v)
			bad := v.Refused != "" || v.Where != "" || v.Kind == "places" && v.Steps[len(v.Steps)-1].Status > uint8(ledger.Placed)
			if bad != (dir == "reject") {
				t.Errorf("%s lies in the wrong directory", path)
			}
			if bad {
				rejected++
			}
			t.Run(dir+"/"+v.Name, func(t *testing.T) { checkVector(t, g, v) })
		}
	}
	if rejected < 40 {
		t.Errorf("%d reject vectors, at least 40", rejected)
	}
}

// TestVectorsAreWhatTheCodeMakes fails when the formats or rules have changed; with -update it
// writes the vectors instead, which is a change of the specification.
func TestVectorsAreWhatTheCodeMakes(t *testing.T) {
	s, all := makeVectors(t)
	want := map[string][]byte{filepath.Join(vectorsDir, "setting.json"): encodeJSON(t, s)}
	for _, v := range all {
		dir := "accept"
		if v.Refused != "" || v.Where != "" || v.Kind == "places" && v.Steps[len(v.Steps)-1].Status > uint8(ledger.Placed) {
			dir = "reject"
		}
		path := filepath.Join(vectorsDir, dir, v.Name+".json")
		if want[path] != nil {
			t.Fatalf("two vectors are called %s", v.Name)
		}
		want[path] = encodeJSON(t, v)
	}
	if *update {
		writeAll(t, want)
	}
	have, err := filepath.Glob(filepath.Join(vectorsDir, "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(have)+1 != len(want) {
		t.Errorf("%d vector files, the code makes %d", len(have), len(want)-1)
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want[path]) {
			t.Errorf("%s is not what the code makes: %v", path, err)
		}
	}
}

func encodeJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func writeAll(t *testing.T, files map[string][]byte) {
	t.Helper()
	for _, dir := range []string{"accept", "reject"} {
		if err := os.RemoveAll(filepath.Join(vectorsDir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	for path, b := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
