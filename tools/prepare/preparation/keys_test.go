package preparation

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// twoCommunes is an election of Evere (2 bureaux) and Schaerbeek (3), made from
// working directories, with experts, and its keys.
type twoCommunes struct {
	*bench
	experts *age.HybridIdentity
	letters map[string]string              // passphrases by commune/file
	opened  map[string]*age.HybridIdentity // by the number of the key
}

func newTwoCommunes(t *testing.T) *twoCommunes {
	e := &twoCommunes{bench: &bench{T: t, dir: t.TempDir()}, letters: map[string]string{}, opened: map[string]*age.HybridIdentity{}}
	for ins, bureaux := range map[ledger.Commune]int{21006: 2, 21015: 3} {
		var text bytes.Buffer
		if err := Synthetic(&text, 7, ins, 40*bureaux); err != nil {
			t.Fatal(err)
		}
		e.file(fmt.Sprint(ins)+".csv", text.String())
		e.do(exitDone, "import", fmt.Sprintf("%d=%d.csv", ins, ins))
		e.do(exitDone, "divide", "--bureaux", fmt.Sprint(bureaux), fmt.Sprint(ins))
		e.do(exitDone, "number", fmt.Sprint(ins))
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	e.experts = id
	e.file("experts.txt", "# the college\n"+id.Recipient().String()+"\n")
	e.file("bureaux.csv", "bureau,place,role\n2,École,principal\n1,Hall,deputy\n3,Salle,second\n")
	e.do(exitDone, "bureaux", "21015=bureaux.csv")
	w, err := OpenWorking(t.Context(), e.path("work"), 21006)
	if err != nil {
		t.Fatal(err)
	}
	member := w.List.People[5]
	w.Close()
	e.file("members.csv", fmt.Sprintf("national_number,bureau,function\n%s,%d,secretary\n", member.NationalNumber.Printed(), 3-member.Bureau))
	e.do(exitDone, "members", "21006=members.csv")
	e.run(exitDone, "make", "--work", e.path("work"), "--election", "brussels-2030", "--opens", "2024-10-13T08:00:00+02:00", "--closes", "2024-10-13T16:00:00+02:00",
		"--witness", testWitness().VKey, "--witness-url", "http://127.0.0.1:1/", "--passphrases", e.path("letters.csv"), "--experts", e.path("experts.txt"),
		"--out", e.path("election"), "21006", "21015")
	e.run(exitDone, "keys", "--election", e.path("election"), "--out", e.path("keys"))
	rows, err := csv.NewReader(bytes.NewReader(read(t, e.path("letters.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		e.letters[row[0]+"/"+row[2]] = row[3]
	}
	return e
}

// run is Command with its own arguments; it gives all that was said.
func (b *bench) run(want int, args ...string) string {
	b.Helper()
	var out bytes.Buffer
	if code := Command(b.Context(), args, &out, &out); code != want {
		b.Fatalf("%v: exit %d, want %d: %s", args, code, want, out.String())
	}
	return out.String()
}

func (e *twoCommunes) key(ins ledger.Commune, n ledger.BureauNumber, which int) string {
	return filepath.Join(e.path("keys"), filepath.FromSlash(StickDir(ins, n, which)))
}

func (e *twoCommunes) identity(ins ledger.Commune, n ledger.BureauNumber) (*register.Stick, *age.HybridIdentity) {
	e.Helper()
	k, err := register.ReadStick(os.DirFS(e.key(ins, n, 1)))
	if err != nil {
		e.Fatal(err)
	}
	if id := e.opened[k.Number]; id != nil {
		return k, id
	}
	keys, err := k.OpenKeys(e.letters[fmt.Sprintf("%d/bureau-%03d/%s", ins, n, KeysFile)])
	if err != nil {
		e.Fatal(err)
	}
	id, err := age.ParseHybridIdentity(keys.Identity)
	if err != nil {
		e.Fatal(err)
	}
	e.opened[k.Number] = id
	return k, id
}

// TestKeysOfTwoCommunes makes one election of two communes, since each passphrase
// costs its scrypt, and looks at its keys from all sides.
func TestKeysOfTwoCommunes(t *testing.T) {
	e := newTwoCommunes(t)
	within := func(check func(*twoCommunes)) func(*testing.T) {
		return func(t *testing.T) {
			inner := *e.bench
			inner.T = t
			check(&twoCommunes{&inner, e.experts, e.letters, e.opened})
		}
	}
	t.Run("OnlyOnesOwnCommuneOpens", within((*twoCommunes).testOwnCommune))
	t.Run("AddressesAreForThePrincipalBureauAndExperts", within((*twoCommunes).testAddresses))
	t.Run("MembersAreAtHomeWhereTheyServe", within((*twoCommunes).testHomes))
	t.Run("KeysDifferInTheirOwnPartAlone", within((*twoCommunes).testBundle))
	t.Run("OfficesAndSecondPersonsAreInTheManifest", within((*twoCommunes).testOffices))
	t.Run("AKeyIsAnElectionDirectoryForTheNode", within((*twoCommunes).testDirectory))
	t.Run("ReceiptHasNumberAndDigest", within((*twoCommunes).testReceipt))
	t.Run("KeyIsCopiedAndReadBack", within((*twoCommunes).testWrite))
	t.Run("AlteredFileIsFoundBeforeAnythingOpens", within((*twoCommunes).testAltered))
	t.Run("RegisterOfCustodyBeginsWhole", within((*twoCommunes).testBegin))
	t.Run("EveryHandOverIsSignedByWhoReceives", within((*twoCommunes).testHandOver))
	t.Run("AlteredRegisterOfCustodyIsRefused", within((*twoCommunes).testAlteredCustody))
	t.Run("KeysAreOverdueAfterTwentyFourHours", within((*twoCommunes).testOverdue))
	t.Run("ConsultationsOfTheCollegeAreRecorded", within((*twoCommunes).testConsult))
	t.Run("RefusedActsAreStatedWithoutNames", within((*twoCommunes).testRefusals))
	t.Run("DestructionIsRefusedOneDayEarly", within((*twoCommunes).testEarly))
	t.Run("KeysThatCameBackAreDestroyed", within((*twoCommunes).testDestroyKeys))
	t.Run("NobodyIsLeftInAnyFile", within((*twoCommunes).testDestruction))
}

func (e *twoCommunes) testOwnCommune() {
	k, id := e.identity(21006, 1)
	reg, err := k.OpenRegister(21006, id)
	if err != nil {
		e.Fatal(err)
	}
	if reg.Len() != 80 {
		e.Errorf("%d electors", reg.Len())
	}
	reg.Close()
	_, err = k.OpenRegister(21015, id)
	want := "another commune's electors stay shut: this is a key of bureau 1 of Evere; for Schaerbeek take a key of that commune"
	if !errors.Is(err, register.ErrShut) || err.Error() != want {
		e.Errorf("%v", err)
	}
	e.file("letter", e.letters["21006/bureau-001/identity.age"]+"\n")
	open := []string{"open", "--key", e.key(21006, 1, 2), "--passphrase-file", e.path("letter")}
	if said := e.run(exitDone, append(open, "--all")...); !strings.Contains(said, "21006: 80 electors open, 1 members are convened") {
		e.Error(said)
	}
	if said := e.run(exitUsage, append(open, "--commune", "21015")...); !strings.HasSuffix(said, "prepare: "+want+"\n") {
		e.Error(said)
	}
	e.file("letter", e.letters["21006/bureau-002/identity.age"]+"\n")
	if said := e.run(exitUsage, open...); !strings.Contains(said, "the passphrase is of another file") {
		e.Error(said)
	}
	// The president's passphrase opens nothing of the next incarnation's envelope.
	sealed := read(e, e.key(21006, 1, 1), register.OwnDir, EnvelopeFile(1))
	if _, err := register.OpenKeys(bytes.NewReader(sealed), e.letters["21006/bureau-001/identity.age"], k.Binding(21006)); !errors.Is(err, register.ErrKey) {
		e.Errorf("the envelope: %v", err)
	}
	next, err := register.OpenKeys(bytes.NewReader(sealed), e.letters["21006/bureau-001/envelope-1.age"], k.Binding(21006))
	if err != nil || next.Incarnation != 1 || next.Bureau != 1 {
		e.Errorf("the envelope with its own code: %v", err)
	}
}

func (e *twoCommunes) testAddresses() {
	for n, opens := range map[ledger.BureauNumber]bool{1: false, 2: true} {
		k, id := e.identity(21015, n)
		a, err := k.OpenAddresses(21015, id)
		if opens != (err == nil) || !opens && !errors.Is(err, register.ErrKey) {
			e.Errorf("bureau %d: %v", n, err)
		}
		if err == nil {
			a.Close()
		}
	}
	k, _ := e.identity(21015, 1)
	for _, ins := range []ledger.Commune{21006, 21015} {
		reg, err1 := k.OpenRegister(ins, e.experts)
		a, err2 := k.OpenAddresses(ins, e.experts)
		if err := errors.Join(err1, err2); err != nil {
			e.Fatalf("the experts and %d: %v", ins, err)
		}
		reg.Close()
		a.Close()
	}
}

func (e *twoCommunes) testHomes() {
	k, id := e.identity(21006, 1)
	reg, err := k.OpenRegister(21006, id)
	if err != nil {
		e.Fatal(err)
	}
	defer reg.Close()
	roll, err := ledger.DecodeRoll(read(e, e.key(21006, 1, 1), "21006", RollFile))
	if err != nil {
		e.Fatal(err)
	}
	homes := map[ledger.ElectorToken]ledger.BureauNumber{}
	for i := range roll.Len() {
		homes[roll.At(i).Elector] = roll.At(i).Home
	}
	list, err := loadWorking(e.Context(), e.path("work"), 21006)
	if err != nil {
		e.Fatal(err)
	}
	moved := 0
	for i := range list.People {
		p := &list.People[i]
		at, found := reg.FindNationalNumber(p.NationalNumber)
		if !found || homes[reg.Token(at)] != p.Home() || reg.Bureau(at) != p.Home() {
			e.Fatalf("elector %d: at home at %d, want %d", i, homes[reg.Token(at)], p.Home())
		}
		moved += count(p.Home() != p.Bureau)
	}
	members, err := k.OpenMembers(21006, id)
	if err != nil || len(members) != 1 || members[0].Number != 1 || members[0].Function != register.Secretary || moved != 1 {
		e.Errorf("%d members, %d moved: %v", len(members), moved, err)
	}
}

func (e *twoCommunes) testBundle() {
	one, other := tree(e, e.key(21006, 1, 1)), tree(e, e.key(21015, 3, 2))
	for name, text := range one {
		rel, err := filepath.Rel(e.key(21006, 1, 1), name)
		if err != nil {
			e.Fatal(err)
		}
		own := rel == register.StickDigests || strings.HasPrefix(rel, register.OwnDir)
		if got := other[filepath.Join(e.key(21015, 3, 2), rel)]; (got == text) == own {
			e.Errorf("%s: same %v, the key's own part %v", rel, got == text, own)
		}
		a, err1 := os.Stat(name)
		b, err2 := os.Stat(filepath.Join(e.path("election"), rel))
		if !own && (errors.Join(err1, err2) != nil || !os.SameFile(a, b)) {
			e.Errorf("%s is a copy", rel)
		}
	}
	// Again: all are there. One that was cut is found; removed, it is made again.
	again := []string{"keys", "--election", e.path("election"), "--out", e.path("keys")}
	if said := e.run(exitDone, again...); !strings.Contains(said, "0 keys put together, 10 were there") {
		e.Error(said)
	}
	cut := e.key(21006, 2, 1)
	before := tree(e, cut)
	if err := os.Remove(filepath.Join(cut, register.OwnDir, EnvelopeFile(2))); err != nil {
		e.Fatal(err)
	}
	if said := e.run(exitRefused, again...); !strings.Contains(said, "remove "+cut) {
		e.Error(said)
	}
	if err := os.RemoveAll(cut); err != nil {
		e.Fatal(err)
	}
	if said := e.run(exitDone, append(again, "--copy", "21006-002")...); !strings.Contains(said, "1 keys put together, 1 were there") || !same(before, tree(e, cut)) {
		e.Error(said)
	}
}

func (e *twoCommunes) testOffices() {
	m, err := election.Parse(read(e, e.path("election"), ManifestFile))
	if err != nil {
		e.Fatal(err)
	}
	c, err := m.Commune(21015)
	if err != nil {
		e.Fatal(err)
	}
	if c.Principal != 2 || c.Deputy != 1 || c.Bureau(2).Place != "École" || c.Bureau(3).Place != "Salle" {
		e.Errorf("principal %d, deputy %d, %+v", c.Principal, c.Deputy, c.Bureau(2).Place)
	}
	var seats []ledger.BureauNumber
	for _, s := range m.Signatories {
		if s.Commune == 21015 {
			seats = append(seats, s.Bureau)
			name := filepath.Join(e.key(21015, s.Bureau, 1), register.OwnDir, SignatoryFile(s.Number))
			if _, err := os.Stat(name); err != nil {
				e.Errorf("signatory %d has no key on the bureau's: %v", s.Number, err)
			}
		}
	}
	if !slices.Equal(seats, []ledger.BureauNumber{2, 1, 3}) {
		e.Errorf("signatories of bureaux %v", seats)
	}
}

func (e *twoCommunes) testDirectory() {
	dir := e.key(21006, 2, 1)
	file := read(e, dir, ManifestFile)
	m, err := election.Parse(file)
	if err != nil {
		e.Fatal(err)
	}
	roll, err := ledger.DecodeRoll(read(e, dir, "21006", RollFile))
	if err != nil {
		e.Fatal(err)
	}
	if _, err := m.Group(election.Hash(file), 21006, roll); err != nil {
		e.Error(err)
	}
	for _, name := range []string{"21006/register", "21006/addresses", "21006/members", "21015/register", "bureau/identity.age", "bureau/envelope-1.age", "bureau/envelope-2.age"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			e.Error(err)
		}
	}
}

func (e *twoCommunes) testReceipt() {
	receipt := string(read(e, e.path("keys"), "21006", "bureau-001", ReceiptFile(1)))
	k, err := register.ReadStick(os.DirFS(e.key(21006, 1, 1)))
	if err != nil {
		e.Fatal(err)
	}
	for _, want := range []string{"21006-001-1", grouped(k.Digest.String()[:32]), "Evere", "RÉPÉTITION / REPETITIE", "ONTVANGSTBEWIJS", "brussels-2030"} {
		if !strings.Contains(receipt, want) {
			e.Errorf("the receipt lacks %q", want)
		}
	}
}

func (e *twoCommunes) testWrite() {
	medium := e.TempDir()
	write := []string{"write", "--key", e.key(21015, 1, 2), "--to", medium}
	if said := e.run(exitDone, write...); !strings.Contains(said, "key 21015-001-2 written and read back") {
		e.Error(said)
	}
	if said := e.run(exitUsage, write...); !strings.Contains(said, "exists") {
		e.Error(said)
	}
	if said := e.run(exitDone, "open", "--key", medium, "--all"); !strings.Contains(said, "key 21015-001-2 of brussels-2030") {
		e.Error(said)
	}
}

func (e *twoCommunes) testAltered() {
	medium := e.TempDir()
	e.run(exitDone, "write", "--key", e.key(21006, 1, 2), "--to", medium)
	for _, name := range []string{
		"manifest", "region.digests", "key.digests", "21006/register", "21006/roll", "21006/members", "21006/addresses", "bureau/identity.age", "bureau/envelope-1.age",
	} {
		file := filepath.Join(medium, name)
		whole := read(e, file)
		altered := slices.Clone(whole)
		altered[len(altered)/2] ^= 1
		if err := os.WriteFile(file, altered, 0o600); err != nil {
			e.Fatal(err)
		}
		if _, err := register.ReadStick(os.DirFS(medium)); err == nil || strings.Contains(err.Error(), "\n") {
			e.Errorf("%s altered: %v", name, err)
		}
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			e.Fatal(err)
		}
	}
	other := filepath.Join(medium, "21015", "register")
	if err := os.WriteFile(other, []byte("x"), 0o600); err != nil {
		e.Fatal(err)
	}
	if said := e.run(exitRefused, "open", "--key", medium, "--all"); !strings.Contains(said, "21015/register is not the file that was prepared") {
		e.Error(said)
	}
}

func TestElectorOnTheListsOfTwoCommunesIsRefused(t *testing.T) {
	one, other := numbered(t, 21014, 30, 1), numbered(t, 21015, 30, 1)
	n, err := ledger.ParseNationalNumber("85.07.30-033.28")
	if err != nil {
		t.Fatal(err)
	}
	one.People[3].NationalNumber, other.People[8].NationalNumber = n, n
	one.People[3].Address.NationalNumber, other.People[8].Address.NationalNumber = n, n
	top := t.TempDir()
	_, err = Make(t.Context(), filepath.Join(top, "election"), testOrder(one, other))
	if err == nil || !strings.Contains(err.Error(), "two communes, 21014 (line 5) and 21015 (line 10)") {
		t.Errorf("%v", err)
	}
	if left := names(t, top); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestKeptAuthoritySignsTheNextElection(t *testing.T) {
	top := t.TempDir()
	if _, err := Make(t.Context(), filepath.Join(top, "one"), testOrder(numbered(t, 21014, 10, 1))); err != nil {
		t.Fatal(err)
	}
	key, err := ReadAuthority(filepath.Join(top, "one", AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	o := testOrder(numbered(t, 21014, 10, 1))
	o.Authority = key
	if _, err := Make(t.Context(), filepath.Join(top, "two"), o); err != nil {
		t.Fatal(err)
	}
	one, two := read(t, top, "one", ManifestFile), read(t, top, "two", ManifestFile)
	if !register.AuthorityOf(one).Equal(register.AuthorityOf(two)) {
		t.Error("another authority has signed")
	}
	if _, err := os.Stat(filepath.Join(top, "two", AuthorityFile)); err == nil {
		t.Error("the kept key was written again")
	}
	for name, text := range map[string]string{"no PEM": "x", "no key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		file := filepath.Join(top, "wrong")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAuthority(file); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFlagsSettleTheOffices(t *testing.T) {
	for _, c := range []struct {
		g    Group
		want [2]ledger.BureauNumber
		says string
	}{
		{Group{Bureaux: 1}, [2]ledger.BureauNumber{1, 1}, ""},
		{Group{Bureaux: 3}, [2]ledger.BureauNumber{1, 2}, ""},
		{Group{Bureaux: 3, Principal: 3}, [2]ledger.BureauNumber{3, 1}, ""},
		{Group{Bureaux: 3, Deputy: 1}, [2]ledger.BureauNumber{2, 1}, ""},
		{Group{Bureaux: 3, Principal: 2, Deputy: 2}, [2]ledger.BureauNumber{}, "both"},
		{Group{Bureaux: 3, Principal: 4}, [2]ledger.BureauNumber{}, "no bureau 4"},
		{Group{Bureaux: 3, Seconds: []ledger.BureauNumber{9}}, [2]ledger.BureauNumber{}, "no bureau 9"},
	} {
		err := c.g.offices()
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			continue
		}
		if err != nil || c.g.Principal != c.want[0] || c.g.Deputy != c.want[1] {
			t.Errorf("principal %d, deputy %d, want %v: %v", c.g.Principal, c.g.Deputy, c.want, err)
		}
	}
}

func TestExpertsGetTheirIdentityBackWithTheirLetter(t *testing.T) {
	dir := t.TempDir()
	b := &bench{T: t, dir: dir}
	draw := []string{"experts", "--out", b.path("experts.age"), "--recipient", b.path("experts.txt"), "--letter", b.path("letter")}
	b.run(exitDone, draw...)
	b.run(exitUsage, draw...)
	recipients, err := ReadRecipients(b.path("experts.txt"))
	if err != nil || len(recipients) != 1 {
		t.Fatal(err)
	}
	scrypt, err := age.NewScryptIdentity(passphrase(t, b.path("letter")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(read(t, b.path("experts.age"))), scrypt)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := age.ParseIdentities(r)
	if err != nil || len(ids) != 1 || ids[0].(*age.HybridIdentity).Recipient().String() != recipients[0].String() {
		t.Errorf("%d identities: %v", len(ids), err)
	}
	b.file("classic.txt", "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z\n")
	if _, err := ReadRecipients(b.path("classic.txt")); err == nil || !strings.Contains(err.Error(), "line 1 is no hybrid recipient") {
		t.Errorf("%v", err)
	}
}

// BenchmarkOpenStick90000 is what a bureau of the largest commune waits for: the
// signed lists, the passphrase's scrypt, and 90,000 electors into memory.
func BenchmarkOpenStick90000(b *testing.B) {
	list := numbered(b, 21004, 90_000, 101)
	top := b.TempDir()
	o := testOrder(list)
	o.Simulation, o.Passphrases = false, filepath.Join(top, "letters.csv")
	if _, err := Make(b.Context(), filepath.Join(top, "election"), o); err != nil {
		b.Fatal(err)
	}
	if _, err := Keys(b.Context(), filepath.Join(top, "keys"), KeysOrder{Election: filepath.Join(top, "election")}); err != nil {
		b.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(read(b, o.Passphrases))).ReadAll()
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(top, "keys", filepath.FromSlash(StickDir(21004, 1, 1)))
	for b.Loop() {
		k, err := register.ReadStick(os.DirFS(dir))
		if err != nil {
			b.Fatal(err)
		}
		keys, err := k.OpenKeys(rows[1][3])
		if err != nil {
			b.Fatal(err)
		}
		id, err := age.ParseHybridIdentity(keys.Identity)
		if err != nil {
			b.Fatal(err)
		}
		reg, err := k.OpenRegister(21004, id)
		if err != nil || reg.Len() != 90_000 {
			b.Fatal(err)
		}
		reg.Close()
	}
}
