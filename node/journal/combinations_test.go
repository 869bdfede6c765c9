package journal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pointage/ledger/ledgertest"
)

// condition is what has become of the medium at a place.
type condition int

const (
	present condition = iota
	missing
	stale    // an earlier state of it
	corrupt  // one record, beyond the stale state, is damaged
	others   // another bureau's
	cloned   // a copy of the next place's medium
	replaced // of the generation before, left behind at the stale state
	behind   // the same, but the newest generation names it
	joining  // a replacement was cut before it had its header
	conditions

	// basic are the conditions that a day has without a replacement that was cut.
	basic = behind
)

var conditionNames = [conditions]string{"present", "missing", "stale", "corrupt", "of another bureau", "cloned", "replaced", "behind", "joining"}

func (c condition) String() string { return conditionNames[c] }

// specimens are the files of each place in each condition.
type specimens struct {
	o     Options
	files [members][conditions]map[string][]byte
}

func names(place int) []string {
	p := string([]byte{'/', byte('0' + place), '/'})
	return []string{p + headerFile, p + recordsFile, p + hardwareFile}
}

func (d *disks) read(tb testing.TB, place int) map[string][]byte {
	tb.Helper()
	out := map[string][]byte{}
	for _, name := range names(place) {
		if b, err := readSmall(d, name, maxFile); err == nil {
			out[name[3:]] = b
		}
	}
	return out
}

// newSpecimens makes media with counts 0 and 1 in the stale state and 2 to 4 after it, of which
// the corrupt ones have lost 3. With hardware, each place is a piece of hardware of its own.
func newSpecimens(tb testing.TB, hardware bool) *specimens {
	tb.Helper()
	s := new(specimens)
	set := func(o Options) Options {
		for i := range o.Media {
			if hardware && o.Media[i].Path != "" {
				o.Media[i].Hardware = fmt.Sprint("hardware ", i)
			}
		}
		return o
	}
	d := newDisks()
	bare := bareOptions(ledgertest.NewDay(tb, 3, 12, nil).Group, 100)
	s.o = set(d.on(bare, 0, 1, 2))
	create(tb, s.o)
	session := func(from, to int) {
		j, err := Open(s.o)
		if err != nil {
			tb.Fatal(err)
		}
		for n := from; n < to; n++ {
			appended1(tb, j, count(n))
		}
		closed(tb, j)
	}
	session(0, 2)
	var early [members]map[string][]byte
	for p := range members {
		early[p] = d.read(tb, p)
	}
	session(2, 5)
	for p := range members {
		all := d.read(tb, p)
		newer := s.header(tb, p, all, func(h *header) { h.generation = 2 })
		with := func(records []byte) map[string][]byte {
			return map[string][]byte{headerFile: newer, recordsFile: records, hardwareFile: all[hardwareFile]}
		}
		damaged := bytes.Clone(all[recordsFile])
		last := bytes.LastIndex(damaged, []byte(frameMagic))
		damaged[bytes.LastIndex(damaged[:last], []byte(frameMagic))+60] ^= 1
		s.files[p][present] = with(all[recordsFile])
		s.files[p][stale] = with(early[p][recordsFile])
		s.files[p][corrupt] = with(damaged)
		left := func(hardware string) map[string][]byte {
			old := s.header(tb, p, all, func(h *header) {
				if hardware != "" {
					h.hardware = [members]string{"old 0", "old 1", "old 2"}
				}
			})
			out := map[string][]byte{headerFile: old, recordsFile: early[p][recordsFile], hardwareFile: all[hardwareFile]}
			if hardware != "" && all[hardwareFile] != nil {
				out[hardwareFile] = []byte(hardware)
			}
			return out
		}
		s.files[p][replaced], s.files[p][behind] = left(fmt.Sprint("old ", p)), left("")
		s.files[p][joining] = map[string][]byte{recordsFile: all[recordsFile], hardwareFile: all[hardwareFile]}
		s.files[p][others] = with(all[recordsFile])
		s.files[p][others][headerFile] = s.header(tb, p, all, func(h *header) { h.generation, h.binding.bureau = 2, bureau+1 })
	}
	for p := range members {
		s.files[p][cloned] = s.files[(p+1)%members][present]
	}
	return s
}

func (s *specimens) header(tb testing.TB, place int, files map[string][]byte, change func(*header)) []byte {
	tb.Helper()
	h, problem := decodeHeader(files[headerFile], s.o.JournalKey, s.o.binding())
	if problem != nil || h.member != place {
		tb.Fatal(problem)
	}
	change(h)
	return h.encode(s.o.JournalKey)
}

// lay puts media in these conditions on new disks.
func (s *specimens) lay(at [members]condition) (*disks, Options) {
	d := newDisks()
	o := s.o
	o.files = d
	for p, c := range at {
		d.gone[p] = c == missing
		if c == replaced && o.Media[p].Hardware != "" {
			o.Media[p].Hardware = fmt.Sprint("old ", p)
		}
		for i, name := range names(p) {
			if b := s.files[p][c][name[3:]]; b != nil {
				d.names[name] = members*p + i
				for len(d.inodes) <= members*p+i {
					d.inodes = append(d.inodes, nil)
				}
				d.inodes[members*p+i] = bytes.Clone(b)
			}
		}
	}
	return d, o
}

// want is what the rules say of media in these conditions: which count, and of the others why not.
func want(at [members]condition, hardware bool) (usable []int, problems map[int]Problem) {
	type named struct {
		member int
		old    bool // of the generation before
		given  bool // not named by the newest
	}
	of := map[int]named{}
	problems = map[int]Problem{}
	newer, lines := false, map[bool]int{}
	for p, c := range at {
		switch {
		case c == missing:
			problems[p] = Absent
		case c == others:
			problems[p] = OtherBureau
		case c == joining:
			problems[p] = NoJournal
		case c == cloned && hardware:
			problems[p] = Copied
		case c == cloned:
			of[p] = named{member: (p + 1) % members}
		default:
			of[p] = named{p, c == replaced || c == behind, c == replaced}
		}
		if n, ok := of[p]; ok {
			newer = newer || !n.old
			lines[n.given]++
		}
	}
	// Without the newest generation the one before counts, the greater part if it was given twice.
	given := !newer && lines[true] > 0
	if given && lines[true] <= lines[false] {
		for p := 2; p >= 0; p-- { // the first of equals
			if n, ok := of[p]; ok {
				given = n.given
			}
		}
		given = given && lines[true] == lines[false]
	}
	for p, n := range of {
		switch {
		case n.given != given:
			problems[p] = OldGeneration
		case slices.ContainsFunc([]int{0, 1, 2}, func(q int) bool {
			x, ok := of[q]
			return ok && q != p && x.given == given && x.member == n.member
		}):
			problems[p] = Twin
		default:
			usable = append(usable, p)
		}
	}
	slices.Sort(usable)
	return usable, problems
}

// counted is what the union of the usable media holds, nil when a record in its middle is gone.
func counted(at [members]condition, usable []int) []int {
	later, whole := false, false
	for _, p := range usable {
		later = later || at[p] != stale && at[p] != replaced && at[p] != behind
		whole = whole || at[p] == present || at[p] == cloned
	}
	switch {
	case whole:
		return []int{0, 1, 2, 3, 4}
	case later:
		return nil
	}
	return []int{0, 1}
}

// Every combination of what may be at the three places opens with what the rules say,
// or is refused in one line that names each medium that does not count.
func TestEveryCombinationOfMediaOpensRightlyOrIsRefused(t *testing.T) {
	t.Parallel()
	for _, hardware := range []bool{true, false} {
		s := newSpecimens(t, hardware)
		tried, opened, ofBasic := 0, 0, 0
		var at [members]condition
		for at[0] = range conditions {
			for at[1] = range conditions {
				for at[2] = range conditions {
					tried++
					if max(at[0], at[1], at[2]) < basic {
						ofBasic++
					}
					if s.check(t, at, hardware) {
						opened++
					}
				}
			}
		}
		t.Logf("hardware identities %v: %d combinations, %d of them without a cut replacement, %d opened, %d refused", hardware, tried, ofBasic, opened, tried-opened)
		if ofBasic != 343 || tried != 729 {
			t.Errorf("%d combinations, %d of them basic", tried, ofBasic)
		}
	}
}

func (s *specimens) check(t *testing.T, at [members]condition, hardware bool) (opened bool) {
	t.Helper()
	usable, problems := want(at, hardware)
	expected := counted(at, usable)
	d, o := s.lay(at)
	j, err := Open(o)
	if err != nil {
		s.refused(t, at, err, usable, problems, expected)
		if n := d.at(); n != 0 {
			t.Errorf("%v: refused after %d operations", at, n)
		}
		return false
	}
	if len(usable) < quorum || expected == nil {
		t.Errorf("%v: opened", at)
	}
	if got := counts(t, j); !slices.Equal(got, expected) {
		t.Errorf("%v: the chain has %v, want %v", at, got, expected)
	}
	wellChained(t, j, o.Group)
	var told []string
	for _, f := range j.Findings() {
		told = append(told, f.What)
	}
	for p, problem := range problems {
		line := fmt.Sprintf("medium %d (/%d) %v", p, p, problem)
		if problem != Absent && !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, line) }) {
			t.Errorf("%v: %q is not among %q", at, line, told)
		}
		for name, b := range d.read(t, p) {
			if !bytes.Equal(b, s.files[p][at[p]][name]) {
				t.Errorf("%v: %s of medium %d, which does not count, was written", at, name, p)
			}
		}
	}
	closed(t, j)
	for i, p := range usable { // each has everything now
		pair := o
		if len(usable) == members {
			pair.Media[p].Path = ""
		} else if i > 0 {
			break
		}
		j, err := Open(pair)
		if err != nil {
			t.Fatalf("%v, then without %d: %v", at, p, err)
		}
		if got := counts(t, j); !slices.Equal(got, expected) {
			t.Errorf("%v, then without %d: %v", at, p, got)
		}
		closed(t, j)
	}
	return true
}

func (s *specimens) refused(t *testing.T, at [members]condition, err error, usable []int, problems map[int]Problem, expected []int) {
	t.Helper()
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%v: more than one line: %q", at, err)
	}
	if len(usable) >= quorum {
		if expected != nil || !errors.Is(err, ErrGap) {
			t.Errorf("%v: %v", at, err)
		}
		return
	}
	var few *TooFewError
	if !errors.As(err, &few) || few.Usable != len(usable) || len(few.Problems) != len(problems) {
		t.Errorf("%v: %v", at, err)
		return
	}
	for _, e := range few.Problems {
		if problem, ok := problems[e.Place]; !ok || e.Problem != problem || !strings.Contains(err.Error(), e.Error()) {
			t.Errorf("%v: place %d: %v", at, e.Place, e)
		}
	}
}
