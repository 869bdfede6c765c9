package web_test

// What people and machines do wrong at the table, and the tests that hold what then happens: somebody reads what happened
// and what to do, and nothing is lost or doubled.
//
//	wrong digits, half a scan, two scans in one     TestWrongNumbersSayWhatIsWrongAndRecordNothing, TestATableIsWorkedByItsScannerAlone
//	a convocation of another commune                TestWrongNumbersSayWhatIsWrongAndRecordNothing
//	an identity card of another commune's elector   TestACardOfAnotherCommunesElectorIsToldAndChecksNobodyIn
//	a chip that is not proven, an expired card      TestTheAnswerToACardSaysWhatTheTableMustLookAt
//	two presses: of a scan                          TestADoubleScanIsTheSameCheckIn
//	two presses: of anything else                   TestAFormThatIsSentTwiceIsDoneOnce, TestTwoPressesAtOnceAreOne
//	the back button                                 TestTheBackButtonDoublesNothing, TestATableIsWorkedByItsScannerAlone
//	a session that ends in the middle of a proxy    TestAWizardThatWasLockedInTheMiddleLosesAndDoublesNothing
//	a script in a name                              TestAScriptInANameIsOnlyEverText
//	10,000 characters in a reason                   TestAMarkOfAnotherBureauIsExplainedAndContested, TestTenThousandCharactersOfAReasonAreGivenBack
//	a clock wrong by a day                          TestEachPointOfTheOpeningIsSaidAndJudged, TestAClockThatJumpsByADayLosesNothing
//	no printer                                      TestWithoutAPrinterThePapersWait

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/minutes"
	"pointage/node/web"
)

var serialIn = regexp.MustCompile(`name="serial" value="(\d+)"`)

// put lays a card into the reader and waits until the page shows it.
func put(t *testing.T, cards chan<- web.Card, v *visitor, x web.Card) (serial string) {
	t.Helper()
	cards <- x
	until(t, "the page shows the card", func() bool {
		m := serialIn.FindStringSubmatch(v.get("/check-in").body)
		if m == nil || m[1] == serial || !strings.Contains(v.get("/check-in").text(), "Carte lue : "+x.Surname) {
			return false
		}
		serial = m[1]
		return true
	})
	return serial
}

// atAReader is a bureau with a reader of cards, open.
func atAReader(t *testing.T) (*commune, *station, chan<- web.Card) {
	t.Helper()
	c := newCommune(t, usual())
	s := c.stations[1]
	cards := make(chan web.Card)
	s.start(cards)
	if err := s.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, s, cards
}

func TestACardOfAnotherCommunesElectorIsToldAndChecksNobodyIn(t *testing.T) {
	c, s, cards := atAReader(t)
	p := s.president()
	stranger := electors(t, nextTown, 20, 1).People[3]
	serial := put(t, cards, p, web.Card{Number: stranger.NationalNumber, Surname: "Voisin", Proven: true})
	got := p.post("/check-in/do", "by", "card", "serial", serial)
	if !strings.Contains(got.answerOf(), "PAS SUR LA LISTE") || !strings.Contains(got.answerOf(), "Vérifiez le numéro et la commune") || strings.Contains(got.answerOf(), "Mauvaise ligne") {
		t.Errorf("told: %s", got.answerOf())
	}
	if n := s.node.Status().Admitted; n != 0 {
		t.Fatalf("%d are checked in", n)
	}
	serial = put(t, cards, p, card(c.home(1, 0)))
	if got := p.post("/check-in/do", "by", "card", "serial", serial).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("the next card: %s", got)
	}
}

// TestTheAnswerToACardSaysWhatTheTableMustLookAt: what the reader could not prove stands in words on the green answer itself, before
// the ballot is handed over, in both languages; a good card's answer has none of it.
func TestTheAnswerToACardSaysWhatTheTableMustLookAt(t *testing.T) {
	c, s, cards := atAReader(t)
	for lang, words := range map[string][2]string{
		"fr": {"n'a pas prouvé qu'elle est l'originale : comparez la photo avec le visage avant de remettre le bulletin", "La carte est périmée : la présidence décide"},
		"nl": {"bewees niet dat ze de originele is: vergelijk de foto met het gezicht vóór u het stembiljet geeft", "De kaart is vervallen: de voorzitter beslist"},
	} {
		v := s.president()
		first := map[string]int{"fr": 0, "nl": 10}[lang]
		for i, x := range []struct{ proven, expired bool }{{true, false}, {false, false}, {true, true}, {false, true}} {
			e := c.home(1, first+i)
			v.get("/check-in")
			v.post("/language", "language", "fr", "here", "/check-in")
			serial := put(t, cards, v, web.Card{Number: e.NationalNumber, Surname: e.Surname, FirstNames: e.FirstNames, Proven: x.proven, Expired: x.expired})
			v.post("/language", "language", lang, "here", "/check-in")
			got := v.post("/check-in/do", "by", "card", "serial", serial)
			if !strings.Contains(got.body, `class="answer admit"`) {
				t.Fatalf("%s %+v: %s", lang, x, got.answerOf())
			}
			if has := strings.Contains(got.answerOf(), words[0]); has == x.proven {
				t.Errorf("%s %+v: %s", lang, x, got.answerOf())
			}
			if has := strings.Contains(got.answerOf(), words[1]); has != x.expired {
				t.Errorf("%s %+v: %s", lang, x, got.answerOf())
			}
		}
		// The same people by their number: nothing was asked of a card.
		if got := v.checkIn(c.home(1, first+4).NationalNumber.Digits()).answerOf(); strings.Contains(got, words[0]) || strings.Contains(got, words[1]) {
			t.Errorf("%s, by number: %s", lang, got)
		}
	}
}

// TestAChipThatProvedNothingIsRecorded: of a check-in, and of a proxy whose holder came with such a card, though it left the
// reader before the form was done; the minutes count it apart in both languages.
func TestAChipThatProvedNothingIsRecorded(t *testing.T) {
	c, s, cards := atAReader(t)
	v := s.president()
	laid := func(i int, proven bool) string {
		e := c.home(1, i)
		return put(t, cards, v, web.Card{Number: e.NationalNumber, Surname: e.Surname, FirstNames: e.FirstNames, Proven: proven})
	}
	for i, proven := range []bool{true, false, true} {
		v.post("/check-in/do", "by", "card", "serial", laid(i, proven)).has(t, `class="answer admit"`)
	}
	v.checkIn(c.home(1, 3).ConvocationNumber.Digits()).has(t, `class="answer admit"`)
	for i, proven := range []bool{false, true} {
		serial := laid(10+i, proven)
		known := v.post("/proxies/holder", "by", "card", "serial", serial)
		cards <- web.Card{Gone: true}
		proxyOf(v, known, c.home(1, 20+i), "12/10/2030").has(t, `class="answer admit"`)
	}
	for lang, rows := range map[minutes.Language][]string{
		minutes.French: {"Carte d'identité, puce prouvée: 3", "Carte d'identité, puce non prouvée: 2", "Carte non lue : numéro de convocation: 1"},
		minutes.Dutch:  {"Identiteitskaart, chip bewezen: 3", "Identiteitskaart, chip niet bewezen: 2", "Kaart niet gelezen: oproepingsnummer: 1"},
	} {
		d, err := s.node.Minutes(t.Context(), 1, lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if !strings.Contains(d.Plain(), row) {
				t.Errorf("%v: no %q", lang, row)
			}
		}
	}
}

func TestTheBackButtonDoublesNothing(t *testing.T) {
	c, s := alone(t)
	v := s.president()
	holder, principal := c.home(1, 20), c.home(1, 21)
	proxy(v, holder, principal, "12/10/2030").has(t, `class="answer admit"`)
	for _, path := range []string{"/proxies/admit", "/proxies/form", "/check-in/do", "/correct/do", "/closing/do", "/opening/do", "/contest/do", "/relabel/do"} {
		got := v.get(path) // what the browser asks for when its history is gone
		if want, _, _ := strings.Cut(path[1:], "/"); got.status != http.StatusOK || got.path != "/"+want {
			t.Errorf("%s: %d %s", path, got.status, got.path)
		}
	}
	// Back to the last step, and sent again: a browser asks, and says yes.
	proxy(v, holder, principal, "12/10/2030").has(t, `class="answer refuse"`, "propos du mandant")
	if st := s.node.Status(); st.Admitted != 1 || !st.Open {
		t.Errorf("%d are checked in, open %v", st.Admitted, st.Open)
	}
}

func TestAFormThatIsSentTwiceIsDoneOnce(t *testing.T) {
	c, s := alone(t)
	v := s.president()
	messages := func() int { return strings.Count(v.get("/messages").text(), "Bonjour à tous") }
	v.get("/messages")
	for range 3 {
		if got := v.post("/messages/send", "to", "0", "text", "Bonjour à tous"); got.path != "/messages" {
			t.Fatalf("%d %s", got.status, got.path)
		}
	}
	if n := messages(); n != 1 {
		t.Errorf("pressed three times: %d messages", n)
	}
	s.at.forward(4 * time.Second)
	v.post("/messages/send", "to", "0", "text", "Bonjour à tous")
	if n := messages(); n != 2 {
		t.Errorf("meant twice: %d messages", n)
	}
	// A form between two is an act of its own.
	president := text(member(1, s, "president", 0))
	for _, presence := range []string{"1", "3", "1"} {
		v.post("/attendance/presence", "member", president, "presence", presence)
	}
	if a, err := s.node.Attendance(t.Context()); err != nil || a.Members[0].Presence != ledger.Active {
		t.Errorf("presence %v, %v", a.Members[0].Presence, err)
	}
	// A row that two persons take back, pressed twice: once, and no fault.
	a, code := s.assessor(v, 0)
	row := rowIn.FindStringSubmatch(a.checkIn(c.home(1, 0).ConvocationNumber.Digits()).body)
	v.get("/correct")
	for range 2 {
		if got := v.post("/correct/do", "row", row[1], "reason", "2", "second", text(code), "second_secret", "482915"); got.path != "/check-in" {
			t.Errorf("%d %s", got.status, got.text())
		}
	}
	if n := s.node.Status().Annulled; n != 1 {
		t.Errorf("%d annulled", n)
	}
}

// TestTwoPressesAtOnceAreOne: a browser takes its first question back when a button is pressed twice, and the server has both.
func TestTwoPressesAtOnceAreOne(t *testing.T) {
	_, s := alone(t)
	v := s.president()
	v.get("/messages")
	form := url.Values{"token": {v.token}, "to": {"0"}, "text": {"Deux à la fois"}}.Encode()
	var pressing sync.WaitGroup
	for range 8 {
		window := &visitor{t: t, s: s, agent: browser, client: v.client}
		pressing.Go(func() {
			if got, err := window.try(http.MethodPost, "/messages/send", strings.NewReader(form), nil); err != nil || got.path != "/messages" {
				t.Errorf("%s, %v", got.path, err)
			}
		})
	}
	pressing.Wait()
	if n := strings.Count(v.get("/messages").text(), "Deux à la fois"); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestTenThousandCharactersOfAReasonAreGivenBack: the president's reason to admit an elector of another bureau is too long; what was
// typed is still there, and nobody is checked in.
func TestTenThousandCharactersOfAReasonAreGivenBack(t *testing.T) {
	t.Parallel()
	o := usual()
	o.where = election.Redirect
	c := newCommune(t, o)
	s := c.stations[1]
	s.start(nil)
	if err := s.node.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.president()
	got := p.checkIn(c.home(2, 0).ConvocationNumber.Digits())
	elector := regexp.MustCompile(`name="elector" value="(\d+)"`).FindStringSubmatch(got.body)[1]
	before, long := s.node.Head().Size, strings.Repeat("a", 10_000)
	got = p.post("/check-in/do", "by", "again", "means", "2", "elector", elector, "why", long)
	if got.status != http.StatusOK || !strings.Contains(got.answerOf(), "celle-ci en a 10000") || !strings.Contains(got.body, `value="`+long+`"`) {
		t.Errorf("%d %.300s", got.status, got.answerOf())
	}
	if n := s.node.Status(); n.Admitted != 0 || s.node.Head().Size != before {
		t.Errorf("%d are checked in, the ledger grew by %d", n.Admitted, s.node.Head().Size-before)
	}
}

// TestAClockThatJumpsByADayLosesNothing: somebody sets the machine's clock, a day on and a day back. Tables are locked or go on, and
// what was done is there once.
func TestAClockThatJumpsByADayLosesNothing(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	number := func(i int) string { return c.home(1, i).ConvocationNumber.Digits() }
	p.checkIn(number(0))
	s.at.forward(24 * time.Hour)
	if got := p.post("/check-in/do", "number", number(1)); got.status != http.StatusUnauthorized || !strings.Contains(got.text(), "n'a pas été fait") {
		t.Errorf("a day on: %d %s", got.status, got.text())
	}
	p = s.president()
	if got := p.checkIn(number(1)).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("signed in again: %s", got)
	}
	s.at.forward(-48 * time.Hour)
	if got := p.checkIn(number(2)).answerOf(); !strings.Contains(got, "PEUT VOTER") {
		t.Errorf("a day back: %s", got)
	}
	if got := p.checkIn(number(0)).answerOf(); !strings.Contains(got, "DÉJÀ POINTÉ") {
		t.Errorf("the first one: %s", got)
	}
	if n := s.node.Status().Admitted; n != 3 {
		t.Errorf("%d are checked in, want 3", n)
	}
}

// TestWithoutAPrinterThePapersWait: the page says that nothing is lost, and a paper is the same whenever it is asked for.
func TestWithoutAPrinterThePapersWait(t *testing.T) {
	c, s := alone(t)
	p := s.president()
	p.checkIn(c.home(1, 0).ConvocationNumber.Digits())
	p.post("/counts/record", "issued", "1", "scanned", "1")
	p.post("/closing/do", "queue", "empty", "sure", "yes")
	got := p.get("/evening")
	if !strings.Contains(got.text(), "Pas d'imprimante") || !strings.Contains(got.text(), "Rien n'est perdu") {
		t.Fatalf("the page: %s", got.text())
	}
	papers := regexp.MustCompile(`href="(/evening/paper\?[^"]*)"`).FindAllStringSubmatch(got.body, -1)
	if len(papers) < 4 {
		t.Fatalf("%d papers", len(papers))
	}
	for _, m := range papers {
		at := strings.ReplaceAll(m[1], "&amp;", "&")
		first := p.file(at)
		s.at.forward(5 * time.Minute)
		again := p.file(at)
		if strings.Contains(at, "minutes") && !bytes.Equal(first, again) || len(first) < 1000 {
			t.Errorf("%s: %d bytes, then %d", at, len(first), len(again))
		}
	}
}
