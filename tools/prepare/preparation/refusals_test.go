package preparation

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"pointage/ledger"
)

// unrecorded is a tree without what a recorded refusal changes: a commune's record and the state that counts its
// lines, a register of custody's statements and names.
func unrecorded(files map[string]string) map[string]string {
	out := maps.Clone(files)
	maps.DeleteFunc(out, func(name, _ string) bool {
		switch filepath.Base(name) {
		case recordFile, stateFile, statementsFile, wordsFile:
			return true
		}
		return false
	})
	return out
}

// lastTrace is the last line of the commune's record, and how many there are.
func (b *bench) lastTrace() (last Trace, lines int) {
	b.Helper()
	w := b.open()
	defer w.Close()
	if err := w.Traces(func(t *Trace) error { last = *t; lines++; return nil }); err != nil {
		b.Fatal(err)
	}
	return last, lines
}

// refusedOnce gives an act that is refused and finds one signed line of it in the record, without anybody's name
// or number, and nothing else changed.
func (b *bench) refusedOnce(want int, act string, args ...string) Trace {
	b.Helper()
	before := unrecorded(tree(b, b.dir))
	_, lines := b.lastTrace()
	version := b.open()
	n := version.Version()
	version.Close()
	said := b.do(want, act, args...)
	b.nobody(said)
	t, now := b.lastTrace()
	if now != lines+1 || t.Act != actRefused || t.By != "A. Official" || t.At.IsZero() || t.Details["act"] != act || len(t.Signature) == 0 {
		b.Fatalf("%s %v: %d lines, then %d: %+v", act, args, lines, now, t)
	}
	b.nobody(fmt.Sprint(t))
	if !same(before, unrecorded(tree(b, b.dir))) {
		b.Errorf("%s %v: a refused act has changed a file", act, args)
	}
	after := b.open()
	defer after.Close()
	if after.Version() != n {
		b.Errorf("%s %v: version %d became %d", act, args, n, after.Version())
	}
	return t
}

func TestEveryRefusedActIsInTheRecordWithoutAName(t *testing.T) {
	b := newBench(t, 40)
	head := "national_number,bureau,function\n"
	b.file("members.csv", head+b.number(5)+",1,president\n")
	if tr := b.refusedOnce(exitUsage, "members", "21014=members.csv"); tr.Details["reason"] != string(whyTurn) {
		t.Errorf("before the division: %+v", tr)
	}
	if tr := b.refusedOnce(exitRefused, "number", "21014"); tr.Details["reason"] != string(whyTurn) || tr.Source != nil {
		t.Errorf("before the division: %+v", tr)
	}
	if tr := b.refusedOnce(exitRefused, "divide", "--bureaux", "2", "--largest", "10", "21014"); tr.Details["reason"] != string(whyBounds) {
		t.Errorf("out of bounds: %+v", tr)
	}
	b.ready(2)
	b.file("martine.csv", "national_number,list\n"+b.number(1)+",L1\n")
	b.do(exitDone, "mark", "21014=martine.csv")
	numbered := strings.TrimSuffix(updateHead, "\n") + ",bureau,convocation_number\n"
	other, err := ledger.NewConvocationNumber(21014, 90_000, ledger.Remainder)
	if err != nil {
		t.Fatal(err)
	}
	w := b.open()
	given := w.List.People[7].ConvocationNumber.Digits()
	w.Close()
	for name, c := range map[string]struct {
		act, file string
		why       reason
		line      int
		lines     string
	}{
		"a candidate":          {"members", head + b.number(3) + ",1,secretary\n" + b.number(1) + ",1,assessor\n", whyCandidate, 3, ""},
		"a stranger":           {"members", head + "85.07.30-033.28,1,assessor\n", whyStranger, 2, ""},
		"an unknown bureau":    {"members", head + b.number(5) + ",3,assessor\n", whyBureau, 2, ""},
		"the same elector":     {"members", head + b.number(5) + ",1,assessor\n" + b.number(5) + ",2,assessor\n", whyTwice, 3, ""},
		"two bad rows":         {"members", head + b.number(1) + ",1,assessor\n" + b.number(5) + ",9,assessor\n", whyCandidate, 2, "2 candidate, 3 unknown-bureau"},
		"check digits":         {"update", updateHead + "strike,85.07.30-033.29,death,,,,,,,,,\n", whyDigits, 2, ""},
		"who is there already": {"update", updateHead + "add," + b.number(1) + ",court-decision,J1,X,Y,,,,,Saint-Josse-ten-Noode,fr\n", whyTwice, 2, ""},
		"another commune":      {"update", updateHead + "add,93.05.18-223.61,court-decision,J1,X,Y,,,,,Schaerbeek,fr\n", whyCommune, 2, ""},
		"another method":       {"update", numbered + "amend," + b.number(4) + ",correction,,,,,,,,,,," + other.Digits() + "\n", whyMixed, 2, ""},
		"a number given twice": {"update", numbered + "amend," + b.number(4) + ",correction,,,,,,,,,,," + given + "\n", whyTwice, 2, ""},
		"a bad reason":         {"update", updateHead + "strike," + b.number(4) + ",mood,,,,,,,,,\n", whyRow, 2, ""},
		"another candidature":  {"mark", "national_number,list,commune\n" + b.number(7) + ",L,21015\n", whyCommune, 2, ""},
		"no file of its kind":  {"mark", "name\n" + b.number(7) + "\n", whyFile, 0, ""},
		"an empty file":        {"mark", "", whyFile, 0, ""},
	} {
		b.file("act.csv", c.file)
		tr := b.refusedOnce(exitUsage, c.act, "21014=act.csv")
		if tr.Details["reason"] != string(c.why) || tr.Line != c.line || tr.Details["lines"] != c.lines || tr.Source == nil {
			t.Errorf("%s: %+v", name, tr)
		}
		if strings.Contains(fmt.Sprint(tr), "85.07.30") || strings.Contains(fmt.Sprint(tr), "93.05.18") {
			t.Errorf("%s: a number is kept: %+v", name, tr)
		}
	}
	said := b.do(exitDone, "history", "21014")
	if strings.Count(said, " refused, by A. Official") != 17 || !strings.Contains(said, "line 3, act members, reason candidate, rows 1") {
		t.Error(said)
	}
	b.nobody(said)
}

// What is no file of rows at all: other encodings by their names, two gigabytes, a directory, no file.
func TestARefusedFileIsInTheRecord(t *testing.T) {
	b := newBench(t, 20)
	b.ready(2)
	text := updateHead + "amend," + b.number(1) + ",correction,,Lefèvre,Zoé,,,,,,\n"
	encode := func(e interface{ String(string) (string, error) }) string {
		out, err := e.String(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for want, file := range map[string]string{
		"UTF-16 (little-endian)":               encode(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()),
		"UTF-16 (big-endian)":                  encode(unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder()),
		"ISO 8859-1 (Latin-1) or Windows-1252": encode(charmap.ISO8859_1.NewEncoder()),
	} {
		b.file("updates.csv", file)
		tr := b.refusedOnce(exitUsage, "update", "21014=updates.csv")
		if tr.Details["reason"] != string(whyEncoding) || tr.Details["encoding"] != want || tr.Line == 0 {
			t.Errorf("%s: %+v", want, tr)
		}
	}
	huge, err := os.Create(b.path("updates.csv"))
	if err == nil {
		err = huge.Truncate(2 << 30) // a hole: it takes no room
	}
	if err != nil {
		t.Fatal(err)
	}
	huge.Close()
	code, said := b.said("update", "21014="+b.path("updates.csv"))
	if code != exitUsage || !strings.Contains(said, "more than 256 MB") || strings.Count(said, "\n") != 1 {
		t.Errorf("exit %d: %s", code, said)
	}
	if tr, _ := b.lastTrace(); tr.Details["reason"] != string(whySize) {
		t.Errorf("%+v", tr)
	}
	if err := os.Remove(b.path("updates.csv")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"updates.csv", "work"} {
		if tr := b.refusedOnce(exitUsage, "update", "21014="+name); tr.Details["reason"] != string(whyFile) {
			t.Errorf("%s: %+v", name, tr)
		}
	}
	b.file("other.csv", "another list")
	if tr := b.refusedOnce(exitUsage, "import", "21014=other.csv"); tr.Details["reason"] != string(whyTaken) {
		t.Errorf("another list: %+v", tr)
	}
}

// said is an act on the working directory, without looking at its exit code.
func (b *bench) said(act string, args ...string) (int, string) {
	var out bytes.Buffer
	code := Command(b.Context(), append([]string{act, "--work", b.path("work"), "--by", "A. Official"}, args...), &out, &out)
	return code, out.String()
}

// A dry run is no attempt, and where nothing was begun nothing is recorded.
func TestDryRunsAndFirstImportsLeaveNoRefusal(t *testing.T) {
	b := newBench(t, 20)
	b.ready(2)
	b.file("members.csv", "national_number,bureau,function\n"+b.number(5)+",9,assessor\n")
	b.file("bad.csv", "national_number\nx\n")
	before := tree(t, b.dir)
	b.do(exitUsage, "members", "--dry-run", "21014=members.csv")
	b.do(exitUsage, "import", "--dry-run", "21014=bad.csv")
	b.do(exitUsage, "import", "21015=bad.csv")
	b.do(exitUsage, "divide", "21015")
	if !same(before, tree(t, b.dir)) {
		t.Errorf("%v", names(t, b.dir))
	}
}

// Who does it is a name; a number that somebody typed there is withheld all the same.
func TestANumberTypedAsANameIsNotRecorded(t *testing.T) {
	b := newBench(t, 20)
	var out bytes.Buffer
	if code := Command(t.Context(), []string{"number", "--work", b.path("work"), "--by", b.number(1), "--why", b.number(1), "21014"}, &out, &out); code != exitRefused {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	if tr, _ := b.lastTrace(); tr.By != "(withheld)" || tr.Why != "" || tr.Act != actRefused {
		t.Errorf("%+v", tr)
	}
}

// The record's key stays with the directory: lines that another key has signed are not its own.
func TestARecordOfAnotherKeyIsRefused(t *testing.T) {
	b := newBench(t, 20)
	other := newRecord(b.path("record"), "preparation/21014")
	if err := other.append([]Trace{{Act: "import", By: "somebody else"}}); err != nil {
		t.Fatal(err)
	}
	w := b.open()
	w.state.Record.Lines, w.state.Record.Bytes, w.state.Record.Head = other.Lines, other.Bytes, other.Head
	w.state.Record.path = other.path
	if err := w.Traces(nil); err == nil {
		t.Error("a record under another key is taken")
	}
	w.state.Record.Signer = other.Signer
	if err := w.Traces(nil); err != nil {
		t.Errorf("the record under its own key: %v", err)
	}
}

// An election that is refused because of one commune's list leaves a line in each commune's record.
func TestARefusedElectionIsInTheCommunesRecords(t *testing.T) {
	b := newBench(t, 20)
	make := func(args ...string) string {
		b.Helper()
		return b.run(exitUsage, append([]string{
			"make", "--work", b.path("work"), "--by", "C. Administration", "--election", "brussels-2030", "--opens", "2030-10-13T08:00:00+02:00",
			"--closes", "2030-10-13T16:00:00+02:00", "--witness", testWitness().VKey, "--witness-url", "http://127.0.0.1:1/", "--simulation", "--out", b.path("election"),
		}, args...)...)
	}
	_, lines := b.lastTrace()
	make("--dry-run", "21014")
	if _, now := b.lastTrace(); now != lines {
		t.Error("a dry run is recorded")
	}
	if said := make("21014", "21015"); !strings.Contains(said, "not divided and numbered yet") {
		t.Error(said)
	}
	tr, now := b.lastTrace()
	if now != lines+1 || tr.Act != actRefused || tr.By != "C. Administration" || tr.Details["act"] != "make" || tr.Details["reason"] != string(whyTurn) {
		t.Errorf("%d lines: %+v", now-lines, tr)
	}
	if _, err := os.Lstat(b.path("election")); err == nil {
		t.Error("something of the election is there")
	}
}
