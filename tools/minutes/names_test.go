package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/node/register"
	"pointage/testnet/simulation"
	"pointage/tools/prepare/preparation"
)

// sealedFiles are a register of two electors and a list that convenes both, sealed for the experts.
func sealedFiles(t *testing.T, dir string) (sealed []byte) {
	t.Helper()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := preparation.DrawIdentity(path("experts.age"), path("experts.pub"), path("letter")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path("experts.pub"))
	if err != nil {
		t.Fatal(err)
	}
	expert, err := age.ParseHybridRecipient(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	binding := register.Binding{Election: "test-2024", Commune: ledgertest.INS}
	var electors []register.Elector
	var members []register.Member
	for i, name := range []string{"Peeters", "Janssens"} {
		first := 800101000 + i + 1
		national, err := ledger.ParseNationalNumber(fmt.Sprintf("%09d%02d", first, 97-first%97))
		if err != nil {
			t.Fatal(err)
		}
		seven := 1400001 + i
		convocation, err := ledger.ParseConvocationNumber(fmt.Sprintf("%07d%02d", seven, 97-seven%97), ledger.Complement)
		if err != nil {
			t.Fatal(err)
		}
		electors = append(electors, register.Elector{Surname: name, FirstNames: "Anne", NationalNumber: national, ConvocationNumber: convocation, Bureau: 1, Language: register.Dutch})
		members = append(members, register.Member{Number: uint16(i + 1), Bureau: 1, Function: register.President, NationalNumber: national})
	}
	var reg, list bytes.Buffer
	if err := register.Seal(&reg, register.Contents{Binding: binding, Method: ledger.Complement, Key: [32]byte{7}, Electors: electors}, []age.Recipient{expert}); err != nil {
		t.Fatal(err)
	}
	if err := register.SealMembers(&list, binding, members, []age.Recipient{expert}); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string][]byte{"register": reg.Bytes(), "members": list.Bytes()})
	return reg.Bytes()
}

func TestAnExpertsKeyGivesTheMembersTheirNames(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	reg := sealedFiles(t, dir)
	d := ledgertest.NewDay(t, 2, 4, func(m *election.Manifest) { m.Communes[0].Register = sha256.Sum256(reg) })
	d.Started(1).Put(&ledger.Attendance{Member: 1, Presence: ledger.Active}, &ledger.Attendance{Member: 2, Presence: ledger.Absent})
	write(t, path("export"), d.Export())
	try := func(code int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := command(t.Context(), append(args, path("export")), &stdout, &stderr); got != code {
			t.Fatalf("%v: exit %d, want %d: %s%s", args, got, code, &stdout, &stderr)
		}
		return stdout.String(), stderr.String()
	}
	named := []string{"--bureau", "1", "--register", path("register"), "--members", path("members"), "--identity", path("experts.age")}
	try(exitSame, append(named, "--passphrase-file", path("letter"), "--out", path("named"))...)
	try(exitSame, "--bureau", "1", "--out", path("plain"))
	for of, want := range map[string]bool{"named": true, "plain": false} {
		b, err := os.ReadFile(filepath.Join(dir, of, "minutes-21014-bureau-001-fr.html"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(b), "Peeters Anne") && strings.Contains(string(b), "Janssens Anne"); got != want {
			t.Errorf("%s: names stand there: %v", of, got)
		}
	}
	for _, wrong := range []struct {
		args []string
		want string
	}{
		{named, "give its file with --passphrase-file"},
		{append(named[:len(named):len(named)], "--passphrase-file", path("experts.pub")), "does not open with this passphrase"},
		{[]string{"--register", path("members"), "--members", path("members"), "--identity", path("experts.age"), "--passphrase-file", path("letter")}, "is not the register that the manifest names"},
		{[]string{"--register", path("register"), "--members", path("register"), "--identity", path("experts.age"), "--passphrase-file", path("letter")}, "register: "},
	} {
		out, errs := try(exitUnreadable, wrong.args...)
		if out != "" || !strings.Contains(errs, wrong.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %q, %q", wrong.args, out, errs)
		}
	}
}

// TestMinutesOfADayAreThoseThatTheDesksWereTold plays a day of the testnet, whose figures come from its desks.
func TestMinutesOfADayAreThoseThatTheDesksWereTold(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	s, err := simulation.Run(t.Context(), simulation.Plan{Commune: 21014, Bureaux: 3, Electors: 150, Day: 3 * time.Second, Turnout: 0.8, Seed: 11, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	d := &drawing{options: options{export: filepath.Join(out, "export", "21014")}}
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := d.latest.Minutes(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	total := &m.Total
	if s.CheckIns == 0 || total.CheckedIn() != s.CheckIns || total.Away != s.AwayCheckIns || total.Proxies != s.Proxies || len(m.Doubles.Rows) != s.DoubleAdmissions {
		t.Errorf("the minutes have %d check-ins, %d away, %d proxies, %d doubles; the desks were told %d, %d, %d, %d",
			total.CheckedIn(), total.Away, total.Proxies, len(m.Doubles.Rows), s.CheckIns, s.AwayCheckIns, s.Proxies, s.DoubleAdmissions)
	}
	if total.AllRefused() < s.SecondAttemptsRefused {
		t.Errorf("the minutes have %d refused attempts, the desks refused %d", total.AllRefused(), s.SecondAttemptsRefused)
	}
	if m.Ledger.Size != s.LedgerSize || m.Ledger.Head.String() != s.LedgerHead || m.Ledger.Root.String() != s.Root {
		t.Errorf("%+v, the summary has %d, %s, %s", m.Ledger, s.LedgerSize, s.LedgerHead, s.Root)
	}
	for _, b := range m.Bureaux {
		if b.Opened == nil || b.Closed == nil || int(b.Closed.CheckedIn) != b.CheckedIn() {
			t.Errorf("bureau %d: opened %v, closed %+v, %d check-ins", b.Number, b.Opened, b.Closed, b.CheckedIn())
		}
	}
	var stdout, stderr bytes.Buffer
	if code := command(t.Context(), []string{"--bureau", "all", "--out", t.TempDir(), d.options.export}, &stdout, &stderr); code != exitSame {
		t.Errorf("exit %d: %s%s", code, &stdout, &stderr)
	}
}
