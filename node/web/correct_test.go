package web_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/ledger/plaintext"
	"pointage/node/register"
	"pointage/node/web"
)

// opened are three bureaux, open and linked.
func opened(t *testing.T, c *commune) (one, two, three *station) {
	t.Helper()
	for _, s := range c.stations {
		s.start(nil)
	}
	for _, s := range c.stations {
		if err := s.node.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range c.stations {
		until(t, "the bureaux are linked", func() bool { return s.node.Status().Link == "linked" })
	}
	return c.stations[1], c.stations[2], c.stations[3]
}

// minutesOf is what a bureau's minutes say now.
func (s *station) minutesOf() string {
	s.t.Helper()
	doc, err := s.node.Minutes(s.t.Context(), s.number, minutes.French)
	if err != nil {
		s.t.Fatal(err)
	}
	return doc.Plain()
}

// TestAWrongRowIsVoidedByItsTableAloneBeforeTheLight: bureau 3's network is cut in the middle of a check-in. While the group's answer
// is awaited there is no light, and Escape takes the row back, with nobody else; the elector can be checked in afterwards.
func TestAWrongRowIsVoidedByItsTableAloneBeforeTheLight(t *testing.T) {
	t.Parallel()
	web.HasChromiumOrSkip(t)
	o := usual()
	o.barrier = 15 * time.Second // so that nobody's slowness lets the light come first
	c := newCabledOf(t, o)
	_, two, s := opened(t, c.commune)
	x := s.tab()
	x.signIn("0", s.pass)
	x.says("the field has the focus", `document.activeElement.id === 'number'`)
	var wrong register.Elector
	before, taken := -1, false
	for !taken { // where bureau 3 has seen already that there is no leader, the light comes at once
		before++
		c.cables.Heal()
		until(t, "it is linked", func() bool { return s.node.Status().Link == "linked" })
		wrong = c.home(3, before)
		x.open("/check-in", "#number")
		x.says("the field has the focus", `document.activeElement.id === 'number'`)
		x.keys(wrong.ConvocationNumber.Digits())
		c.cables.CutOff([]int{3}, []int{1, 2})
		x.keys(kb.Enter)
		x.says("it can be cancelled, or it was answered", `!document.querySelector('#cancel').hidden || document.querySelector('#answer').innerText !== ''`)
		x.keys(kb.Escape)
		x.says("it is answered", `document.querySelector('#answer').innerText !== ''`)
		taken = strings.Contains(x.value(`document.querySelector('#answer').innerText`), "Retiré avant la remise du bulletin")
	}
	right := c.home(3, before+1)
	x.reads("#answer .elsewhere", "Retiré avant la remise du bulletin")
	if st := s.node.Status(); st.Admitted != before || st.Voided != 1 || st.Annulled != 0 {
		t.Fatalf("%d are checked in, %d voided, %d annulled", st.Admitted, st.Voided, st.Annulled)
	}
	x.reads("#rows tr.undone", wrong.Surname)
	until(t, "bureau 3 sees that nobody answers", func() bool { return s.node.Status().Link == "alone" })
	x.keys(right.ConvocationNumber.Digits() + kb.Enter) // the one who stands there, with no link at all
	x.reads("#answer .admit", right.Surname)
	c.cables.Heal()
	until(t, "the link is back", func() bool { return s.node.Status().Link == "linked" })

	// The other one comes later, to another bureau even: nothing was used of him.
	v := two.president()
	until(t, "bureau 2 admits him", func() bool {
		return strings.Contains(v.checkIn(wrong.ConvocationNumber.Digits()).answerOf(), "PEUT VOTER")
	})
	v = s.president()
	until(t, "his own bureau knows it", func() bool {
		got := v.checkIn(wrong.NationalNumber.Digits()).answerOf()
		return strings.Contains(got, "DÉJÀ POINTÉ") && strings.Contains(got, "Pointé au bureau 2")
	})
	if st := s.node.Status(); st.Admitted != before+1 || st.Alarms != 0 {
		t.Errorf("%d are checked in, %d alarms", st.Admitted, st.Alarms)
	}
}

// TestAnAnnulledElectorOfAnotherBureauVotesAtHome: bureau 1 marked the wrong elector, one of bureau 2. After two persons have
// attested that he got no ballot his right is at home again: there he votes, once.
func TestAnAnnulledElectorOfAnotherBureauVotesAtHome(t *testing.T) {
	t.Parallel()
	c := newCommune(t, usual())
	one, two, _ := opened(t, c)
	p := one.president()
	a, _ := one.assessor(p, 0)
	e := c.home(2, 0)
	number := e.ConvocationNumber.Digits()
	row := rowIn.FindStringSubmatch(a.checkIn(number).body)
	if row == nil {
		t.Fatal("the answer leads to no row")
	}
	v := two.president()
	until(t, "he is refused at home", func() bool { return strings.Contains(v.checkIn(number).answerOf(), "DÉJÀ POINTÉ") })
	a.get("/correct?row=" + row[1])
	if got := a.post("/correct/do", "row", row[1], "reason", "1", "second", "0", "second_secret", one.pass); !strings.Contains(got.text(), "Ligne retirée") || !strings.Contains(got.text(), "il y est de nouveau attendu") {
		t.Fatalf("taken back: %s", got.text())
	}
	until(t, "he is admitted at home", func() bool { return strings.Contains(v.checkIn(number).answerOf(), "PEUT VOTER") })
	until(t, "bureau 1 knows it", func() bool {
		got := a.checkIn(number).answerOf()
		if strings.Contains(got, "PEUT VOTER") {
			t.Fatalf("admitted twice: %s", got)
		}
		return strings.Contains(got, "DÉJÀ POINTÉ") && strings.Contains(got, "Pointé au bureau 2")
	})
	if one.node.Status().Admitted != 0 || one.node.Status().Annulled != 1 || two.node.Status().Admitted != 1 {
		t.Errorf("bureau 1: %+v, bureau 2: %+v", one.node.Status(), two.node.Status())
	}
}

// TestAContestedMarkReachesTheBureauThatMadeIt plays the whole quarrel: bureau 1 has marked an elector of bureau 2 who stands at his own
// table. There he is told where, when, by whom and under which entry; he contests it; bureau 1 sees that on its screens, with what he
// said, finds its mistake, and two persons take the row back; bureau 2 admits him. Bureau 3 reads nothing of it, the minutes
// have both.
func TestAContestedMarkReachesTheBureauThatMadeIt(t *testing.T) {
	t.Parallel()
	c := newCommune(t, usual())
	one, two, three := opened(t, c)
	p, v := one.president(), two.president()
	a, code := one.assessor(p, 0)
	e := c.home(2, 3)
	number := e.ConvocationNumber.Digits()
	row := rowIn.FindStringSubmatch(a.checkIn(number).body)
	var got page
	until(t, "bureau 2 knows where, when and which entry", func() bool {
		got = v.checkIn(number)
		return entryIn.MatchString(got.answerOf())
	})
	name := table(t, two).MemberName(code)
	for _, want := range []string{"DÉJÀ POINTÉ", "Pointé au bureau 1", "cinq minutes après", name, "moyen : convocation"} {
		if !strings.Contains(got.answerOf(), want) {
			t.Errorf("the explanation lacks %q: %s", want, got.answerOf())
		}
	}
	if p.get("/correct"); strings.Contains(p.get("/correct").text(), "Contestations") {
		t.Error("bureau 1 has a contest before there is one")
	}
	form := contestIn.FindStringSubmatch(got.body)
	if form == nil {
		t.Fatalf("it can't be contested: %s", got.body)
	}
	v.post("/contest/ask", "elector", form[1], "at", form[2]).has(t, "Pointé au bureau 1")
	const said = "J'arrive seulement, <script>alert(1)</script> demandez à la file."
	if got := v.post("/contest/do", "elector", form[1], "at", form[2], "text", said); got.path != "/check-in" || !strings.Contains(got.text(), "Le bureau 1 la voit sur ses écrans") {
		t.Fatalf("contested: %s", got.text())
	}

	until(t, "bureau 1 sees it", func() bool { got = p.get("/correct"); return strings.Contains(got.text(), "Contestations") })
	for _, want := range []string{e.Surname, "Dit au bureau 2, pointé au bureau 1", said, `href="/correct?row=` + row[1] + `"`} {
		if !strings.Contains(got.text()+got.body, want) {
			t.Errorf("bureau 1's list lacks %q: %s", want, got.text())
		}
	}
	if strings.Contains(got.body, "<script>alert") {
		t.Error("what was said would run")
	}
	if text := v.get("/correct").text(); !strings.Contains(text, said) || strings.Contains(text, "Corriger cette ligne") {
		t.Errorf("bureau 2's own: %s", text)
	}
	x := three.president()
	until(t, "bureau 3's ledger has it", func() bool { return three.node.Head() == two.node.Head() })
	if text := x.get("/correct").text(); strings.Contains(text, e.Surname) || strings.Contains(text, "Contestations") {
		t.Errorf("bureau 3 reads it: %s", text)
	}

	a.get("/correct?row="+row[1]).has(t, "Dit au bureau 2", "demandez à la file")
	if got := a.post("/correct/do", "row", row[1], "reason", "1", "second", "0", "second_secret", one.pass); !strings.Contains(got.text(), "Ligne retirée") {
		t.Fatalf("taken back: %s", got.text())
	}
	if text := p.get("/correct").text(); !strings.Contains(text, "aucune ligne d'ici ne tient plus") || strings.Contains(text, "Corriger cette ligne") {
		t.Errorf("bureau 1 afterwards: %s", text)
	}
	until(t, "bureau 2 admits him", func() bool { return strings.Contains(v.checkIn(number).answerOf(), "PEUT VOTER") })
	if m := one.minutesOf(); !strings.Contains(m, "Annulés par deux membres: 1\n") {
		t.Errorf("bureau 1's minutes lack the annulment: %s", m)
	}
	if m := two.minutesOf(); !strings.Contains(m, fmt.Sprintf(" | %d | ", plaintext.IncidentContested)) {
		t.Errorf("bureau 2's minutes lack the contest: %s", m)
	}
	for _, s := range []*station{one, two, three} {
		holdsNowhere(t, s.dir, "demandez à la file")
		if strings.Contains(s.log.String(), "demandez") || strings.Contains(s.log.String(), e.Surname) {
			t.Errorf("bureau %d's log has it", s.number)
		}
	}
}

var (
	entryIn   = regexp.MustCompile(`(entry|entrée) \d+`)
	contestIn = regexp.MustCompile(`name="elector" value="(\d+)"><input type="hidden" name="at" value="(\d+)"`)
)

// TestTheStatusOfEveryPageTellsOfAContestedRow: at bureau 1's table nobody looks at the list; the line that every page has tells it by
// itself, until no such row stands.
func TestTheStatusOfEveryPageTellsOfAContestedRow(t *testing.T) {
	t.Parallel()
	web.HasChromiumOrSkip(t)
	c := newCommune(t, usual())
	one, two, _ := opened(t, c)
	x := one.tab()
	x.signIn("0", one.pass)
	x.says("the field has the focus", `document.activeElement.id === 'number'`)
	e := c.home(2, 4)
	x.keys(e.ConvocationNumber.Digits() + kb.Enter)
	x.reads("#answer .admit", e.Surname)
	v, contested := two.president(), ledger.BureauNumber(1)
	var got page
	until(t, "bureau 2 hears of it", func() bool { got = v.checkIn(e.ConvocationNumber.Digits()); return contestIn.MatchString(got.body) })
	form := contestIn.FindStringSubmatch(got.body)
	if form[2] != fmt.Sprint(contested) {
		t.Fatalf("the mark is of bureau %s", form[2])
	}
	v.post("/contest/do", "elector", form[1], "at", form[2], "text", "Ce n'était pas moi.")
	x.reads("#status a.alarm", "contestés ailleurs : 1")
	x.click("#status a.alarm")
	x.reads("main", "Ce n'était pas moi.")
}
