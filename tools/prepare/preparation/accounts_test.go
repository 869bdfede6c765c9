package preparation

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/plaintext"
	"pointage/node/register"
)

// sealedAccount is a statement of kind 4, sealed to a recipient.
func sealedAccount(t *testing.T, to string, bureau ledger.BureauNumber, member, says uint16, iban string) *ledger.Account {
	t.Helper()
	n, err := plaintext.ParseIBAN(iban)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := register.SealTo(to, (&plaintext.Account{Bureau: bureau, Member: member, IBAN: n}).Encode())
	if err != nil {
		t.Fatal(err)
	}
	return &ledger.Account{Member: says, Sealed: sealed}
}

func TestThePayOfficeReadsAccountsFromAnExport(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	said := func(args ...string) (int, string, string) {
		var out, problem bytes.Buffer
		code := Command(t.Context(), args, &out, &problem)
		return code, out.String(), problem.String()
	}
	for _, office := range []string{"pay", "other"} {
		if code, _, problem := said("pay-office", "--out", at(office+".age"), "--recipient", at(office+".txt"), "--letter", at(office+".letter")); code != 0 {
			t.Fatal(problem)
		}
	}
	recipient := func(office string) string {
		text, err := os.ReadFile(at(office + ".txt"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	pay := recipient("pay")
	d := ledgertest.NewDay(t, 2, 4, func(m *election.Manifest) { m.Communes[0].PayOffice = pay })
	one, two := d.Started(1), d.Started(2)
	const belgian, dutch = "BE68539007547034", "NL91ABNA0417164300"
	one.Put(sealedAccount(t, pay, 1, 7, 7, dutch))
	one.Put(sealedAccount(t, pay, 1, 7, 7, belgian)) // the last one counts
	two.Put(sealedAccount(t, pay, 2, 7, 7, dutch))
	two.Put(sealedAccount(t, pay, 1, 8, 8, dutch))                  // copied from another bureau's statement
	two.Put(sealedAccount(t, pay, 2, 8, 9, dutch))                  // stated for another member
	two.Put(sealedAccount(t, recipient("other"), 2, 10, 10, dutch)) // to another office
	for name, b := range d.Export() {
		file := filepath.Join(dir, "export", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, problem := said("accounts", "--identity", at("pay.age"), "--letter", at("pay.letter"), "--out", at("accounts.csv"), at("export"))
	if code != 0 || out != "2 accounts, 3 statements that this identity does not open\n" {
		t.Fatalf("%d, %q, %q", code, out, problem)
	}
	got, err := os.ReadFile(at("accounts.csv"))
	if want := "bureau,member,account\n1,7," + belgian + "\n2,7," + dutch + "\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	for what, args := range map[string][]string{
		"an existing file":  {"--identity", at("pay.age"), "--letter", at("pay.letter"), "--out", at("accounts.csv"), at("export")},
		"another's letter":  {"--identity", at("pay.age"), "--letter", at("other.letter"), "--out", at("a.csv"), at("export")},
		"no export":         {"--identity", at("pay.age"), "--letter", at("pay.letter"), "--out", at("a.csv"), dir},
		"another manifest":  {"--identity", at("pay.age"), "--letter", at("pay.letter"), "--manifest-hash", "00", "--out", at("a.csv"), at("export")},
		"nothing to act on": {"--identity", at("pay.age")},
	} {
		if code, _, problem := said(append([]string{"accounts"}, args...)...); code != exitUsage || strings.Count(problem, "\n") != 1 || strings.Contains(problem, "5390") {
			t.Errorf("%s: %d, %q", what, code, problem)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "export", "log.vkey"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, problem := said("accounts", "--identity", at("pay.age"), "--letter", at("pay.letter"), "--out", at("a.csv"), at("export")); code != exitRefused || !strings.Contains(problem, "does not hold") {
		t.Errorf("an altered export: %d, %q", code, problem)
	}
}

func TestMakeTakesAPayOfficesRecipientAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pay.txt")
	if err := DrawIdentity(filepath.Join(dir, "pay.age"), file, filepath.Join(dir, "letter")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recipient := strings.TrimSpace(string(text))
	for what, given := range map[string]string{"its text": recipient, "a file": file} {
		var p perCommune
		if err := p.Set("21014=" + given); err != nil {
			t.Fatal(err)
		}
		if r, err := p.recipient(21014); err != nil || r.String() != recipient {
			t.Errorf("%s: %v", what, err)
		}
		if r, err := p.recipient(21015); r != nil || err != nil {
			t.Errorf("%s: another commune has %v, %v", what, r, err)
		}
	}
	two := filepath.Join(dir, "two.txt")
	if err := os.WriteFile(two, []byte(recipient+"\n"+recipient+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, given := range map[string][]string{
		"one character changed": {recipient[:100] + "q" + recipient[101:] + "q"}, "no file": {filepath.Join(dir, "absent")}, "two recipients": {two}, "given twice": {file, file},
	} {
		p := perCommune{21014: given}
		if r, err := p.recipient(21014); err == nil {
			t.Errorf("%s: %v is taken", what, r != nil)
		}
	}
}
