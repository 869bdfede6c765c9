package journal

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// rewrite gives the medium at a place a header that change has altered.
func rewrite(tb testing.TB, o Options, place int, change func(*header)) {
	tb.Helper()
	h, problem := o.readHeaderOf(place)
	if problem != nil {
		tb.Fatal(problem)
	}
	change(h)
	if err := replace(machineFiles{}, filepath.Join(o.Media[place].Path, headerFile), h.encode(o.JournalKey)); err != nil {
		tb.Fatal(err)
	}
}

func (o Options) readHeaderOf(place int) (*header, *MediumError) {
	o.files = machineFiles{}
	return o.readHeader(place)
}

// contents are the files of a medium, by name.
func contents(tb testing.TB, m Medium) map[string]string {
	tb.Helper()
	names, err := os.ReadDir(m.Path)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]string{}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(m.Path, n.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		out[n.Name()] = string(b)
	}
	return out
}

func edit(tb testing.TB, name string, change func([]byte) []byte) {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, change(b), 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// used makes a set with a session of three counts, closed.
func used(tb testing.TB, seed byte) Options {
	tb.Helper()
	o := options(tb, seed)
	create(tb, o)
	j := reopen(tb, o)
	for n := range 3 {
		appended1(tb, j, count(n))
	}
	closed(tb, j)
	return o
}

// broken says how a medium is made one that does not count.
var broken = []struct {
	name    string
	problem Problem
	breaks  func(tb testing.TB, o *Options, place int)
}{
	{"absent", Absent, func(tb testing.TB, o *Options, p int) { o.Media[p].Path = "" }},
	{"not plugged in", Absent, func(tb testing.TB, o *Options, p int) { o.Media[p].Path += "-elsewhere" }},
	{"blank", NoJournal, func(tb testing.TB, o *Options, p int) { o.Media[p].Path = tb.TempDir() }},
	{"damaged header", Damaged, func(tb testing.TB, o *Options, p int) {
		edit(tb, filepath.Join(o.Media[p].Path, headerFile), func(b []byte) []byte { b[40] ^= 1; return b })
	}},
	{"cut header", Damaged, func(tb testing.TB, o *Options, p int) {
		edit(tb, filepath.Join(o.Media[p].Path, headerFile), func(b []byte) []byte { return b[:len(b)-1] })
	}},
	{"records gone", Damaged, func(tb testing.TB, o *Options, p int) {
		if err := os.Remove(filepath.Join(o.Media[p].Path, recordsFile)); err != nil {
			tb.Fatal(err)
		}
	}},
	{"newer format", NewerFormat, func(tb testing.TB, o *Options, p int) {
		edit(tb, filepath.Join(o.Media[p].Path, headerFile), func(b []byte) []byte { b[len(headerMagic)+1] = headerVersion + 1; return b })
	}},
	{"other election", OtherElection, func(tb testing.TB, o *Options, p int) {
		rewrite(tb, *o, p, func(h *header) { h.binding.manifest[0] ^= 1 })
	}},
	{"other commune", OtherBureau, func(tb testing.TB, o *Options, p int) { rewrite(tb, *o, p, func(h *header) { h.binding.commune++ }) }},
	{"other bureau", OtherBureau, func(tb testing.TB, o *Options, p int) { rewrite(tb, *o, p, func(h *header) { h.binding.bureau++ }) }},
	{"other incarnation", OtherIncarnation, func(tb testing.TB, o *Options, p int) {
		rewrite(tb, *o, p, func(h *header) { h.binding.incarnation++ })
	}},
	{"wrong key", WrongKey, func(tb testing.TB, o *Options, p int) {
		x := *o
		h, _ := x.readHeaderOf(p)
		x.JournalKey[0] ^= 1
		if err := replace(machineFiles{}, filepath.Join(o.Media[p].Path, headerFile), h.encode(x.JournalKey)); err != nil {
			tb.Fatal(err)
		}
	}},
	{"other hardware", Copied, func(tb testing.TB, o *Options, p int) { o.Media[p].Hardware = "usb 1234" }},
	{"copied without its identity", Copied, func(tb testing.TB, o *Options, p int) {
		if err := os.Remove(filepath.Join(o.Media[p].Path, hardwareFile)); err != nil {
			tb.Fatal(err)
		}
	}},
	{"other set", OtherSet, func(tb testing.TB, o *Options, p int) { rewrite(tb, *o, p, func(h *header) { h.set[0] ^= 1 }) }},
}

func TestAMediumThatDoesNotCountIsNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for k, c := range broken {
		for _, place := range []int{k % members, (k + 1) % members} {
			o := used(t, 60)
			c.breaks(t, &o, place)
			there := o.Media[place].Path != "" && c.problem != Absent
			var before map[string]string
			if there {
				before = contents(t, o.Media[place])
			}
			j, err := Open(o)
			if err != nil {
				t.Errorf("medium %d %s: two good ones did not open: %v", place, c.name, err)
				continue
			}
			if got := counts(t, j); len(got) != 3 {
				t.Errorf("medium %d %s: %v", place, c.name, got)
			}
			var problem *MediumError
			st := j.Status()[place]
			if !errors.As(st.Fault, &problem) || st.Attached || problem.Problem != c.problem || problem.Place != place {
				t.Errorf("medium %d %s: status %+v", place, c.name, st)
			}
			if there && !strings.Contains(finding(t, j, NotCounted).What, o.Media[place].Path) {
				t.Errorf("medium %d %s: the finding does not name it", place, c.name)
			}
			appended1(t, j, count(3))
			closed(t, j)
			if there {
				for name, b := range contents(t, o.Media[place]) {
					if before[name] != b {
						t.Errorf("medium %d %s: %s was written", place, c.name, name)
					}
				}
			}
		}
	}
}

func TestFewerThanTwoMediaDoNotOpen(t *testing.T) {
	t.Parallel()
	for _, c := range broken {
		o := only(used(t, 61), 0, 2)
		c.breaks(t, &o, 2)
		before := contents(t, o.Media[0])
		_, err := Open(o)
		var few *TooFewError
		if !errors.As(err, &few) || few.Usable != 1 && c.problem != OtherSet {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.problem != OtherSet && (len(few.Problems) != 2 || few.Problems[1].Problem != c.problem && few.Problems[0].Problem != c.problem) {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a line: %q", c.name, err)
		}
		for name, b := range contents(t, o.Media[0]) {
			if before[name] != b {
				t.Errorf("%s: %s of the good medium was written", c.name, name)
			}
		}
	}
}

func TestAnOlderGenerationDoesNotCount(t *testing.T) {
	o := used(t, 62)
	for _, p := range []int{0, 1} {
		rewrite(t, o, p, func(h *header) { h.generation, h.hardware[2] = 2, "another" })
	}
	j := reopen(t, o)
	var problem *MediumError
	if !errors.As(j.Status()[2].Fault, &problem) || problem.Problem != OldGeneration {
		t.Errorf("status %+v", j.Status()[2])
	}
	closed(t, j)
	if _, err := Open(only(o, 1, 2)); !errors.As(err, new(*TooFewError)) {
		t.Errorf("one of the newest generation opened: %v", err)
	}
}

// Both survivors are brought to a generation before the next: one that is two behind was put back to
// an earlier state.
func TestAMediumTwoGenerationsBehindDoesNotCount(t *testing.T) {
	o := used(t, 71)
	for _, p := range []int{0, 1} {
		rewrite(t, o, p, func(h *header) { h.generation = 3 })
	}
	j := reopen(t, o)
	var problem *MediumError
	if !errors.As(j.Status()[2].Fault, &problem) || problem.Problem != OldGeneration {
		t.Errorf("status %+v", j.Status()[2])
	}
	closed(t, j)
	rewrite(t, o, 2, func(h *header) { h.generation = 2 })
	j = reopen(t, o)
	finding(t, j, BroughtUp)
	closed(t, j)
}

func TestTheSameMemberTwiceDoesNotOpen(t *testing.T) {
	o := used(t, 63)
	o.Media[1].Path = t.TempDir()
	if err := os.CopyFS(o.Media[1].Path, os.DirFS(o.Media[2].Path)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(o)
	var few *TooFewError
	if !errors.As(err, &few) || len(few.Problems) != 2 || few.Problems[0].Problem != Twin || few.Problems[1].Problem != Twin {
		t.Errorf("opened: %v", err)
	}
	o.Media[1] = o.Media[2]
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "different places") {
		t.Errorf("the same directory twice: %v", err)
	}
}

func TestKeysMayChangePlaces(t *testing.T) {
	o := used(t, 64)
	o.Media[1], o.Media[2] = o.Media[2], o.Media[1]
	j := reopen(t, only(o, 0, 1))
	st := j.Status()
	if got := counts(t, j); len(got) != 3 || !st[2].Attached || st[2].Path != o.Media[1].Path || st[1].Attached {
		t.Errorf("counts %v, status %+v", got, st)
	}
}

func TestCreateRefusesAMediumInUseAndWritesNothing(t *testing.T) {
	o := used(t, 65)
	o.Media[0].Path, o.Media[2].Path = t.TempDir(), t.TempDir()
	before := contents(t, o.Media[1])
	var problem *MediumError
	if err := Create(o); !errors.As(err, &problem) || problem.Problem != Occupied || problem.Place != 1 {
		t.Errorf("create: %v", err)
	}
	for _, p := range []int{0, 2} {
		if c := contents(t, o.Media[p]); len(c) != 0 {
			t.Errorf("medium %d has %d files", p, len(c))
		}
	}
	for name, b := range contents(t, o.Media[1]) {
		if before[name] != b {
			t.Errorf("%s was written", name)
		}
	}
	if err := Create(only(o, 0)); !errors.As(err, new(*TooFewError)) {
		t.Errorf("create with one medium: %v", err)
	}
	o.Key = ledgertest.Key("somebody else")
	if err := Create(only(o, 0, 2)); err == nil {
		t.Error("created with a key that the manifest does not have")
	}
	if _, err := Open(o); err == nil {
		t.Error("opened with a key that the manifest does not have")
	}
}

func TestADamagedByteIsFoundAndTheOthersAreTaken(t *testing.T) {
	t.Parallel()
	o := only(used(t, 66), 0, 1)
	name := filepath.Join(o.Media[1].Path, recordsFile)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	other := contents(t, o.Media[0])
	rnd := rand.New(rand.NewChaCha8([32]byte{66}))
	last := bytes.LastIndex(good, []byte(frameMagic))
	flips := 60
	if *full {
		flips = 1000
	}
	for range flips {
		bad := bytes.Clone(good)
		at := rnd.IntN(len(bad))
		bad[at] ^= 1 << rnd.IntN(8)
		if err := errors.Join(os.WriteFile(name, bad, 0o600), os.WriteFile(filepath.Join(o.Media[0].Path, recordsFile), []byte(other[recordsFile]), 0o600)); err != nil {
			t.Fatal(err)
		}
		j := reopen(t, o)
		if got := counts(t, j); len(got) != 3 {
			t.Fatalf("byte %d: %v", at, got)
		}
		kind := DamagedRecord
		if at >= last {
			kind = TornTail
		}
		if f := finding(t, j, kind); f.Member != 1 || f.Offset > int64(at) || f.Offset+f.Bytes <= int64(at) {
			t.Errorf("byte %d: found at %d, %d bytes", at, f.Offset, f.Bytes)
		}
		finding(t, j, Levelled)
		wellChained(t, j, o.Group)
		closed(t, j)
		// What was levelled makes the damaged medium as good as the other.
		j = reopen(t, o)
		noneOf(t, j, Levelled, TornTail)
		closed(t, j)
	}
	t.Logf("%d damages, each found in its place", flips)
}

func TestRecordsMissingOnAllMediaAreNotPassedOver(t *testing.T) {
	o := only(used(t, 67), 0, 2)
	for _, p := range []int{0, 2} {
		edit(t, filepath.Join(o.Media[p].Path, recordsFile), func(b []byte) []byte {
			b[bytes.LastIndex(b[:bytes.LastIndex(b, []byte(frameMagic))], []byte(frameMagic))+50] ^= 1
			return b
		})
	}
	before := contents(t, o.Media[0])
	if _, err := Open(o); !errors.Is(err, ErrGap) {
		t.Errorf("opened: %v", err)
	}
	for name, b := range contents(t, o.Media[0]) {
		if before[name] != b {
			t.Errorf("%s was written", name)
		}
	}
}

func TestRecordsOfAnotherSetOrPlaceDoNotOpen(t *testing.T) {
	key := [32]byte{9}
	a, b := newSealer(key, [16]byte{1}), newSealer(key, [16]byte{2})
	f := a.appendFrame(nil, 7, nonce{3}, []byte{1, 2, 3})
	if n, plain, size, ok := a.openFrame(append(f, 1, 2)); !ok || n != 7 || size != len(f) || !bytes.Equal(plain, []byte{1, 2, 3}) {
		t.Fatal("a frame does not open")
	}
	if _, _, _, ok := b.openFrame(f); ok {
		t.Error("it opens in another set")
	}
	for i := range f {
		g := bytes.Clone(f)
		g[i] ^= 1
		if _, _, _, ok := a.openFrame(g); ok {
			t.Errorf("it opens with byte %d changed", i)
		}
		if _, _, _, ok := a.openFrame(f[:i]); ok {
			t.Errorf("it opens cut at %d", i)
		}
	}
}

func TestAnEarlierRecordCopiedToTheEndIsDamage(t *testing.T) {
	o := only(used(t, 68), 0, 1)
	edit(t, filepath.Join(o.Media[1].Path, recordsFile), func(b []byte) []byte {
		return append(b, b[:bytes.Index(b[1:], []byte(frameMagic))+1]...)
	})
	j := reopen(t, o)
	finding(t, j, TornTail)
	wellChained(t, j, o.Group)
}

func TestWhatAForkShowsIsEvidenceInTheLedger(t *testing.T) {
	o := used(t, 69)
	clone := o
	for i := range clone.Media {
		clone.Media[i].Path = t.TempDir()
		if err := os.CopyFS(clone.Media[i].Path, os.DirFS(o.Media[i].Path)); err != nil {
			t.Fatal(err)
		}
	}
	j := reopen(t, o)
	appended1(t, j, count(10), count(11))
	closed(t, j)
	j = reopen(t, only(clone, 0, 1)) // the clone is at work as well
	appended1(t, j, count(20))
	closed(t, j)
	o.Media[1] = clone.Media[1]
	_, err := Open(o)
	var fork *ForkError
	if !errors.As(err, &fork) || len(fork.Forks) != 1 {
		t.Fatalf("opened: %v", err)
	}
	f := fork.Forks[0]
	e := &ledger.Evidence{First: f.Headers[0], Second: f.Headers[1]}
	d := ledgertest.NewDay(t, 3, 12, nil)
	c := d.Started(1)
	if ans := c.Put(e); !ans.Verdicts[0].Clean() {
		t.Errorf("the headers are no evidence: %+v", ans)
	}
}

func TestAThirdMediumIsLevelledWhenItComesBack(t *testing.T) {
	o := used(t, 70)
	j := reopen(t, only(o, 0, 1))
	appended1(t, j, count(3))
	if err := j.SetNote(context.Background(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	j = reopen(t, o)
	if f := finding(t, j, Levelled); f.Member != 2 {
		t.Errorf("levelled %+v", f)
	}
	closed(t, j)
	j = reopen(t, only(o, 1, 2))
	if got := counts(t, j); len(got) != 4 {
		t.Errorf("counts %v", got)
	}
	if v, _ := j.Note("k"); string(v) != "v" {
		t.Errorf("note %q", v)
	}
	wellChained(t, j, o.Group)
}
