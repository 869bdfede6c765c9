package web

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// posed is a stage that stands otherwise than usual.
type posed struct {
	*stage
	facts  func(*Facts)
	state  func(*State)
	clocks []Clock
	// opened counts what was declared open.
	opened int
}

func (p *posed) Facts() Facts {
	f := p.stage.Facts()
	f.KeyPlace, f.RegisterOn, f.Program = p.Place(f.Bureau), time.UnixMilli(int64(pollDay)).Add(-48*time.Hour), ledger.Hash{0xab, 0xcd}
	f.Register, f.Manifest = ledger.Hash{0x12, 0x34}, ledger.Hash{0x56, 0x78}
	if p.facts != nil {
		p.facts(&f)
	}
	return f
}

// State is that of a bureau before its first opening.
func (p *posed) State() State {
	st := p.stage.State()
	st.Open, st.Admitted, st.Proxies, st.Own, st.LedgerSize, st.LedgerHead = false, 0, 0, 3, 7, ledger.Hash{0x9a, 0xbc}
	if p.state != nil {
		p.state(&st)
	}
	return st
}

func (p *posed) Clocks(context.Context) []Clock { return p.clocks }
func (p *posed) Open(context.Context) error     { p.opened++; return nil }

// line is the ritual's line with a title, as the browser gets it, empty when there is none.
func line(body, title string) string {
	for _, li := range strings.Split(body, "<li class=\"")[1:] {
		if strings.Contains(li, "</span> "+html.EscapeString(title)+"<span") {
			return html.UnescapeString(li)
		}
	}
	return ""
}

// TestEachPointOfTheOpeningIsSaidAndJudged poses a bureau as it may stand at half past seven: each point of the ritual, as
// it should be and as it should not.
func TestEachPointOfTheOpeningIsSaidAndJudged(t *testing.T) {
	near := []Clock{{Bureau: 2, Ahead: 400 * time.Millisecond, Within: time.Millisecond}, {Bureau: 3, Ahead: -time.Second, Within: time.Millisecond}}
	for _, x := range []struct {
		name  string
		pose  posed
		title string
		mark  string
		says  []string
		// shut: it can't be opened so.
		shut bool
	}{
		{"a live election", posed{facts: func(f *Facts) { f.Live = true }, clocks: near}, "opening.kind", "ok", []string{"ÉLECTION RÉELLE"}, false},
		{"a rehearsal", posed{clocks: near}, "opening.kind", "doubt", []string{"RÉPÉTITION", "n'ouvrez pas avec ceci"}, false},
		{"the bureau's own key", posed{clocks: near}, "opening.key", "ok", []string{"Bureau 1, École communale 1.", "/relabel"}, false},
		{"a key that was re-labelled", posed{facts: func(f *Facts) { f.KeyPlace = "Salle des fêtes" }}, "opening.key", "ok", []string{"préparée pour : Salle des fêtes"}, false},
		{"a key that was retired", posed{state: func(s *State) { s.Retired = true }}, "opening.key-other", "bad", []string{"retiré du service"}, true},
		{"three media", posed{}, "opening.media", "ok", []string{"clé 2: en ordre"}, false},
		{"one key missing", posed{state: func(s *State) { s.Media[2] = Medium{} }}, "opening.media", "doubt", []string{"clé 2: absente", "Deux suffisent"}, false},
		{"both keys missing", posed{state: func(s *State) { s.Media[1], s.Media[2] = Medium{}, Medium{} }}, "opening.media", "bad", []string{"Il en faut deux"}, true},
		{"clocks that agree", posed{clocks: near}, "opening.clock", "ok", []string{"Comparée à 2 bureau(x)", "écart : 1 s."}, false},
		{"a clock wrong by a day beside others", posed{clocks: []Clock{near[0], {Bureau: 3, Ahead: -24 * time.Hour}}}, "opening.clock", "doubt", []string{"écart : 24 h", "celle du bureau 3", "Le pointage reste sûr"}, false},
		{"a clock wrong by a day, alone", posed{facts: func(f *Facts) { f.Opens = f.Opens.Add(24 * time.Hour) }}, "opening.clock", "doubt", []string{"Aucun autre bureau", "Le scrutin est le 14.10.2030", "corrigez l'heure"}, false},
		{"the register", posed{}, "opening.register", "ok", []string{"13000 électeurs", "1080 de ce bureau", "fichier du 11.10.2030", "empreinte 12340000"}, false},
		{"an empty chain", posed{}, "opening.chain", "ok", []string{"écrit par écrit (3)", "sans aucun pointage", "7 entrées", "9abc0000"}, false},
		{"a check-in that was taken back", posed{state: func(s *State) { s.Done = Done{Home: 1, Undone: 1} }}, "opening.chain-used", "doubt", []string{"Pas vide", "À la première ouverture, n'ouvrez pas"}, false},
		{"members of whom nothing was said", posed{}, "opening.members", "doubt", []string{"Actifs : 2", "absents : 1", "pas encore indiqués : 1", "/attendance"}, false},
		{"nobody with a PIN", posed{}, "opening.pins", "doubt", []string{"code PIN : 0", "/team"}, false},
		{"the manifest", posed{}, "opening.manifest", "ok", []string{"56780000", "empreinte de votre lettre"}, false},
		{"the program", posed{}, "opening.program", "ok", []string{"abcd0000", "empreinte publiée"}, false},
		{"a program that does not know its hash", posed{facts: func(f *Facts) { f.Program = ledger.Hash{} }}, "opening.program", "doubt", []string{"ne connaît pas sa propre empreinte"}, false},
		{"the others answer", posed{}, "opening.network", "ok", []string{"2 sur 2 répondent"}, false},
		{"nobody answers", posed{state: func(s *State) { s.Connected = 0 }}, "opening.network", "doubt", []string{"Aucun des 2 autres", "sans liaison"}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := x.pose
			p.stage = newStage()
			g := visitingAt(t, &p, french)
			li := line(g.see("/opening"), french.say(x.title))
			if !strings.HasPrefix(li, x.mark+`"`) {
				t.Errorf("marked %.8q, want %s: %s", li, x.mark, li)
			}
			for _, want := range x.says {
				if !strings.Contains(li, want) {
					t.Errorf("no %q in %s", want, li)
				}
			}
			if _, body := g.post("/opening/do", url.Values{}); p.opened != 0 {
				t.Errorf("opened without a tick: %.300s", body)
			}
			if _, body := g.post("/opening/do", url.Values{"confirm": {"yes"}}); (p.opened == 0) != x.shut {
				t.Errorf("opened %d times: %.300s", p.opened, body)
			}
		})
	}
}

// TestMembersAndPINsAreDoneOnceAllIsSaid: attendance of everybody and one PIN leave nothing to be looked at there.
func TestMembersAndPINsAreDoneOnceAllIsSaid(t *testing.T) {
	p := &posed{stage: newStage()}
	g := visitingAt(t, p, french)
	g.see("/attendance")
	if code, _ := g.post("/attendance/presence", url.Values{"member": {"3"}, "presence": {"2"}}); code != http.StatusOK {
		t.Fatal(code)
	}
	g.post("/team/pin", url.Values{"code": {"16384"}, "pin": {"482915"}})
	body := g.see("/opening")
	if li := line(body, french.say("opening.members")); !strings.HasPrefix(li, `ok"`) || !strings.Contains(li, "non retenus : 1") {
		t.Errorf("members: %s", li)
	}
	if li := line(body, french.say("opening.pins")); !strings.HasPrefix(li, `ok"`) || !strings.Contains(li, "code PIN : 1") {
		t.Errorf("PINs: %s", li)
	}
}

// TestOnlyWhoServesHasAPIN: a form that no page offers gives an absent or a dismissed member none, and who is found not to serve
// after all loses the one he has.
func TestOnlyWhoServesHasAPIN(t *testing.T) {
	g := visitingAt(t, &posed{stage: newStage()}, french)
	g.see("/attendance")
	give := func(code string) string {
		_, body := g.post("/team/pin", url.Values{"code": {code}, "pin": {"482915"}})
		return html.UnescapeString(body)
	}
	for _, presence := range []string{"3", "2"} {
		g.post("/attendance/presence", url.Values{"member": {"2"}, "presence": {presence}})
		if body := give("2"); !strings.Contains(body, french.say("team.not-here", 2)) || strings.Contains(body, french.say("team.pin-set", 2)) || strings.Contains(body, french.say("team.remove-of", 2)) {
			t.Errorf("presence %s: a PIN is not refused", presence)
		}
	}
	g.post("/attendance/presence", url.Values{"member": {"2"}, "presence": {"1"}})
	if body := give("2"); !strings.Contains(body, french.say("team.pin-set", 2)) {
		t.Error("a member who is present gets no PIN")
	}
	g.post("/attendance/presence", url.Values{"member": {"2"}, "presence": {"3"}})
	if body := html.UnescapeString(g.see("/team")); strings.Contains(body, french.say("team.remove-of", 2)) {
		t.Error("a member who left has a PIN")
	}
	g.post("/attendance/presence", url.Values{"member": {"2"}, "presence": {"1"}})
	if body := html.UnescapeString(g.see("/team")); strings.Contains(body, french.say("team.remove-of", 2)) {
		t.Error("the PIN came back with its member")
	}
}

// TestTheGuideEndsWithTheBureauAndSaysWhatItCannotTry: once the bureau is closed no step is next, whatever was not tried; and the
// cut of the network is no step where nobody was ever linked.
func TestTheGuideEndsWithTheBureauAndSaysWhatItCannotTry(t *testing.T) {
	done := Done{Home: 1, Away: 1, Proxies: 1, Again: 1, Undone: 1}
	alone := func(st *State) {
		st.Open, st.Done, st.Connected, st.Others, st.Link, st.Backlog = true, done, 0, 2, pollbook.Alone, 1
	}
	with := func(change func(*State)) func(*State) { return func(st *State) { alone(st); change(st) } }
	p := &posed{stage: newStage(), facts: func(f *Facts) { f.Live = false }}
	g := visitingAt(t, p, french)
	next := func(step int) string {
		return french.say("course.next", step) + "</strong> " + french.say(courseKey(step))
	}
	for _, x := range []struct {
		what     string
		state    func(*State)
		has, not []string
	}{
		{"one that never heard anybody", alone, []string{french.say(courseNobody), next(courseClose), "7 sur 9"}, []string{next(courseCut)}},
		{"one that still hears nobody after a check-in", alone, []string{french.say(courseNobody)}, []string{"8 sur 9"}},
		{"the only one", with(func(st *State) { st.Others = 0 }), []string{french.say(courseSingle), next(courseClose)}, []string{next(courseCut)}},
		{"closed", with(func(st *State) { st.Open, st.Closed = false, true }), []string{french.say("course.ended"), "8 sur 9"}, []string{"étape 8 :", "étape 9 :", french.say("course.all-done")}},
		{"linked", with(func(st *State) { st.Connected = 1 }), []string{next(courseCut)}, []string{french.say(courseNobody), "8 sur 9"}},
		{"cut off", alone, []string{next(courseClose), "8 sur 9"}, []string{french.say(courseNobody)}},
	} {
		p.state = x.state
		g.see("/check-in")
		g.post("/check-in/do", url.Values{"number": {nationalNumbers[0]}})
		g.later(time.Minute)
		body := html.UnescapeString(g.see("/check-in"))
		for _, w := range x.has {
			if !strings.Contains(body, w) {
				t.Errorf("%s: no %q", x.what, w)
			}
		}
		for _, w := range x.not {
			if strings.Contains(body, w) {
				t.Errorf("%s: %q", x.what, w)
			}
		}
	}
}

// TestLiveAndRehearsalAreUnmistakableOnEveryScreen looks at every page in each language, before and after signing in: its
// title, its banner and its colours say which it is, and only a rehearsal has the guide.
func TestLiveAndRehearsalAreUnmistakableOnEveryScreen(t *testing.T) {
	for _, live := range []bool{true, false} {
		p := &posed{stage: newStage(), facts: func(f *Facts) { f.Live = live }}
		g := visitingAt(t, p, french)
		for _, lang := range languages {
			g.see("/check-in")
			g.post("/language", url.Values{"language": {string(lang)}, "here": {"/check-in"}})
			for _, page := range pages {
				kindOf(t, g.see("/"+page.name), page.name, lang, live, true)
			}
			_, fault := g.post("/check-in/do", url.Values{"by": {"again"}, "means": {"0"}, "elector": {"1"}})
			kindOf(t, fault, "fault", lang, live, true)
		}
		g.post("/lock", url.Values{})
		kindOf(t, g.see("/sign-in"), "sign-in", french, live, false)
	}
}

func kindOf(t *testing.T, body, name string, lang language, live, signedIn bool) {
	t.Helper()
	is, other := "layout.rehearsal", "layout.live"
	class := `<body class="rehearsal page-`
	if live {
		is, other, class = other, is, `<body class="live page-`
	}
	text := html.UnescapeString(body)
	if !strings.Contains(text, lang.say(is)) || strings.Contains(strings.ReplaceAll(text, lang.say("opening.kind"), ""), lang.say(other)) || !strings.Contains(body, class) {
		t.Errorf("%s in %s, live %v: not said, or both", name, lang, live)
	}
	if strings.Contains(body, "<title>"+lang.say("layout.rehearsal")) == live {
		t.Errorf("%s in %s, live %v: the title", name, lang, live)
	}
	if strings.Contains(body, `id="course"`) != (!live && signedIn) || strings.Contains(body, "rehearsal.css") == live {
		t.Errorf("%s in %s, live %v: the guide", name, lang, live)
	}
}
