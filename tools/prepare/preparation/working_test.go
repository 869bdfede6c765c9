package preparation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/node/register"
)

// bench is a directory for the acts of one test on Saint-Josse-ten-Noode.
type bench struct {
	*testing.T
	dir  string
	list *List // what was imported
}

func newBench(t *testing.T, electors int) *bench {
	b := &bench{T: t, dir: t.TempDir()}
	var text bytes.Buffer
	if err := Synthetic(&text, 7, 21014, electors); err != nil {
		t.Fatal(err)
	}
	b.file("electors.csv", text.String())
	list, bad, err := Import(t.Context(), &text, Rules{Commune: 21014})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	b.list = list
	b.do(exitDone, "import", "21014=electors.csv")
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) file(name, text string) {
	b.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// do runs an act on the working directory; files are named without their
// directory. It gives all that was said.
func (b *bench) do(want int, act string, args ...string) string {
	b.Helper()
	all := []string{act, "--work", b.path("work")}
	if act != "status" && act != "history" && act != "list" {
		all = append(all, "--by", "A. Official")
	}
	for _, arg := range args {
		if ins, name, ok := strings.Cut(arg, "="); ok {
			arg = ins + "=" + b.path(name)
		}
		all = append(all, arg)
	}
	var out bytes.Buffer
	if code := Command(b.Context(), all, &out, &out); code != want {
		b.Fatalf("%v: exit %d, want %d: %s", all, code, want, out.String())
	}
	return strings.ReplaceAll(out.String(), b.dir+"/", "")
}

// ready divides and numbers.
func (b *bench) ready(bureaux int) {
	b.Helper()
	b.do(exitDone, "divide", "--bureaux", fmt.Sprint(bureaux), "21014")
	b.do(exitDone, "number", "21014")
}

func (b *bench) open() *Working {
	b.Helper()
	w, err := OpenWorking(b.Context(), b.path("work"), 21014)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.Close() })
	return w
}

// tree is the content of all files under a directory, by path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		out[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(a, b map[string]string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(keysOf(a), func(k string) bool { return a[k] != b[k] })
}

func keysOf(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// nobody fails when a text names an elector of the list.
func (b *bench) nobody(said string) {
	b.Helper()
	for i := range b.list.People {
		p := &b.list.People[i]
		if strings.Contains(said, p.NationalNumber.Printed()) || strings.Contains(said, p.NationalNumber.Digits()) ||
			len(p.Surname) > 4 && strings.Contains(said, p.Surname) {
			b.Fatalf("an elector is named: %s", said)
		}
	}
}

func (b *bench) number(i int) string { return b.list.People[i].NationalNumber.Printed() }

const updateHead = "action,national_number,reason,reference,surname,first_names,street,number,box,postcode,municipality,language\n"

func TestUpdatesAddStrikeAndAmendAndEachIsTraced(t *testing.T) {
	b := newBench(t, 60)
	b.ready(3)
	before := b.open()
	struck, kept := before.List.People[4], before.List.People[5]
	before.Close()
	b.file("updates.csv", updateHead+
		"strike,"+b.number(4)+",death,,,,,,,,,\n"+
		"amend,"+b.number(5)+",correction,,,,Rue Neuve,7,-,,,\n"+
		"add,85.07.30-033.28,court-decision,judgment 2030/17,Lefèvre,Éléonore,Rue Haute,1,,1210,Saint-Josse-ten-Noode,fr\n")
	said := b.do(exitDone, "update", "21014=updates.csv")
	if !strings.Contains(said, "1 added, 1 struck off, 1 amended: 60 electors") {
		t.Error(said)
	}
	b.nobody(said)
	w := b.open()
	place := w.places()
	if _, there := place[struck.NationalNumber]; there {
		t.Error("who died is on the list")
	}
	amended := w.List.People[place[kept.NationalNumber]]
	if amended.Address.Street != "Rue Neuve" || amended.Address.Box != "" || amended.Surname != kept.Surname || amended.ConvocationNumber != kept.ConvocationNumber {
		t.Error("the amended elector is wrong")
	}
	var acts []string
	if err := w.Traces(func(x *Trace) error {
		if x.By != "A. Official" || x.At.IsZero() {
			t.Errorf("line %d: by %q at %v", x.Number, x.By, x.At)
		}
		if x.Elector != "" {
			acts = append(acts, x.Act+" "+x.Elector+" "+x.Why)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"strike " + b.number(4) + " death", "amend " + b.number(5) + " correction", "add 85.07.30-033.28 court-decision: judgment 2030/17"}
	if !slices.Equal(acts, want) {
		t.Errorf("traces %q, want %q", acts, want)
	}
	w.Close()
	if said := b.do(exitDone, "history", "--elector", b.number(5), "21014"); !strings.Contains(said, `became "Rue Neuve"`) {
		t.Error(said)
	}
	// The same file again is known; who was added gets bureau and number, nobody
	// else another one, and nobody the number of who was struck off.
	if said := b.do(exitDone, "update", "21014=updates.csv"); !strings.Contains(said, "done already") {
		t.Error(said)
	}
	b.do(exitDone, "divide", "21014")
	if said := b.do(exitDone, "number", "21014"); !strings.Contains(said, "1 numbers given") {
		t.Error(said)
	}
	w = b.open()
	for _, p := range w.List.People {
		if p.ConvocationNumber == struck.ConvocationNumber || p.ConvocationNumber.IsZero() || p.Bureau == 0 {
			t.Error("the number of who died was given again, or somebody has none")
		}
		if p.NationalNumber == kept.NationalNumber && p.ConvocationNumber != kept.ConvocationNumber {
			t.Error("a number that was on a letter has changed")
		}
	}
}

func TestBadUpdatesAreRefusedAllTogetherAndNameNobody(t *testing.T) {
	b := newBench(t, 30)
	b.ready(2)
	w := b.open()
	number := w.List.People[3].ConvocationNumber.Digits()
	w.Close()
	before := tree(t, b.path("work"))
	stranger := "85.07.30-033.28"
	for row, want := range map[string]string{
		"strike," + stranger + ",death,,,,,,,,,":                                               "not on the list",
		"amend," + stranger + ",moved,,,,Rue Neuve,,,,,":                                       "not on the list",
		"add," + b.number(1) + ",court-decision,J1,X,Y,,,,,Saint-Josse-ten-Noode,fr":           "on the list already",
		"add," + stranger + ",court-decision,J1,X,Y,,,,,Schaerbeek,fr":                         "municipality: not",
		"add," + stranger + ",court-decision,J1,,Y,,,,,Saint-Josse-ten-Noode,fr":               "surname: it is empty",
		"add," + stranger + ",death,,X,Y,,,,,Saint-Josse-ten-Noode,fr":                         "nobody is to add for it",
		"add," + stranger + ",court-decision,,X,Y,,,,,Saint-Josse-ten-Noode,fr":                "reference: it is empty",
		"erase," + b.number(1) + ",death,,,,,,,,,":                                             "neither add, strike nor amend",
		"strike," + b.number(1) + ",mood,,,,,,,,,":                                             "reason: neither",
		"strike,85.07.30-033.29,death,,,,,,,,,":                                                "check digits",
		"amend," + b.number(1) + ",correction,,,,,,,,,":                                        "changes nothing",
		"amend," + b.number(1) + ",correction,,-,,,,,,,":                                       "surname: it is empty",
		"strike," + b.number(1) + ",death,,,,,,,,,\nstrike," + b.number(1) + ",death,,,,,,,,,": "line 3 is about the same elector",
	} {
		// A good row first: it must not be applied either.
		b.file("updates.csv", updateHead+"strike,"+b.number(9)+",death,,,,,,,,,\n"+row+"\n")
		said := b.do(exitUsage, "update", "21014=updates.csv")
		if !strings.Contains(said, want) || !strings.Contains(said, "nothing was changed") {
			t.Errorf("want %q: %s", want, said)
		}
		b.nobody(said)
		if strings.Contains(said, stranger) {
			t.Errorf("a number is repeated: %s", said)
		}
	}
	b.file("updates.csv", strings.TrimSuffix(updateHead, "\n")+",bureau,convocation_number\namend,"+b.number(1)+",correction,,,,,,,,,,3,\namend,"+b.number(0)+",correction,,,,,,,,,,,"+number+"\n")
	if said := b.do(exitUsage, "update", "21014=updates.csv"); !strings.Contains(said, "line 2: bureau: there is no bureau 3: the commune has 2") ||
		!strings.Contains(said, "line 3: convocation_number: it was given already") {
		t.Error(said)
	}
	if !same(unrecorded(before), unrecorded(tree(t, b.path("work")))) {
		t.Error("a refused file of updates has changed something")
	}
}

func TestDryRunsChangeNothing(t *testing.T) {
	b := newBench(t, 40)
	b.ready(2)
	b.file("updates.csv", updateHead+"strike,"+b.number(9)+",death,,,,,,,,,\n")
	b.file("martine.csv", "national_number,list\n"+b.number(1)+",A\n")
	b.file("members.csv", "national_number,bureau,function\n"+b.number(2)+",1,president\n")
	b.file("bureaux.csv", "bureau,place,role\n2,School,principal\n")
	before := tree(t, b.dir)
	b.do(exitDone, "update", "--dry-run", "21014=updates.csv")
	b.do(exitDone, "divide", "--dry-run", "--anew", "--bureaux", "3", "21014")
	b.do(exitDone, "number", "--dry-run", "21014")
	b.do(exitDone, "mark", "--dry-run", "21014=martine.csv")
	b.do(exitDone, "members", "--dry-run", "21014=members.csv")
	b.do(exitDone, "bureaux", "--dry-run", "21014=bureaux.csv")
	var other bytes.Buffer
	if err := Synthetic(&other, 1, 21015, 10); err != nil {
		t.Fatal(err)
	}
	b.file("other.csv", other.String())
	before[b.path("other.csv")] = other.String()
	b.do(exitDone, "import", "--dry-run", "21015=other.csv")
	if !same(before, tree(t, b.dir)) {
		t.Error("a dry run has changed something")
	}
}

func TestTwoRunsAreNotAtWorkOnOneCommune(t *testing.T) {
	b := newBench(t, 20)
	w := b.open()
	if said := b.do(exitUsage, "divide", "21014"); !strings.Contains(said, "another run is at work there") {
		t.Error(said)
	}
	w.Close()
	b.do(exitDone, "divide", "21014")
}

func TestSecondListOfACommuneIsRefused(t *testing.T) {
	b := newBench(t, 20)
	if said := b.do(exitDone, "import", "21014=electors.csv"); !strings.Contains(said, "imported already") {
		t.Error(said)
	}
	text := string(read(t, b.path("electors.csv")))
	b.file("other.csv", text[:len(text)/2])
	if said := b.do(exitUsage, "import", "21014=other.csv"); !strings.Contains(said, "holds the list of another file") {
		t.Error(said)
	}
}

func TestACrashBeforeTheStateIsKeptLeavesTheVersionBefore(t *testing.T) {
	b := newBench(t, 20)
	b.ready(2)
	work := WorkingDir(b.path("work"), 21014)
	before := tree(t, work)
	b.file("updates.csv", updateHead+"strike,"+b.number(9)+",death,,,,,,,,,\n")
	b.do(exitDone, "update", "21014=updates.csv")
	after := tree(t, work)
	// What a crash leaves: the new list and the record's new lines, the old state.
	for name, text := range before {
		if filepath.Base(name) != recordFile {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(work, recordFile), []byte(after[filepath.Join(work, recordFile)]+`{"number":99`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := b.open()
	if len(w.List.People) != 20 || w.Version() != 3 {
		t.Errorf("version %d with %d electors", w.Version(), len(w.List.People))
	}
	w.Close()
	b.do(exitDone, "update", "21014=updates.csv")
	w = b.open()
	if len(w.List.People) != 19 || w.Version() != 4 {
		t.Errorf("version %d with %d electors", w.Version(), len(w.List.People))
	}
	if files := names(t, work); !slices.Equal(files, []string{"list-4.csv", "lock", "record", "record.key", "state.json"}) {
		t.Errorf("%v", files)
	}
}

func TestWhatWasChangedByHandIsRefused(t *testing.T) {
	b := newBench(t, 20)
	b.ready(2)
	work := WorkingDir(b.path("work"), 21014)
	for name, whole := range tree(t, work) {
		if len(whole) == 0 || filepath.Base(name) == stateFile {
			continue
		}
		for what, text := range map[string]string{
			"cut": whole[:len(whole)-1], "changed": strings.Replace(whole, "a", "e", 1), "line out": whole[strings.Index(whole, "\n")+1:],
		} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := OpenWorking(t.Context(), b.path("work"), 21014)
			if err == nil {
				w.Close()
				t.Errorf("%s %s: opened", filepath.Base(name), what)
				continue
			}
			b.nobody(err.Error())
		}
		if err := os.WriteFile(name, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.open()
}

func TestActsHaveTheirOrder(t *testing.T) {
	b := newBench(t, 20)
	b.file("members.csv", "national_number,bureau,function\n"+b.number(2)+",1,president\n")
	b.file("bureaux.csv", "bureau,place\n1,School\n")
	for _, args := range [][]string{{"number", "21014"}, {"members", "21014=members.csv"}, {"bureaux", "21014=bureaux.csv"}} {
		if said := b.do(map[bool]int{true: exitUsage, false: exitRefused}[len(args[1]) > 5], args[0], args[1]); !strings.Contains(said, "not divided yet") {
			t.Errorf("%s: %s", args[0], said)
		}
	}
	if said := b.do(exitUsage, "divide", "21015"); !strings.Contains(said, "begin with import") {
		t.Error(said)
	}
}

func TestInterruptedActLeavesTheVersionBefore(t *testing.T) {
	b := newBench(t, 20)
	before := tree(t, b.dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if code := Command(ctx, []string{"divide", "--work", b.path("work"), "--by", "X", "21014"}, &out, &out); code != exitInterrupted {
		t.Errorf("exit %d: %s", code, out.String())
	}
	if !same(before, tree(t, b.dir)) {
		t.Error("an interrupted act has changed something")
	}
}

func TestDivisionKeepsWithinTheLegalBounds(t *testing.T) {
	for name, c := range map[string]struct {
		d       Division
		bureaux int
		says    string
	}{
		"as many as the largest allows": {Division{Largest: 70}, 5, ""},
		"too few bureaux":               {Division{Bureaux: 2, Largest: 70}, 0, "at most 70 are asked for"},
		"too many bureaux":              {Division{Bureaux: 10, Smallest: 40}, 0, "at least 40 are asked for"},
		"bounds upside down":            {Division{Smallest: 9, Largest: 8}, 0, "the smallest is above the largest"},
		"within":                        {Division{Bureaux: 4, Smallest: 70, Largest: 80}, 4, ""},
		"streets":                       {Division{Bureaux: 4, Unit: ByStreet}, 4, ""},
		"sectors that nobody has":       {Division{Bureaux: 4, Unit: BySector}, 0, "has no sector"},
	} {
		l := synthetic(t, 300)
		err := l.DivideBy(c.d)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			if slices.ContainsFunc(l.People, func(p Person) bool { return p.Bureau != 0 }) {
				t.Errorf("%s: a refused division has placed somebody", name)
			}
			continue
		}
		if err != nil || l.Bureaux != c.bureaux {
			t.Errorf("%s: %d bureaux, %v", name, l.Bureaux, err)
		}
	}
}

func TestNoStreetAndNoSectorIsCut(t *testing.T) {
	l := synthetic(t, 500)
	if err := l.DivideBy(Division{Bureaux: 5, Unit: ByStreet}); err != nil {
		t.Fatal(err)
	}
	at := map[string]ledger.BureauNumber{}
	for i := range l.People {
		p := &l.People[i]
		street := streetOf(p)
		if b, seen := at[street]; seen && b != p.Bureau {
			t.Fatalf("a street lies in bureaux %d and %d", b, p.Bureau)
		}
		at[street] = p.Bureau
		p.Sector = fmt.Sprintf("S%d", i%7)
	}
	if err := l.DivideBy(Division{Bureaux: 3, Unit: BySector, Anew: true}); err != nil {
		t.Fatal(err)
	}
	for i := range l.People {
		if p := &l.People[i]; p.Bureau != l.People[i%7].Bureau {
			t.Fatal("a sector is cut")
		}
	}
}

func TestCandidatesAndStrangersAreNoMembers(t *testing.T) {
	b := newBench(t, 40)
	b.ready(2)
	b.file("martine.csv", "national_number,list,commune,place,surname,first_names\n"+b.number(1)+",L1,21014,1,X,Y\n"+b.number(2)+",L1,,2,,\n")
	if said := b.do(exitDone, "mark", "21014=martine.csv"); !strings.Contains(said, "2 candidates are marked, 2 marks changed") {
		t.Error(said)
	}
	head := "national_number,bureau,function\n"
	for row, want := range map[string]string{
		b.number(1) + ",1,assessor":                                   "a candidate can't be a member",
		"85.07.30-033.28,1,assessor":                                  "not on the commune's list",
		b.number(5) + ",3,assessor":                                   "there is no bureau 3: the commune has 2",
		b.number(5) + ",,assessor":                                    "bureau: not a number",
		b.number(5) + ",1,mayor":                                      "function: neither president",
		b.number(5) + ",1,assessor\n" + b.number(5) + ",2,assessor":   "the same as on line 3",
		b.number(5) + ",1,president\n" + b.number(6) + ",1,president": "the president of bureau 1 stands on line 3",
	} {
		b.file("members.csv", head+b.number(9)+",2,secretary\n"+row+"\n")
		said := b.do(exitUsage, "members", "21014=members.csv")
		if !strings.Contains(said, want) {
			t.Errorf("want %q: %s", want, said)
		}
		b.nobody(said)
	}
	b.file("members.csv", head+b.number(9)+",2,secretary\n"+b.number(5)+",1,president\n")
	b.do(exitDone, "members", "21014=members.csv")
	for row, want := range map[string]string{
		b.number(9) + ",L2,,1,,":                              "designated as secretary of bureau 2",
		"85.07.30-033.28,L2,,1,,":                             "not on the commune's list",
		b.number(7) + ",,,1,,":                                "list: it is empty",
		b.number(7) + ",L2,21015,1,,":                         "in another commune",
		b.number(7) + ",L2,,1,,\n" + b.number(7) + ",L3,,1,,": "nobody stands twice",
	} {
		b.file("martine.csv", "national_number,list,commune,place,surname,first_names\n"+row+"\n")
		said := b.do(exitUsage, "mark", "21014=martine.csv")
		if !strings.Contains(said, want) {
			t.Errorf("want %q: %s", want, said)
		}
		b.nobody(said)
	}
	if w := b.open(); !w.List.People[1].Candidate || w.List.People[7].Candidate {
		t.Error("a refused file has changed marks")
	}
}

func TestMembersKeepTheirNumbersAndVoteWhereTheyServe(t *testing.T) {
	b := newBench(t, 40)
	b.ready(2)
	head := "national_number,bureau,function\n"
	w := b.open()
	here := w.List.People[3]
	elsewhere := 3 - here.Bureau
	w.Close()
	b.file("members.csv", fmt.Sprintf("%s%s,%d,president\n%s,1,substitute\n", head, b.number(3), elsewhere, b.number(8)))
	b.do(exitDone, "members", "21014=members.csv")
	w = b.open()
	p := w.List.People[3]
	if p.Home() != elsewhere || p.Bureau != here.Bureau || p.ConvocationNumber != here.ConvocationNumber || p.Function != register.President {
		t.Errorf("home %d, bureau %d, %v", p.Home(), p.Bureau, p.Function)
	}
	number := p.Member
	w.Close()
	b.file("members.csv", fmt.Sprintf("%s%s,%d,secretary\n%s,1,assessor\n", head, b.number(3), elsewhere, b.number(11)))
	b.do(exitDone, "members", "21014=members.csv")
	w = b.open()
	if p := w.List.People[3]; p.Member != number || p.Function != register.Secretary {
		t.Errorf("member %d, was %d", p.Member, number)
	}
	if p := w.List.People[8]; p.Member != 0 || p.Serves != 0 || p.Function != 0 || p.Home() != p.Bureau {
		t.Error("who is not in the file is a member still")
	}
	if w.List.People[11].Member != 3 {
		t.Errorf("a number was given twice, or left out: %d", w.List.People[11].Member)
	}
}

func TestFileOfBureauxSettlesPlacesAndOffices(t *testing.T) {
	b := newBench(t, 60)
	b.ready(4)
	head := "bureau,place,role\n"
	for row, want := range map[string]string{
		"5,School,":                           "there is no bureau 5",
		"1,,":                                 "place: give 1 to",
		"1,School,king":                       "role: neither",
		"1,School,\n1,Hall,":                  "bureau 1 is there twice",
		"1,A,principal\n2,B,principal":        "bureau 1 is the principal one",
		"1,A,deputy\n2,B,deputy":              "bureau 1 is the deputy",
		"1," + strings.Repeat("A", 129) + ",": "place: give 1 to",
	} {
		b.file("bureaux.csv", head+row+"\n")
		if said := b.do(exitUsage, "bureaux", "21014=bureaux.csv"); !strings.Contains(said, want) {
			t.Errorf("want %q: %s", want, said)
		}
	}
	b.file("bureaux.csv", head+"3,École du Midi,principal\n1,Salle,deputy\n4,Hall,second\n")
	if said := b.do(exitDone, "bureaux", "21014=bureaux.csv"); !strings.Contains(said, "principal bureau 3, deputy 1") {
		t.Error(said)
	}
	w := b.open()
	if w.Principal != 3 || w.Deputy != 1 || !slices.Equal(w.Seconds, []ledger.BureauNumber{4}) || w.Places[3] != "École du Midi" {
		t.Errorf("%+v", w.Settled)
	}
}

func TestRecordIsAHashChain(t *testing.T) {
	r := newRecord(filepath.Join(t.TempDir(), "record"), "preparation/21014")
	if err := r.traces(nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := r.append([]Trace{{Act: fmt.Sprint(i), By: "A"}, {Act: "b"}}); err != nil {
			t.Fatal(err)
		}
	}
	lines := 0
	if err := r.traces(func(*Trace) error { lines++; return nil }); err != nil || lines != 6 {
		t.Fatalf("%d lines, %v", lines, err)
	}
	whole := read(t, r.path)
	for i := 0; i < len(whole); i += 7 {
		altered := slices.Clone(whole)
		altered[i] ^= 1
		if err := os.WriteFile(r.path, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.traces(nil); !errors.Is(err, errRecord) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	if err := r.append([]Trace{{Why: strings.Repeat("x", MaxTrace)}}); err == nil || r.Lines != 6 {
		t.Errorf("a line that is too long: %v, %d lines", err, r.Lines)
	}
}
