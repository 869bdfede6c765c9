package preparation

import (
	"bytes"
	"crypto/ed25519"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
	"pointage/node/register"
)

// custody runs an act on the register, signed by an office. If it is refused, one statement says so, and nothing else
// is changed; if it is done, none does.
func (e *twoCommunes) custody(want int, office, act string, args ...string) string {
	e.Helper()
	before, files := e.refusals(), unrecorded(tree(e, e.path("custody")))
	said := e.act(want, office, act, args...)
	after := e.refusals()
	if want == exitDone {
		if len(after) != len(before) {
			e.Errorf("%s is recorded as refused: %v", act, after[len(after)-1].Facts)
		}
		return said
	}
	if len(after) != len(before)+1 || !same(files, unrecorded(tree(e, e.path("custody")))) {
		e.Fatalf("%s: %d refusals, then %d, or another file was changed: %s", act, len(before), len(after), said)
	}
	last := after[len(after)-1]
	if last.Signer != officeRegister || last.fact("act") != act || last.fact("office") != office || last.fact("reason") == "" || last.fact("reason") == string(whyOther) ||
		last.Words == (ledger.Hash{}) || time.Since(last.At) > time.Hour {
		e.Errorf("%s by the %s: %+v", act, office, last)
	}
	return said
}

// dry gives an act with --dry-run, which changes nothing and records nothing.
func (e *twoCommunes) dry(office, act string, args ...string) {
	e.Helper()
	e.file("letter", e.letters["office/"+office]+"\n")
	before := tree(e, e.dir)
	e.act(exitDone, office, act, append([]string{"--dry-run"}, args...)...)
	if !same(before, tree(e, e.dir)) {
		e.Errorf("%s: a dry run has changed something", act)
	}
}

// refusals are the statements on what was refused.
func (e *twoCommunes) refusals() (out []*CustodyStatement) {
	e.Helper()
	c, err := OpenCustody(e.path("custody"))
	if err != nil {
		e.Fatal(err)
	}
	defer c.Close()
	for _, s := range c.statements {
		if s.Act == actRefused {
			out = append(out, s)
			if words := c.words[s.Number]; words["by"] != "O. Official" {
				e.Errorf("who was refused: %v", words)
			}
		}
	}
	return out
}

// act is custody without a look at the register.
func (e *twoCommunes) act(want int, office, act string, args ...string) string {
	e.Helper()
	e.file("letter", e.letters["office/"+office]+"\n")
	all := []string{act, "--custody", e.path("custody"), "--key", e.path("custody/offices/" + office + ".age"), "--letter", e.path("letter"), "--by", "O. Official"}
	return e.run(want, append(all, args...)...)
}

func (e *twoCommunes) digest(number string) string {
	e.Helper()
	ins, n, which, err := register.ParseStickNumber(number)
	if err != nil {
		e.Fatal(err)
	}
	k, err := readStickOwn(e.key(ins, n, which))
	if err != nil {
		e.Fatal(err)
	}
	return grouped(k.Digest.String()[:32])
}

func (e *twoCommunes) openCustody() *Custody {
	e.Helper()
	c, err := OpenCustody(e.path("custody"))
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { c.Close() })
	return c
}

func (e *twoCommunes) signer(c *Custody, office string) officeSigner {
	e.Helper()
	by, err := c.openOffice(e.path("custody/offices/"+office+".age"), e.letters["office/"+office])
	if err != nil {
		e.Fatal(err)
	}
	return by
}

func (e *twoCommunes) testBegin() {
	begin := []string{"offices", "--election", e.path("election"), "--custody", e.path("custody"), "--letters", e.path("offices.csv"), "--authority"}
	before := tree(e, e.dir)
	e.run(exitDone, append(begin, e.path("election/authority.key"), "--dry-run")...)
	other, err := encodeAuthority(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)))
	if err != nil {
		e.Fatal(err)
	}
	name := filepath.Join(e.TempDir(), "other.key")
	if err := os.WriteFile(name, []byte(other), 0o600); err != nil {
		e.Fatal(err)
	}
	if said := e.run(exitUsage, append(begin, name)...); !strings.Contains(said, "is not the one that signed the manifest") {
		e.Error(said)
	}
	if !same(before, tree(e, e.dir)) {
		e.Error("a dry run, or a refused one, has written something")
	}
	said := e.run(exitDone, append(begin, e.path("election/authority.key"))...)
	if want := "6 offices: administration, college, commune-21006, principal-21006, commune-21015, principal-21015\n"; said != want {
		e.Errorf("%q, want %q", said, want)
	}
	rows, err := csv.NewReader(bytes.NewReader(read(e, e.path("offices.csv")))).ReadAll()
	if err != nil || len(rows) != 7 {
		e.Fatal(rows, err)
	}
	for _, row := range rows {
		e.letters["office/"+row[0]] = row[2]
	}
	e.run(exitDone, "custody", "--custody", e.path("custody"))
	if said := e.run(exitUsage, append(begin, e.path("election/authority.key"))...); !strings.Contains(said, "exists") {
		e.Error(said)
	}
}

func (e *twoCommunes) testHandOver() {
	key := "21006-001-1"
	digest := e.digest(key)
	at := []string{"--at", "2024-10-12T14:00:00+02:00", "--to", "B. Person"}
	give := func(want int, signer, office, digest, key string, more ...string) string {
		e.Helper()
		return e.custody(want, signer, "handover", append(slices.Concat([]string{"--office", office, "--digest", digest}, at, more), key)...)
	}
	for _, c := range []struct{ signer, office, digest, key, want string }{
		{"commune-21006", "commune", "0000 0000 0000 0000", key, "not that of key"},
		{"commune-21006", "commune", digest[:9], key, "not that of key"},
		{"commune-21006", "commune", digest, "21006-001-2", "not that of key"},
		{"commune-21006", "commune", digest, "21006-009-1", "there is no key 21006-009-1"},
		{"commune-21006", "commune", digest, "21006-1-1", "is no number of a key"},
		{"commune-21006", "attic", digest, key, "there is no office"},
		{"commune-21006", "bureau", digest, key, "goes from there to the office next to it"},
		{"commune-21015", "commune", digest, key, "the commune-21006 signs for it, not the commune-21015"},
		{"administration", "commune", digest, key, "the commune-21006 signs for it, not the administration"},
	} {
		if said := give(exitUsage, c.signer, c.office, c.digest, c.key); !strings.Contains(said, c.want) {
			e.Errorf("%s: %s", c.key, said)
		}
	}
	if said := e.custody(exitUsage, "commune-21006", "handover", "--office", "commune", "--digest", digest, "--to", "B", "--at", "2999-01-01T00:00:00Z", key); !strings.Contains(said, "lies ahead") {
		e.Error(said)
	}
	before := tree(e, e.path("custody"))
	give(exitDone, "commune-21006", "commune", digest, key, "--dry-run")
	if !same(before, tree(e, e.path("custody"))) {
		e.Error("a dry run has written something")
	}
	if said := give(exitDone, "commune-21006", "commune", digest, key); said != "1 hand-overs recorded, 0 stood already\n" {
		e.Error(said)
	}
	if said := give(exitDone, "commune-21006", "commune", digest, key); said != "0 hand-overs recorded, 1 stood already\n" {
		e.Error(said)
	}
	// The pouch went to the wrong bureau: the key comes back and goes again.
	give(exitDone, "commune-21006", "bureau", digest, key)
	give(exitDone, "commune-21006", "commune", digest, key)
	give(exitDone, "commune-21006", "bureau", digest, key)
	e.testHandOvers()
	said := e.run(exitDone, "custody", "--custody", e.path("custody"), "--history", key)
	if strings.Count(said, "\n") != 5 || !strings.Contains(said, "commune to bureau, by O. Official to B. Person, signed by commune-21006") {
		e.Error(said)
	}
}

// testHandOvers records those of a file, all or none.
func (e *twoCommunes) testHandOvers() {
	var file strings.Builder
	file.WriteString("key,digest,from,to,at\n")
	for n := 1; n <= 3; n++ {
		for which := 1; which <= 2; which++ {
			number := register.StickNumber(21015, ledger.BureauNumber(n), which)
			fmt.Fprintf(&file, "%s,%s,C. Region,D. Commune,2024-10-12T15:00:00+02:00\n", number, e.digest(number))
		}
	}
	e.file("given.csv", file.String()+"21006-001-1,"+e.digest("21006-001-1")+",A,B,2024-10-12T15:00:00+02:00\n")
	if said := e.custody(exitUsage, "commune-21015", "handover", "--office", "commune", "--file", e.path("given.csv")); !strings.Contains(said, "line 8: the commune-21006 signs") &&
		!strings.Contains(said, "line 8: key 21006-001-1") {
		e.Error(said)
	}
	e.file("given.csv", file.String())
	for _, want := range []string{"6 hand-overs recorded, 0 stood already\n", "0 hand-overs recorded, 6 stood already\n"} {
		if said := e.custody(exitDone, "commune-21015", "handover", "--office", "commune", "--file", e.path("given.csv")); said != want {
			e.Errorf("%q, want %q", said, want)
		}
	}
	said := e.run(exitDone, "custody", "--custody", e.path("custody"))
	if !strings.Contains(said, "10 keys: administration 3, commune 6, bureau 1") || !strings.Contains(said, "21015-003-2  commune since 2024-10-12T13:00:00Z, by C. Region to D. Commune") {
		e.Error(said)
	}
	if statements := string(read(e, e.path("custody"), statementsFile)); strings.Contains(statements, "Person") || strings.Contains(statements, "Region") {
		e.Error("the statements name persons")
	}
	if said := e.run(exitDone, "custody", "--custody", e.path("custody"), "--json"); !strings.Contains(said, `"from":"administration","to":"commune","from_person":"C. Region","to_person":"D. Commune","at":"2024-10-12T13:00:00Z"}`) {
		e.Error(said)
	}
}

func (e *twoCommunes) testAlteredCustody() {
	name := e.path("custody/" + statementsFile)
	whole := read(e, name)
	rewrite := func(text []byte) error {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			e.Fatal(err)
		}
		c, err := OpenCustody(e.path("custody"))
		if err == nil {
			err = c.Close()
		}
		return err
	}
	_, end := splitNotes(whole)
	if end != len(whole) {
		e.Fatalf("%d of %d bytes are whole", end, len(whole))
	}
	for at := 0; at < len(whole); at += 41 {
		altered := slices.Clone(whole)
		altered[at] ^= 1
		if err := rewrite(altered); !errors.Is(err, errCustody) && at < len(whole)-400 {
			e.Fatalf("byte %d altered: %v", at, err)
		}
	}
	notes, _ := splitNotes(whole)
	// A statement in the middle is taken out; two change places; one stands twice.
	join := func(all ...[]byte) []byte { return append(bytes.Join(all, []byte("\n")), '\n') }
	last := len(notes) - 1
	for _, altered := range [][]byte{
		join(slices.Delete(slices.Clone(notes), 3, 4)...),
		join(append(slices.Clone(notes[:last-1]), notes[last], notes[last-1])...),
		join(append(slices.Clone(notes), notes[last])...),
	} {
		if err := rewrite(altered); !errors.Is(err, errCustody) {
			e.Errorf("statements out of order: %v", err)
		}
	}
	// What a crash leaves of a statement is cut off by the next act.
	if err := rewrite(slices.Concat(whole, notes[last][:60])); err != nil {
		e.Errorf("after a crash: %v", err)
	}
	key := "21006-002-1"
	e.custody(exitDone, "commune-21006", "handover", "--office", "commune", "--to", "B. Person", "--digest", e.digest(key), "--at", "2024-10-12T14:00:00+02:00", key)
	if now := read(e, name); !bytes.HasPrefix(now, whole) || len(now) < len(whole)+100 {
		e.Error("the act after a crash has not gone on from the last whole statement")
	}
	e.openCustody().Close()
}

func (e *twoCommunes) testOverdue() {
	late := func(at string) string {
		e.Helper()
		return e.run(exitDone, "custody", "--custody", e.path("custody"), "--overdue", "--at", at)
	}
	if said := late("2024-10-14T15:59:59+02:00"); !strings.HasPrefix(said, "0 keys are overdue") {
		e.Error(said)
	}
	said := late("2024-10-14T16:00:00+02:00")
	for _, want := range []string{"10 keys are overdue", "21006-002-2  never handed over", "21006-001-1  bureau since 2024-10-12T12:00:00Z, by O. Official to B. Person", "by 2024-10-14T14:00:00Z"} {
		if !strings.Contains(said, want) {
			e.Errorf("%q is missing: %s", want, said)
		}
	}
	// One goes the whole way, late.
	key := "21006-001-1"
	for _, step := range []struct{ signer, office, at string }{
		{"principal-21006", "principal-bureau", "2024-10-13T18:00:00+02:00"},
		{"college", "college", "2024-10-14T21:00:00+02:00"},
	} {
		e.custody(exitDone, step.signer, "handover", "--office", step.office, "--to", "P. Person", "--at", step.at, "--digest", e.digest(key), key)
	}
	if said := late("2024-10-15T00:00:00Z"); !strings.Contains(said, "9 keys are overdue") || strings.Contains(said, key) {
		e.Error(said)
	}
	if said := e.run(exitDone, "custody", "--custody", e.path("custody")); !strings.Contains(said, key+"  college since 2024-10-14T19:00:00Z, 5 hours late") {
		e.Error(said)
	}
}

func (e *twoCommunes) testConsult() {
	if err := os.Mkdir(e.path("dossier"), 0o700); err != nil {
		e.Fatal(err)
	}
	e.file("dossier/absent.csv", "national_number,surname\n"+e.people()[0].NationalNumber.Printed()+",X\n")
	e.file("dossier/lost.csv", "nobody\n")
	ask := func(want int, signer string, args ...string) string {
		e.Helper()
		return e.custody(want, signer, "consult", append([]string{"--why", "case 2024/17"}, args...)...)
	}
	for want, args := range map[string][]string{ // a command that is not whole is no attempt
		"no commune is given": nil, "--dossier is missing": {"--file", e.path("dossier/absent.csv"), "21006"},
	} {
		if said := e.act(exitUsage, "college", "consult", append([]string{"--why", "case 2024/17"}, args...)...); !strings.Contains(said, want) {
			e.Error(said)
		}
	}
	for _, c := range []struct {
		signer, want string
		args         []string
	}{
		{"administration", "the college signs for this", []string{"21006"}},
		{"college", "is not in the dossier", []string{"--dossier", e.path("dossier"), "--file", e.path("given.csv"), "21006"}},
		{"college", "no such file", []string{"--dossier", e.path("dossier"), "--file", e.path("dossier/x.csv"), "21006"}},
	} {
		if said := ask(exitUsage, c.signer, c.args...); !strings.Contains(said, c.want) {
			e.Error(said)
		}
	}
	e.dry("college", "consult", "--why", "case 2024/17", "--dossier", e.path("dossier"), "--file", e.path("dossier/absent.csv"), "21006")
	said := ask(exitDone, "college", "--dossier", e.path("dossier"), "--file", e.path("dossier/absent.csv"), "--file", e.path("dossier/lost.csv"), "21006", "21015")
	if said != "a consultation of 2 communes is recorded, with 2 extracts\n" {
		e.Error(said)
	}
	c := e.openCustody()
	last := c.statements[len(c.statements)-1]
	if last.Act != actConsulted || last.Signer != officeCollege || !slices.Equal(last.all("commune"), []string{"21006", "21015"}) || c.words[last.Number]["why"] != "case 2024/17" {
		e.Errorf("%+v", last)
	}
}

// people are the electors of both communes.
func (e *twoCommunes) people() []Person {
	e.Helper()
	var out []Person
	for _, ins := range []ledger.Commune{21006, 21015} {
		list, bad, err := Import(e.Context(), bytes.NewReader(read(e, e.path(fmt.Sprint(ins)+".csv"))), Rules{Commune: ins})
		if err != nil || len(bad) > 0 {
			e.Fatal(err, bad)
		}
		out = append(out, list.People...)
	}
	return out
}

func (e *twoCommunes) testEarly() {
	before := tree(e, e.path("dossier"))
	refused := func(want string) {
		e.Helper()
		if said := e.custody(exitRefused, "college", "destroy-college", e.path("dossier")); !strings.Contains(said, want) {
			e.Error(said)
		}
		if said := e.custody(exitRefused, "administration", "destroy-lists", "--search", e.dir, e.path("work")); !strings.Contains(said, want) {
			e.Error(said)
		}
		if said := e.custody(exitRefused, "administration", "certify", "--out", e.path("certificate")); !strings.Contains(said, want) {
			e.Error(said)
		}
	}
	refused("the elections of 19 of the nineteen communes are not declared valid yet")
	var most []string
	for _, c := range Communes[:18] {
		most = append(most, fmt.Sprint(c.INS))
	}
	day := []string{"--validated", "2024-11-14", "--final", "2024-12-20"}
	if said := e.custody(exitUsage, "administration", "validate", append(day, most...)...); !strings.Contains(said, "the college signs for this") {
		e.Error(said)
	}
	if said := e.custody(exitUsage, "college", "validate", "--validated", "2024-11-14", "--final", "2024-11-13", "21006"); !strings.Contains(said, "at the earliest") {
		e.Error(said)
	}
	e.dry("college", "validate", append(day, most...)...)
	e.custody(exitDone, "college", "validate", append(day, most...)...)
	refused("the elections of 1 of the nineteen communes are not declared valid yet: 21019")
	e.custody(exitDone, "college", "validate", append(day, "21019")...)
	refused("the public prosecutor has not drawn up")
	if said := e.custody(exitUsage, "administration", "settle", "--drawn-up", "2999-01-01"); !strings.Contains(said, "does not lie ahead") {
		e.Error(said)
	}
	e.dry("administration", "settle", "--drawn-up", "2024-12-02")
	e.custody(exitDone, "administration", "settle", "--drawn-up", "2024-12-02")
	// The last commune's appeal: the day before is too early, to the second.
	c := e.openCustody()
	final := time.Date(2024, 12, 20, 0, 0, 0, 0, time.UTC)
	a := Act{Signer: e.signer(c, officeCollege), By: "P. Judge", Now: final.Add(-time.Second)}
	if _, _, err := c.DestroyDossiers(e.Context(), a, []string{e.path("dossier")}); err == nil || !strings.Contains(err.Error(), "come again on 2024-12-20") {
		e.Errorf("one second early: %v", err)
	}
	if !same(before, tree(e, e.path("dossier"))) {
		e.Error("a refused destruction has changed the dossier")
	}
	a.Now = final
	a.DryRun = true
	if _, _, err := c.DestroyDossiers(e.Context(), a, []string{e.path("dossier")}); err != nil {
		e.Errorf("on the day: %v", err)
	}
	if !same(before, tree(e, e.path("dossier"))) {
		e.Error("a dry run has changed the dossier")
	}
}

// FuzzCustody reads statements in one form or refuses them: what is read is written the
// same.
func FuzzCustody(f *testing.F) {
	by := newOfficeSigner("brussels-2030", officeCollege, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	s := CustodyStatement{Election: "brussels-2030", Number: 7, At: time.Unix(1_728_000_000, 0).UTC(), Act: actConsulted, Facts: []string{"commune 21014"}, Words: ledger.Hash{1}}
	text, err := s.sign(by)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(text, '\n'))
	f.Add([]byte(custodyHeader + "\n\n— x y\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		notes, whole := splitNotes(b)
		if whole > len(b) {
			t.Fatalf("%d of %d bytes", whole, len(b))
		}
		for _, text := range notes {
			s, err := parseCustody(text, note.VerifierList(by))
			if err != nil {
				continue
			}
			if again, err := s.sign(by); err != nil || !bytes.Equal(again, text) {
				t.Fatalf("read and written again: %v", err)
			}
		}
	})
}
