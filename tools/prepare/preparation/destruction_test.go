package preparation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/node/register"
)

// way brings a key from where it is to an office, step by step.
func (e *twoCommunes) way(number, to string) {
	e.Helper()
	for i := 0; ; i++ {
		c := e.openCustody()
		at := c.keys[number].office
		ins, _, _, _ := register.ParseStickNumber(number)
		next := CustodyOffices[indexOf(at)+min(1, len(CustodyOffices)-1-indexOf(at))]
		signer := e.signer(c, signerOf(at, next, ins))
		if at == to || i > len(CustodyOffices) {
			c.Close()
			return
		}
		_, err := c.HandOver(signer, time.Now(), []HandOver{{
			Key: number, Digest: e.digest(number), Office: next, From: "F. From", To: "T. To", At: time.Date(2024, 10, 15, 0, 0, 0, 0, time.UTC),
		}})
		c.Close()
		if err != nil {
			e.Fatal(err)
		}
	}
}

func indexOf(office string) int {
	for i, o := range CustodyOffices {
		if o == office {
			return i
		}
	}
	return -1
}

func (e *twoCommunes) testDestroyKeys() {
	medium := e.path("usb")
	if err := os.Mkdir(medium, 0o700); err != nil {
		e.Fatal(err)
	}
	e.run(exitDone, "write", "--key", e.key(21006, 1, 1), "--to", medium)
	e.file("usb/journal", "what the day has left")
	destroy := func(want int, signer string, args ...string) string {
		e.Helper()
		return e.custody(want, signer, "destroy-key", args...)
	}
	if said := destroy(exitRefused, "administration", medium); !strings.Contains(said, "is with the college by the register") {
		e.Error(said)
	}
	e.way("21006-001-1", officeDestruction)
	if said := destroy(exitUsage, "college", medium); !strings.Contains(said, "the administration signs for this") {
		e.Error(said)
	}
	if said := destroy(exitUsage, "administration", e.path("work")); !strings.Contains(said, "is no key of a bureau") {
		e.Error(said)
	}
	before := tree(e, medium)
	destroy(exitDone, "administration", "--dry-run", medium)
	if !same(before, tree(e, medium)) {
		e.Error("a dry run has destroyed something")
	}
	e.testCutDestruction(medium)
	if left := tree(e, medium); len(left) > 0 {
		e.Errorf("%d files are left on the medium", len(left))
	}
	e.testLinkedKey()
	e.way("21015-001-1", officeDestruction)
	e.dry("administration", "destroy-key", "--physical", "21015-001-1", "--why", "unreadable, crushed")
	if said := destroy(exitDone, "administration", "--physical", "21015-001-1", "--why", "unreadable, crushed"); !strings.Contains(said, "recorded as destroyed by hand") {
		e.Error(said)
	}
	if said := destroy(exitRefused, "administration", "--physical", "21015-001-1", "--why", "again"); !strings.Contains(said, "was destroyed already") {
		e.Error(said)
	}
	if said := e.run(exitDone, "custody", "--custody", e.path("custody"), "--history", "21006-001-1"); !strings.Contains(said, "21006-001-1  destroyed") {
		e.Error(said)
	}
}

// testLinkedKey destroys a key where it was put together: the Region's files there are the election's own, by other
// names, and are still needed to search for what is left.
func (e *twoCommunes) testLinkedKey() {
	e.way("21006-002-2", officeDestruction)
	files := []string{"election/21006/register", "election/21015/register", "election/21006/addresses", "keys/21006/bureau-002/key-1/21006/register"}
	before := map[string]string{}
	for _, name := range files {
		before[name] = string(read(e, e.path(name)))
	}
	e.custody(exitDone, "administration", "destroy-key", e.key(21006, 2, 2))
	if left := tree(e, e.key(21006, 2, 2)); len(left) > 0 {
		e.Errorf("%d files of the key are left", len(left))
	}
	for _, name := range files {
		if string(read(e, e.path(name))) != before[name] {
			e.Errorf("%s went with the key, before the lists were destroyed", name)
		}
	}
}

// testCutDestruction stops a destruction after its first files: the identities are gone by
// then, and the same command goes on.
func (e *twoCommunes) testCutDestruction(medium string) {
	c := e.openCustody()
	ctx, cut := context.WithCancel(e.Context())
	a := Act{Signer: e.signer(c, officeAdministration), By: "C. Region", Now: time.Now(), Progress: func(_ string, done, _ int) {
		if done == 5 {
			cut()
		}
	}}
	if _, _, err := c.DestroyKey(ctx, a, medium); !errors.Is(err, context.Canceled) {
		e.Fatalf("a destruction that is cut: %v", err)
	}
	c.Close()
	for name := range tree(e, medium) {
		if strings.HasSuffix(name, ".age") {
			e.Errorf("%s is left after the first files: keys come first", filepath.Base(name))
		}
	}
	if said := e.custody(exitDone, "administration", "destroy-key", medium); !strings.Contains(said, "key 21006-001-1: ") {
		e.Error(said)
	}
}

// lists are what is named for destruction.
func (e *twoCommunes) lists(search string) Lists {
	l := Lists{Search: []string{search}, Experts: e.experts}
	for _, name := range []string{"work", "election", "keys", "letters.csv", "offices.csv", "21006.csv", "21015.csv", "members.csv", "bureaux.csv", "experts.txt", "given.csv", "letter"} {
		l.Paths = append(l.Paths, e.path(name))
	}
	return l
}

func (e *twoCommunes) testDestruction() {
	people := e.people()
	var keys []*register.KeyFinder
	for ins := range map[string]int{"21006": 0, "21015": 0} {
		k, err := register.ReadStick(os.DirFS(filepath.Join(e.path("keys"), ins, "bureau-001", "key-2")))
		if err != nil {
			e.Fatal(err)
		}
		reg, err := k.OpenRegister(k.Commune, e.experts)
		if err != nil {
			e.Fatal(err)
		}
		keys = append(keys, reg.KeyFinder())
		reg.Close()
	}
	e.testIncomplete()
	c := e.openCustody()
	admin, college := e.signer(c, officeAdministration), e.signer(c, officeCollege)
	c.Close()
	e.testStray(people)

	e.dry("college", "destroy-college", e.path("dossier"))
	c = e.openCustody()
	if err := os.Remove(e.path("dossier/lost.csv")); err != nil {
		e.Fatal(err)
	}
	_, missing, err := c.DestroyDossiers(e.Context(), Act{Signer: college, By: "P. Judge", Now: time.Now()}, []string{e.path("dossier")})
	if err != nil || len(missing) != 1 {
		e.Fatalf("%v, missing %v", err, missing)
	}
	if err := c.Close(); err != nil {
		e.Fatal(err)
	}
	e.dry("administration", "destroy-lists", append([]string{"--search", e.dir}, e.lists(e.dir).Paths...)...)
	c = e.openCustody()
	// It is cut twice, and goes on: among the keys, and among the registers.
	act := Act{Signer: admin, By: "C. Region", Now: time.Now()}
	for _, files := range []int{7, 60} {
		ctx, cut := context.WithCancel(e.Context())
		act.Progress = func(_ string, done, _ int) {
			if done == files {
				cut()
			}
		}
		if _, _, err := c.DestroyLists(ctx, act, e.lists(e.dir)); !errors.Is(err, context.Canceled) {
			e.Fatalf("a destruction that is cut: %v", err)
		}
	}
	act.Progress = nil
	if err := c.Close(); err != nil {
		e.Fatal(err)
	}
	// The experts' identity was destroyed among the first, registers are left.
	if _, err := os.Lstat(e.path("election/21015/register")); err != nil {
		e.Fatal(err)
	}
	gone := append([]string{"--search", e.dir, "--experts", e.path("experts.age"), "--experts-letter", e.path("experts.letter")}, e.lists(e.dir).Paths...)
	said := e.custody(exitDone, "administration", "destroy-lists", gone...)
	var files, searched int
	if n, err := fmt.Sscanf(strings.ReplaceAll(said, "\n", " "), "lists, registers and identities: %d files of", &files); n != 1 || files < 100 {
		e.Fatalf("%v: %s", err, said)
	}
	if n, err := fmt.Sscanf(said[strings.Index(said, "\n")+1:], "%d other files", &searched); n != 1 || searched < 10 {
		e.Fatalf("%v: %s", err, said)
	}
	c = e.openCustody()
	if err := c.Close(); err != nil {
		e.Fatal(err)
	}
	e.dry("administration", "certify", "--out", e.path("certificate"))
	c = e.openCustody()
	lost, err := c.Certify(act, e.path("certificate"))
	if err != nil || len(lost) != 7 {
		e.Fatalf("%v: %v", err, lost)
	}
	if err := c.Close(); err != nil {
		e.Fatal(err)
	}
	e.testCertificate()
	e.nobodyLeft(people, keys)
}

// testIncomplete finds that nothing is certified before all is destroyed.
func (e *twoCommunes) testIncomplete() {
	e.way("21015-002-1", officeDestruction)
	certify := func(want string) {
		e.Helper()
		if said := e.custody(exitRefused, "administration", "certify", "--out", e.path("certificate")); !strings.Contains(said, want) {
			e.Error(said)
		}
	}
	certify("key 21015-002-1 was given back and is not destroyed yet")
	// It went the wrong way: the college has it again, and it never comes back.
	c := e.openCustody()
	_, err := c.HandOver(e.signer(c, officeCollege), time.Now(), []HandOver{{
		Key: "21015-002-1", Digest: e.digest("21015-002-1"), Office: officeCollege, From: "F", To: "T", At: time.Date(2024, 10, 16, 0, 0, 0, 0, time.UTC),
	}})
	c.Close()
	if err != nil {
		e.Fatal(err)
	}
	certify("the juridictional college has not destroyed")
}

// testStray leaves an elector's name in a file that is not named for destruction.
func (e *twoCommunes) testStray(people []Person) {
	c := e.openCustody()
	defer c.Close()
	p := &people[len(people)/2]
	before := tree(e, e.path("work"))
	for _, text := range []string{p.Surname + ", " + p.FirstNames, p.NationalNumber.Printed(), p.NationalNumber.Digits()} {
		e.file("stray", "minutes of the day: "+text+".\n")
		_, found, err := c.DestroyLists(e.Context(), Act{Signer: e.signer(c, officeAdministration), By: "C", Now: time.Now()}, e.lists(e.dir))
		if err == nil || !strings.Contains(err.Error(), e.path("stray")) || len(found.found) == 0 || strings.Contains(err.Error(), text) {
			e.Errorf("a stray file: %v", err)
		}
	}
	// A paper list from a bureau's medium, which nobody can look into.
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, e.experts.Recipient())
	if err == nil {
		_, err = w.Write([]byte("%PDF-1.3"))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		e.Fatal(err)
	}
	e.file("paper-list-fr.age", sealed.String())
	if _, _, err := c.DestroyLists(e.Context(), Act{Signer: e.signer(c, officeAdministration), By: "C", Now: time.Now()}, e.lists(e.dir)); err == nil ||
		!strings.Contains(err.Error(), e.path("paper-list-fr.age")) {
		e.Errorf("a paper list: %v", err)
	}
	if err := os.Remove(e.path("paper-list-fr.age")); err != nil {
		e.Fatal(err)
	}
	// A forgotten copy names nobody and opens everything.
	for _, name := range []string{"election/21006/register", "election/21015/bureau-002/identity.age", "election/21015/bureau-002/envelope-2.age", "letters.csv"} {
		e.file("stray", string(read(e, e.path(name))))
		_, _, err := c.DestroyLists(e.Context(), Act{Signer: e.signer(c, officeAdministration), By: "C", Now: time.Now()}, e.lists(e.dir))
		if err == nil || !strings.Contains(err.Error(), e.path("stray")) {
			e.Errorf("a copy of %s: %v", name, err)
		}
	}
	if !same(before, tree(e, e.path("work"))) {
		e.Error("a refused destruction has destroyed something")
	}
	if err := os.Remove(e.path("stray")); err != nil {
		e.Fatal(err)
	}
	wrong := e.lists(e.dir)
	wrong.Paths = []string{e.dir}
	if _, _, err := c.DestroyLists(e.Context(), Act{Signer: e.signer(c, officeAdministration), By: "C", Now: time.Now()}, wrong); err == nil || !strings.Contains(err.Error(), "name the files in it") {
		e.Errorf("a directory named by mistake: %v", err)
	}
}

func (e *twoCommunes) testCertificate() {
	said := e.run(exitDone, "custody", "--custody", e.path("custody"), "--certificate", e.path("certificate"))
	for _, want := range []string{
		"validated: 21019 on 2024-11-14, final from 2024-12-20", "list of absent electors drawn up: 2024-12-02", "by: C. Region, administration",
		"key 21006-001-1: keys first, ", "key 21015-001-1: destroyed by hand ", ": unreadable, crushed", "college: an extract that was recorded is NOT THERE: ",
		"searched for 200 electors and the secrets of 2 registers", "lists: keys first, ", "key 21015-002-1 NEVER CAME BACK: last with the college, since 2024-10-16T00:00:00Z",
		"key 21006-002-1 NEVER CAME BACK: last with the commune, since ", "key 21006-002-2: keys first, ", "stands in the register of custody",
	} {
		if !strings.Contains(said, want) {
			e.Errorf("the certificate lacks %q: %s", want, said)
		}
	}
	text := read(e, e.path("certificate"))
	text[len(text)/2] ^= 1
	e.file("altered", string(text))
	if said := e.run(exitRefused, "custody", "--custody", e.path("custody"), "--certificate", e.path("altered")); !strings.Contains(said, "was changed") {
		e.Error(said)
	}
	// The statements still verify; who gave and who received is gone.
	if said := e.run(exitDone, "custody", "--custody", e.path("custody")); !strings.Contains(said, "the names are destroyed") || strings.Contains(said, "Person") {
		e.Error(said)
	}
	c := e.openCustody()
	defer c.Close()
	err := c.Consult(officeSigner{office: officeCollege}, time.Now(), Consultation{}, false)
	if err == nil || !strings.Contains(err.Error(), "nothing to consult any more") {
		e.Errorf("a consultation afterwards: %v", err)
	}
}

// nobodyLeft looks through every file that is left, without the program's own search.
func (e *twoCommunes) nobodyLeft(people []Person, keys []*register.KeyFinder) {
	left := tree(e, e.dir)
	for _, want := range []string{"election/manifest", "election/21006/roll", "election/region.digests", "custody/statements", "certificate"} {
		if left[e.path(want)] == "" {
			e.Errorf("%s is gone", want)
		}
	}
	for name, text := range left {
		if base := filepath.Base(name); base == wordsFile || base == RegisterFile || base == KeysFile || strings.Contains(name, "/keys/") {
			e.Errorf("%s is left", name)
		}
		lower := strings.ToLower(text)
		for i := range people {
			p := &people[i]
			for _, what := range []string{p.NationalNumber.Printed(), p.NationalNumber.Digits(), p.Surname + " " + p.FirstNames, p.Surname + "," + p.FirstNames, p.FirstNames + " " + p.Surname} {
				if strings.Contains(lower, strings.ToLower(what)) {
					e.Fatalf("%s names an elector", name)
				}
			}
			if len(p.Surname) > 5 && strings.Contains(text, p.Surname) {
				e.Fatalf("%s holds an elector's surname", name)
			}
			var number [8]byte
			n := p.NationalNumber.Uint64()
			for k := range number {
				number[k] = byte(n >> (56 - 8*k))
			}
			if bytes.Contains([]byte(text), number[3:]) {
				e.Fatalf("%s holds an elector's number as the register has it", name)
			}
		}
		for _, k := range keys {
			if k.In([]byte(text)) {
				e.Fatalf("%s holds K", name)
			}
		}
	}
	if len(left) < 10 || len(people) != 200 {
		e.Fatal(fmt.Sprint(len(left), " files and ", len(people), " electors were looked at"))
	}
}
