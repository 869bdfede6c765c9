package preparation

import (
	"os"
	"strings"
	"time"
)

// testRefusals tries what no office may do, and what no office has asked for.
func (e *twoCommunes) testRefusals() {
	last := func() *CustodyStatement {
		e.Helper()
		all := e.refusals()
		return all[len(all)-1]
	}
	n := len(e.refusals())
	if n < 9 {
		e.Fatalf("%d refusals of the tests before", n)
	}
	sign := func(key, letter string) []string {
		e.file("letter", letter)
		return []string{"settle", "--custody", e.path("custody"), "--key", key, "--letter", e.path("letter"), "--by", "O. Official", "--drawn-up", "2024-12-02"}
	}
	administration := e.path("custody/offices/administration.age")
	for _, c := range []struct{ name, key, letter string }{
		{"another letter", administration, e.letters["office/college"]},
		{"no letter", administration, ""},
		{"no office's key", e.path("letters.csv"), e.letters["office/administration"]},
		{"a key that is not there", e.path("nowhere.age"), e.letters["office/administration"]},
	} {
		e.run(exitUsage, sign(c.key, c.letter)...)
		if s := last(); len(e.refusals()) != n+1 || s.fact("office") != noOffice || s.fact("reason") != string(whySealed) || s.fact("act") != "settle" {
			e.Errorf("%s: %d refusals, then %d: %v", c.name, n, len(e.refusals()), s.Facts)
		}
		n++
	}
	e.run(exitUsage, append(sign(administration, e.letters["office/college"]), "--dry-run")...)
	if len(e.refusals()) != n {
		e.Error("a dry run is recorded as an attempt")
	}
	e.custody(exitUsage, "commune-21015", "settle", "--drawn-up", "2024-12-02")
	if s := last(); s.fact("office") != "commune-21015" || s.fact("reason") != string(whyOffice) {
		e.Errorf("another office's act: %v", s.Facts)
	}
	e.file("bad.csv", "key,digest,from,to,at\n21006-009-1,0000000000000000,A,B,2024-10-12T15:00:00+02:00\n21006-002-1,0000000000000000,A,B,never\n")
	e.custody(exitUsage, "commune-21006", "handover", "--office", "commune", "--file", e.path("bad.csv"))
	if s := last(); s.fact("line") != "2" || s.fact("rows") != "2" || s.fact("lines") != "2 usb-key, 3 row" {
		e.Errorf("a bad file: %v", s.Facts)
	}
	for _, name := range []string{"bad.csv", "letter"} {
		if err := os.Remove(e.path(name)); err != nil {
			e.Fatal(err)
		}
	}
	said := e.run(exitDone, "custody", "--custody", e.path("custody"), "--refused")
	for _, want := range []string{
		"  settle refused, office none, by O. Official, reason key-did-not-open\n", "  handover refused, office commune-21006, by O. Official, reason usb-key, line 2, rows 2, lines 2 usb-key, 3 row\n",
		"  settle refused, office commune-21015, by O. Official, reason other-office\n",
	} {
		if !strings.Contains(said, want) {
			e.Errorf("%q is missing: %s", want, said)
		}
	}
	e.testRegisterSigns()
	e.testOwnKey()
	people := e.people()
	statements := string(read(e, e.path("custody"), statementsFile))
	for i := range people {
		if p := &people[i]; strings.Contains(statements+said, p.NationalNumber.Printed()) || strings.Contains(statements, p.Surname) {
			e.Fatal("an elector is named")
		}
	}
}

// An office can't state in the register's name, nor the register for an office.
func (e *twoCommunes) testRegisterSigns() {
	c := e.openCustody()
	defer c.Close()
	for name, err := range map[string]error{
		"an office states a refusal":  c.State(e.signer(c, officeCollege), time.Now(), draft{act: actRefused, facts: []string{"act x", "office y", "reason z"}}),
		"the register states for one": c.State(*c.own, time.Now(), draft{act: actSettled, facts: []string{"drawn-up 2024-12-02"}}),
	} {
		if err == nil {
			e.Error(name)
		}
	}
}

// testOwnKey finds that no other key lies beside the statements.
func (e *twoCommunes) testOwnKey() {
	name := e.path("custody/" + recordKeyFile)
	whole := read(e, name)
	for what, text := range map[string]string{"cut": string(whole[:40]), "another": strings.Repeat("ab", 32) + "\n", "none": ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			e.Fatal(err)
		}
		if c, err := OpenCustody(e.path("custody")); err == nil {
			c.Close()
			e.Errorf("%s: opened", what)
		}
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		e.Fatal(err)
	}
}
