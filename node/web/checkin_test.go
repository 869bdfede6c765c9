package web_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
	"pointage/node/web"
)

func text[T any](v T) string { return fmt.Sprint(v) }

// holdsNowhere looks for a text in all files of a directory.
func holdsNowhere(t *testing.T, dir, secret string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err == nil && bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds it", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnElectorIsCheckedInByEitherNumber(t *testing.T) {
	c, s := alone(t)
	v, code := s.assessor(s.president(), 0)
	for i, number := range []string{
		c.home(1, 0).ConvocationNumber.Printed(), c.home(1, 1).ConvocationNumber.Digits(), c.home(1, 2).NationalNumber.Printed(), c.home(1, 3).NationalNumber.Digits(),
	} {
		e := c.home(1, i)
		p := v.checkIn(number)
		if got := p.answerOf(); !strings.Contains(got, "PEUT VOTER") || !strings.Contains(got, e.Surname) {
			t.Errorf("%d: %d %q", i, p.status, p.text())
		}
	}
	rows, err := table(t, s).Rows(10)
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, r := range rows {
		if r.Attester != code || r.Elector.Surname != c.home(1, 3-i).Surname || time.Since(r.At) > time.Minute {
			t.Errorf("row %d is by %d at %v", i, r.Attester, r.At)
		}
	}
	if p := v.get("/check-in"); strings.Count(p.body, "enregistré ici") != 4 { // alone: nothing is replicated
		t.Errorf("the list: %s", p.text())
	}
}

func table(t *testing.T, s *station) web.Bureau {
	t.Helper()
	b, err := s.node.Table()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestADoubleScanIsTheSameCheckIn(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	number := c.home(1, 0).ConvocationNumber.Digits()
	p.checkIn(number)
	if got := p.checkIn(number).answerOf(); !strings.Contains(got, "PEUT VOTER") || !strings.Contains(got, "même pointage") {
		t.Errorf("a second scan at once: %s", got)
	}
	if n := s.node.Status(); n.Admitted != 1 || n.Refused != 0 {
		t.Errorf("%d checked in, %d refused", n.Admitted, n.Refused)
	}
	s.at.forward(6 * time.Second)
	got := p.checkIn(number).answerOf()
	if !strings.Contains(got, "DÉJÀ POINTÉ") || !strings.Contains(got, "ici, dans ce bureau") || !strings.Contains(got, "+0") {
		t.Errorf("a scan later: %s", got)
	}
	if n := s.node.Status(); n.Admitted != 1 || n.Refused != 1 {
		t.Errorf("%d checked in, %d refused", n.Admitted, n.Refused)
	}
	// Another table at the same moment never gets the green light of this one.
	a, _ := s.assessor(p, 0)
	if got := a.checkIn(number).answerOf(); !strings.Contains(got, "DÉJÀ POINTÉ") {
		t.Errorf("another table: %s", got)
	}
}

func TestWrongNumbersSayWhatIsWrongAndRecordNothing(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	right := c.home(1, 0).ConvocationNumber.Digits()
	other, err := ledger.NewConvocationNumber(nextTown, 42, ledger.Complement)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := ledger.NewConvocationNumber(town, 99_998, ledger.Complement)
	if err != nil {
		t.Fatal(err)
	}
	wrong := right[:8] + string('0'+(right[8]-'0'+1)%10)
	for number, want := range map[string]string{
		"":                        "Aucun numéro",
		wrong:                     "chiffres de contrôle",
		right[:5]:                 "Il manque des chiffres", // half a scan
		right + right:             "Trop de caractères",     // two scans in one
		right + "1":               "Dix chiffres",
		"1401234567x":             "Ce n'est pas un numéro",
		"<script>alert(1)":        "Ce n'est pas un numéro",
		other.Digits():            "Convocation d'une autre commune : Ixelles",
		unknown.Digits():          "PAS SUR LA LISTE",
		"85.07.30-033.28":         "PAS SUR LA LISTE",
		"85.07.30-033.29":         "chiffres de contrôle",
		strings.Repeat("9", 9999): "Trop de caractères",
	} {
		got := p.checkIn(number)
		if got.status != http.StatusOK || !strings.Contains(got.answerOf(), want) {
			t.Errorf("%.40q: %d %q, want %q", number, got.status, got.answerOf(), want)
		}
	}
	if n := s.node.Status().Admitted; n != 0 {
		t.Errorf("%d are checked in", n)
	}
	if got := p.checkIn(right).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("the right number after the wrong ones: %s", got)
	}
}

func TestABureauThatIsNotOpenSaysSoAndOpensOnce(t *testing.T) {
	c := newCommune(t, usual())
	s := c.stations[1]
	s.start(nil)
	p := s.president()
	number := c.home(1, 0).ConvocationNumber.Digits()
	if got := p.checkIn(number).answerOf(); !strings.Contains(got, "n'est pas ouvert") {
		t.Errorf("before: %s", got)
	}
	ritual := p.get("/opening")
	for _, want := range []string{"La clé est celle de ce bureau", "disque: en ordre · clé 1: en ordre", "L'horloge", "RÉPÉTITION", "120 électeurs de la commune", "Aucun électeur n'est pointé"} {
		if !strings.Contains(ritual.text(), want) {
			t.Errorf("the ritual lacks %q: %s", want, ritual.text())
		}
	}
	if got := p.post("/opening/do"); !strings.Contains(got.text(), "cochez la case") || s.node.Status().Open {
		t.Errorf("unconfirmed: %s", got.text())
	}
	if got := p.post("/opening/do", "confirm", "yes"); got.path != "/check-in" || !s.node.Status().Open {
		t.Errorf("opened: %s %s", got.path, got.text())
	}
	if got := p.checkIn(number).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("after: %s", got)
	}
	// The queue still votes; then it is asked twice.
	if got := p.post("/closing/ask"); !strings.Contains(got.text(), "file vote encore") {
		t.Errorf("with a queue: %s", got.text())
	}
	if got := p.post("/closing/do", "queue", "empty"); !strings.Contains(got.text(), "Oui, fermer") || !s.node.Status().Open {
		t.Errorf("asked once: %s", got.text())
	}
	if got := p.post("/closing/do", "queue", "empty", "sure", "yes"); !strings.Contains(got.text(), "Électeurs pointés : 1.") || s.node.Status().Open {
		t.Errorf("closed: %s", got.text())
	}
	if got := p.get("/opening"); !strings.Contains(got.text(), "Pas vide") {
		t.Errorf("the ritual after a day: %s", got.text())
	}
}

var rowIn = regexp.MustCompile(`/correct\?row=([0-9a-f]+-[0-9]+)`)

func TestAWrongRowIsTakenBackByTwoPersons(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	a, code := s.assessor(p, 0)
	number := c.home(1, 0).ConvocationNumber.Digits()
	m := rowIn.FindStringSubmatch(a.checkIn(number).body)
	if m == nil {
		t.Fatal("the answer leads to no row")
	}
	if got := a.get("/correct?row=" + m[1]); !strings.Contains(got.text(), c.home(1, 0).Surname) {
		t.Errorf("the row: %s", got.text())
	}
	for what, fields := range map[string][]string{
		"Choisissez une raison":         {"row", m[1], "second", "0", "second_secret", s.pass},
		"n'ouvre pas la clé":            {"row", m[1], "reason", "1", "second", "0", "second_secret", "wrong"},
		"quelqu'un d'autre":             {"row", m[1], "reason", "1", "second", text(code), "second_secret", "482915"},
		"n'est pas dans la liste de ce": {"row", "00-1", "reason", "1", "second", "0", "second_secret", s.pass},
	} {
		if got := a.post("/correct/do", fields...); !strings.Contains(got.text(), what) || s.node.Status().Admitted != 1 {
			t.Errorf("%s: %s", what, got.text())
		}
	}
	if got := a.post("/correct/do", "row", m[1], "reason", "1", "second", "0", "second_secret", s.pass); !strings.Contains(got.text(), "Ligne retirée") || s.node.Status().Annulled != 1 {
		t.Fatalf("taken back: %s", got.text())
	}
	if got := a.get("/correct?row=" + m[1]); !strings.Contains(got.text(), "déjà retirée") {
		t.Errorf("the row afterwards: %s", got.text())
	}
	if got := a.checkIn(number).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("the elector afterwards: %s", got)
	}
}

func TestThePresidentFindsByNameAndNoScriptRuns(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	e := c.home(1, 4)
	p.get("/check-in")
	got := p.post("/check-in/search", "query", e.Surname+" "+e.FirstNames)
	if !strings.Contains(got.text(), e.ConvocationNumber.Printed()) {
		t.Fatalf("search: %s", got.text())
	}
	begun := time.Now()
	table(t, s).Search("Vandenbergh", 12)
	t.Logf("a search by name among %d electors took %v", townElectors, time.Since(begun).Round(10*time.Microsecond))
	m := regexp.MustCompile(`name="elector" value="(\d+)"`).FindStringSubmatch(got.body)
	if got := p.post("/check-in/do", "by", "name", "elector", m[1]); !strings.Contains(got.answerOf(), "PEUT VOTER") {
		t.Errorf("by name: %s", got.text())
	}
	evil := `"><script>alert(1)</script>`
	got = p.post("/check-in/search", "query", evil)
	if strings.Contains(got.body, "<script>alert") || !strings.Contains(got.body, "&lt;script&gt;") {
		t.Errorf("a script in a search: %s", got.body)
	}
	if got := p.post("/check-in/search", "query", strings.Repeat("a", 10_000)); got.status != http.StatusOK || !strings.Contains(got.answerOf(), "Trop de caractères") {
		t.Errorf("10,000 characters: %d %s", got.status, got.answerOf())
	}
}

// TestAMarkOfAnotherBureauIsExplainedAndContested plays two bureaux: the elector of bureau 2 is checked in at bureau 1,
// then stands at his own.
func TestAMarkOfAnotherBureauIsExplainedAndContested(t *testing.T) {
	t.Parallel()
	c := newCommune(t, usual())
	for _, n := range []ledger.BureauNumber{1, 2, 3} {
		c.stations[n].start(nil)
	}
	for _, s := range c.stations {
		if err := s.node.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range c.stations {
		until(t, "the bureaux are linked", func() bool { return s.node.Status().Link == "linked" })
	}
	one, two := c.stations[1], c.stations[2]
	e := c.home(2, 0)
	p := one.president()
	if got := p.checkIn(e.ConvocationNumber.Digits()).answerOf(); !strings.Contains(got, "PEUT VOTER") || !strings.Contains(got, "Électeur du bureau 2") {
		t.Fatalf("away: %s", got)
	}
	until(t, "the row is green", func() bool { return strings.Contains(p.get("/check-in").body, "chez tous") })
	v := two.president()
	var got page
	until(t, "bureau 2 knows where and when", func() bool {
		got = v.checkIn(e.ConvocationNumber.Digits())
		return strings.Contains(got.answerOf(), "entrée ")
	})
	name := table(t, two).MemberName(member(1, one, "president", 0))
	for _, want := range []string{"DÉJÀ POINTÉ", "Pointé au bureau 1", "cinq minutes", name, "moyen : convocation"} {
		if !strings.Contains(got.answerOf(), want) {
			t.Errorf("the explanation lacks %q: %s", want, got.answerOf())
		}
	}
	elector := regexp.MustCompile(`name="elector" value="(\d+)"><input type="hidden" name="at" value="(\d+)"`).FindStringSubmatch(got.body)
	if elector == nil {
		t.Fatalf("it can't be contested: %s", got.body)
	}
	long := strings.Repeat("é", 5_000)
	v.post("/contest/ask", "elector", elector[1], "at", elector[2])
	if got := v.post("/contest/do", "elector", elector[1], "at", elector[2], "text", long); got.status != 422 || !strings.Contains(got.body, long) || !strings.Contains(got.text(), "il y en a 10000") {
		t.Errorf("10,000 bytes: %d %.300s", got.status, got.text())
	}
	before := two.node.Head().Size
	const said = "Je n'étais pas au bureau 1, <script>j'arrive</script> seulement."
	if got := v.post("/contest/do", "elector", elector[1], "at", elector[2], "text", said); got.path != "/check-in" || !strings.Contains(got.text(), "enregistrée et scellée") {
		t.Fatalf("contested: %s", got.text())
	}
	until(t, "the contest is in the ledger", func() bool { return two.node.Head().Size > before })
	holdsNowhere(t, two.dir, "seulement")
	if n := two.node.Status().Admitted; n != 0 {
		t.Errorf("%d are checked in at bureau 2", n)
	}
}

func TestWhereThePolicySendsElectorsHomeTheyAreSentThere(t *testing.T) {
	o := usual()
	o.where = election.HomeBureau
	c := newCommune(t, o)
	s := c.stations[1]
	s.start(nil)
	if err := s.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.president()
	if got := p.checkIn(c.home(2, 0).ConvocationNumber.Digits()).answerOf(); !strings.Contains(got, "APPARTIENT AU BUREAU 2") || !strings.Contains(got, "Envoyez l'électeur au bureau 2") {
		t.Errorf("an elector of bureau 2: %s", got)
	}
}

func TestOnlyThePresidentRedirectsAndSaysWhy(t *testing.T) {
	t.Parallel()
	o := usual()
	o.where, o.policy = election.Redirect, election.ProvisionalAdmit
	c := newCommune(t, o)
	s := c.stations[1]
	s.start(nil)
	if err := s.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.president()
	a, _ := s.assessor(p, 0)
	e := c.home(2, 0)
	number := e.ConvocationNumber.Digits()
	if got := a.checkIn(number); !strings.Contains(got.answerOf(), "APPARTIENT AU BUREAU 2") || strings.Contains(got.body, `name="why"`) {
		t.Errorf("an assessor: %s", got.answerOf())
	}
	got := p.checkIn(number)
	if !strings.Contains(got.body, `name="why"`) {
		t.Fatalf("the president: %s", got.answerOf())
	}
	elector := regexp.MustCompile(`name="elector" value="(\d+)"`).FindStringSubmatch(got.body)[1]
	// Bureau 2 is down: the right can't be had, and the policy lets the president admit provisionally.
	got = p.post("/check-in/do", "by", "again", "means", "2", "elector", elector, "why", "panne du bureau 2")
	if !strings.Contains(got.answerOf(), "ne répond pas") || !strings.Contains(got.body, `name="provisional"`) {
		t.Fatalf("with bureau 2 down: %s", got.answerOf())
	}
	got = p.post("/check-in/do", "by", "again", "means", "2", "elector", elector, "why", "panne du bureau 2", "provisional", "1")
	if !strings.Contains(got.answerOf(), "PEUT VOTER") || !strings.Contains(got.answerOf(), "provisoire") {
		t.Errorf("provisionally: %s", got.answerOf())
	}
	holdsNowhere(t, s.dir, "panne du bureau")
}

func TestACardChecksInOnceAndOnlyWhileItIsThere(t *testing.T) {
	c := newCommune(t, usual())
	s := c.stations[1]
	cards := make(chan web.Card)
	s.start(cards)
	if err := s.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.president()
	put := func(x web.Card, seen string) page {
		t.Helper()
		cards <- x
		var got page
		until(t, "the page shows "+seen, func() bool { got = p.get("/check-in"); return strings.Contains(got.text(), seen) })
		return got
	}
	e := c.home(1, 0)
	got := put(card(e), "Carte lue : "+e.Surname)
	if strings.Contains(got.body, e.NationalNumber.Digits()) || strings.Contains(got.body, e.NationalNumber.Printed()) {
		t.Error("the number of the card is in the page")
	}
	serial := regexp.MustCompile(`name="serial" value="(\d+)"`).FindStringSubmatch(got.body)[1]
	if got := p.post("/check-in/do", "by", "card", "serial", serial); !strings.Contains(got.answerOf(), "PEUT VOTER") {
		t.Errorf("by card: %s", got.text())
	}
	put(web.Card{Trouble: 12}, "Carte retirée trop tôt")
	if got := p.post("/check-in/do", "by", "card", "serial", serial); !strings.Contains(got.answerOf(), "n'est plus là") {
		t.Errorf("a card that is gone: %s", got.text())
	}
	stranger, err := ledger.ParseNationalNumber("85.07.30-033.28")
	if err != nil {
		t.Fatal(err)
	}
	got = put(web.Card{Number: stranger, Surname: "Nobody", Expired: true}, "Carte lue : Nobody")
	if !strings.Contains(got.text(), "périmée") || !strings.Contains(got.text(), "comparez la photo") {
		t.Errorf("an expired card: %s", got.text())
	}
	serial = regexp.MustCompile(`name="serial" value="(\d+)"`).FindStringSubmatch(got.body)[1]
	if got := p.post("/check-in/do", "by", "card", "serial", serial); !strings.Contains(got.answerOf(), "PAS SUR LA LISTE") {
		t.Errorf("a card of no elector: %s", got.text())
	}
	rows, err := table(t, s).Rows(5)
	if err != nil || len(rows) != 1 || rows[0].Means != ledger.ByCard {
		t.Errorf("rows %d, %v", len(rows), err)
	}
}

func card(e register.Elector) web.Card {
	return web.Card{Number: e.NationalNumber, Surname: e.Surname, FirstNames: e.FirstNames, Proven: true}
}

func TestNobodyIsFoundInTheLog(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	a, _ := s.assessor(p, 0)
	for i := range 5 {
		a.checkIn(c.home(1, i).ConvocationNumber.Digits())
		p.checkIn(c.home(1, i).NationalNumber.Digits())
	}
	p.get("/check-in")
	p.post("/check-in/search", "query", c.home(1, 0).Surname)
	a.post("/check-in/do", "number", "half")
	log := s.log.String()
	for _, e := range c.electors {
		for _, secret := range []string{e.NationalNumber.Digits(), e.ConvocationNumber.Digits(), e.NationalNumber.Printed()} {
			if strings.Contains(log, secret) {
				t.Error("a number is in the log")
			}
		}
		if len(e.Surname) > 4 && strings.Contains(log, e.Surname) {
			t.Error("a name is in the log")
		}
	}
	if !strings.Contains(log, "signed in") {
		t.Error("nothing was logged at all")
	}
}

func TestLanguageIsTheSessionsAndTheElectorsOwnIsShown(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	p.get("/check-in")
	if got := p.post("/language", "language", "nl", "here", "/check-in"); got.path != "/check-in" || !strings.Contains(got.text(), "Aanstippen van de kiezers") || !strings.Contains(got.body, `<html lang="nl">`) {
		t.Errorf("Dutch: %s", got.text())
	}
	for i := range 12 {
		e := c.home(1, i)
		want := map[register.Language]string{register.French: "Français", register.Dutch: "Nederlands"}[e.Language]
		if got := p.checkIn(e.ConvocationNumber.Digits()).answerOf(); !strings.Contains(got, "MAG STEMMEN") || !strings.Contains(got, want) {
			t.Errorf("elector %d, who speaks %v: %s", i, e.Language, got)
		}
	}
	other := s.president()
	if got := other.get("/check-in"); !strings.Contains(got.text(), "Pointage des électeurs") {
		t.Error("another session changed its language")
	}
}

// TestWhoeverWaitsForAnotherBureauCanCancel: bureau 3 is down, and the table does not want to wait for it.
func TestWhoeverWaitsForAnotherBureauCanCancel(t *testing.T) {
	t.Parallel()
	c, s := alone(t)
	p := s.president()
	p.get("/check-in")
	if got := p.post("/check-in/cancel").answerOf(); !strings.Contains(got, "Rien n'est en cours") {
		t.Errorf("nothing is under way: %s", got)
	}
	p.get("/check-in")
	second := &visitor{t: t, s: s, agent: browser, client: p.client, token: p.token}
	told := make(chan string, 1)
	begun := time.Now()
	go func() { told <- p.post("/check-in/do", "number", c.home(3, 0).ConvocationNumber.Digits()).answerOf() }()
	until(t, "the wait is cancelled", func() bool { return strings.Contains(second.post("/check-in/cancel").answerOf(), "Annulé") })
	if got := <-told; !strings.Contains(got, "Annulé") || time.Since(begun) > 4*time.Second {
		t.Errorf("after %v the table was told: %s", time.Since(begun), got)
	}
	if n := s.node.Status().Admitted; n != 0 {
		t.Errorf("%d are checked in", n)
	}
	if got := p.checkIn(c.home(1, 0).ConvocationNumber.Digits()).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("the next one: %s", got)
	}
}
