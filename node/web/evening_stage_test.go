package web

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/daybook"
)

func (s *stage) Evening(context.Context) (daybook.Evening, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := daybook.Evening{CheckedIn: 63, Own: s.recorded[s.Facts().Bureau], Commune: s.recorded[0]}
	if n := len(s.tallies); n > 0 {
		last := s.tallies[n-1]
		out.Last = &last
	}
	if s.principal {
		out.Others = []daybook.Paper{{Bureau: 2, Place: s.Place(2), Closed: true}, {Bureau: 3, Place: s.Place(3)}}
	}
	return out, nil
}

func (s *stage) RecordMinutes(_ context.Context, of ledger.BureauNumber) (*ledger.Minutes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return nil, s.failing
	}
	if s.recorded[of] == nil {
		s.state(of)
	}
	return &ledger.Minutes{Bureau: of, French: s.recorded[of].French, Dutch: s.recorded[of].Dutch}, nil
}

func (s *stage) RecordCommune(_ context.Context, seen int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.recorded[0]; r != nil && r.Times != seen || r == nil && seen != 0 {
		return false, nil
	}
	s.state(0)
	return true, nil
}

// state states minutes; mu is held.
func (s *stage) state(of ledger.BureauNumber) {
	r := daybook.Stated{By: 1, Time: pollDay + 9*3600_000, Times: 1, French: ledger.Hash{1}, Dutch: ledger.Hash{2}}
	if was := s.recorded[of]; was != nil {
		r.Times = was.Times + 1
	}
	s.recorded[of] = &r
}

// stagePaper is a document of one line, with a text that would run.
func stagePaper(title string, lang minutes.Language) *minutes.Document {
	return &minutes.Document{Language: lang, Title: title, Subtitle: script, Made: pollDay, Foot: "foot", Blocks: []minutes.Block{minutes.Text{Text: script}}}
}

func (s *stage) Minutes(_ context.Context, of ledger.BureauNumber, lang minutes.Language) (*minutes.Document, error) {
	return stagePaper(fmt.Sprint("minutes of ", of), lang), nil
}

func (s *stage) PaperList(_ context.Context, lang minutes.Language) (*minutes.Document, error) {
	return stagePaper("paper list", lang), nil
}

func (s *stage) AbsentElectors(_ context.Context, lang minutes.Language) (*minutes.Document, error) {
	return stagePaper("absent electors", lang), nil
}

func (s *stage) AbsentMembers(_ context.Context, lang minutes.Language) (*minutes.Document, error) {
	return stagePaper("absent members", lang), nil
}

// evenings are the states of a day that the page leads through, each with what makes it.
var evenings = []struct {
	name string
	make func(*stage)
}{
	{"open", func(*stage) {}},
	{"counted", func(s *stage) {
		s.tallies = append(s.tallies, daybook.Tally{Time: pollDay + 8*3600_000, CheckedIn: 63, Issued: 63, Scanned: 62, GapScanned: -1})
	}},
	{"gap", func(s *stage) {
		s.tallies = append(s.tallies, daybook.Tally{Time: pollDay + 8*3600_000, CheckedIn: 63, Issued: 75, Scanned: 75, GapIssued: 12, Alert: true})
	}},
	{"closed-gap", func(s *stage) { s.closed = true }},
	{"recorded", func(s *stage) { s.state(1) }},
	{"commune", func(s *stage) { s.state(0) }},
}

// TestTheEveningLeadsFromCountToPaper keeps what the page says at each step.
func TestTheEveningLeadsFromCountToPaper(t *testing.T) {
	for _, lang := range []language{french, dutch} {
		t.Run(string(lang), func(t *testing.T) {
			s := newStage()
			g := visiting(t, s, lang)
			for _, e := range evenings {
				s.mu.Lock()
				e.make(s)
				s.mu.Unlock()
				golden(t, "evening-"+e.name+"."+string(lang), g.see("/evening"))
				if !s.closed {
					golden(t, "closing-"+e.name+"."+string(lang), g.see("/closing"))
				}
			}
		})
	}
}

// TestMinutesAreRecordedAtTheClosingWhereTheBallotsAgree: with a gap, or without a count, the president says so first.
func TestMinutesAreRecordedAtTheClosingWhereTheBallotsAgree(t *testing.T) {
	sure := url.Values{"queue": {"empty"}, "sure": {"yes"}}
	agree := daybook.Tally{Time: pollDay, CheckedIn: 63, Issued: 63, Scanned: 63}
	for name, x := range map[string]struct {
		tally *daybook.Tally
		fail  bool
		at    bool
		says  string
	}{
		"agreed":     {&agree, false, true, "evening.recorded"},
		"no count":   {nil, false, false, "evening.record-now"},
		"old count":  {&daybook.Tally{Time: pollDay, CheckedIn: 60, Issued: 60, Scanned: 60}, false, false, "evening.anyway"},
		"gap":        {&daybook.Tally{Time: pollDay, CheckedIn: 63, Issued: 80, Scanned: 80, Alert: true}, false, false, "evening.anyway"},
		"disk fault": {&agree, true, false, "evening.not-recorded"},
	} {
		s := newStage()
		if x.tally != nil {
			s.tallies = []daybook.Tally{*x.tally}
		}
		if x.fail {
			s.failing = context.DeadlineExceeded
		}
		g := visiting(t, s, french)
		g.see("/closing")
		code, body := g.post("/closing/do", sure)
		if code != http.StatusOK || !strings.Contains(html.UnescapeString(body), french.say(x.says)) || !s.closed || (s.recorded[1] != nil) != x.at {
			t.Errorf("%s: %d, closed %v, recorded %v: %.900s", name, code, s.closed, s.recorded[1], body)
		}
		s.failing = nil
		if _, body = g.post("/evening/record", url.Values{}); !x.at && x.tally != &agree && (s.recorded[1] != nil || !strings.Contains(html.UnescapeString(body), french.say("evening.count-first"))) {
			t.Errorf("%s: recorded without saying so: %v", name, s.recorded[1])
		}
		for range 3 { // a press, another, and the browser's history
			g.post("/evening/record", url.Values{"anyway": {"yes"}})
		}
		if s.recorded[1] == nil || s.recorded[1].Times != 1 {
			t.Errorf("%s: recorded %+v", name, s.recorded[1])
		}
		if code, body = g.post("/closing/do", sure); code != http.StatusOK || s.closings != 1 {
			t.Errorf("%s: closed %d times: %.300s", name, s.closings, body)
		}
	}
}

func TestASecondPressRecordsTheCommuneOnce(t *testing.T) {
	s := newStage()
	g := visiting(t, s, dutch)
	g.see("/evening")
	for i, want := range []string{"evening.commune-recorded", "evening.commune-was", "evening.commune-was"} {
		g.later(time.Minute)
		if _, body := g.post("/evening/commune", url.Values{"seen": {"0"}}); !strings.Contains(html.UnescapeString(body), dutch.say(want)) || s.recorded[0].Times != 1 {
			t.Errorf("press %d: %+v", i, s.recorded[0])
		}
	}
	if g.post("/evening/commune", url.Values{"seen": {"1"}}); s.recorded[0].Times != 2 {
		t.Errorf("once more: %+v", s.recorded[0])
	}
	for _, bad := range []string{"", "x", "-1", "99999999999"} {
		if code, _ := g.post("/evening/commune", url.Values{"seen": {bad}}); code != http.StatusBadRequest || s.recorded[0].Times != 2 {
			t.Errorf("seen %q: %d", bad, code)
		}
	}
	if code, body := g.post("/evening/record", url.Values{"anyway": {"yes"}}); code != http.StatusOK || s.recorded[1] != nil || !strings.Contains(html.UnescapeString(body), dutch.say("evening.close-first")) {
		t.Errorf("an open bureau's minutes: %d %v", code, s.recorded[1])
	}
}

// TestPapersGoOnlyToWhomTheyAreFor asks for every paper at each kind of bureau, signed in and not.
func TestPapersGoOnlyToWhomTheyAreFor(t *testing.T) {
	const paper = "/evening/paper?what=%s&of=%d&lang=%s&as=%s"
	principal, plain := newStage(), newStage()
	plain.principal = false
	for _, x := range []struct {
		what        string
		of          int
		first, here int
	}{
		{"minutes", 1, 200, 403},
		{"minutes", 0, 200, 403},
		{"minutes", 3, 200, 200},
		{"paper-list", 0, 200, 200},
		{"absent-members", 0, 200, 403},
		{"absent-electors", 0, 200, 403},
		{"register", 0, 400, 400},
		{"", 0, 400, 400},
	} {
		for s, want := range map[*stage]int{principal: x.first, plain: x.here} {
			g := visiting(t, s, french)
			for _, lang := range []string{"fr", "nl"} {
				for _, form := range []string{"pdf", "html"} {
					code, body := g.do(http.MethodGet, fmt.Sprintf(paper, x.what, x.of, lang, form), nil)
					if code != want {
						t.Errorf("%s of %d at bureau %d: %d, want %d", x.what, x.of, s.Facts().Bureau, code, want)
					}
					if code == 200 && (form == "pdf" && !strings.HasPrefix(body, "%PDF-") || form == "html" && (!strings.Contains(body, "&lt;script&gt;") || strings.Contains(body, "<script>"))) {
						t.Errorf("%s as %s: %.200q", x.what, form, body)
					}
				}
			}
			if code, body := (&guest{t: t, base: g.base, http: &http.Client{}}).do(http.MethodGet, fmt.Sprintf(paper, x.what, x.of, "fr", "html"), nil); strings.Contains(body, "minutes of") || strings.Contains(body, "absent") && strings.Contains(body, "foot") || code == 500 {
				t.Errorf("%s for who is not signed in: %d %.200s", x.what, code, body)
			}
		}
	}
	g := visiting(t, principal, french)
	for _, bad := range []string{"what=minutes&of=1&lang=en&as=pdf", "what=minutes&of=x&lang=fr&as=pdf", "what=minutes&of=70000&lang=fr&as=pdf", "what=minutes&of=1&lang=fr&as=exe", ""} {
		if code, _ := g.do(http.MethodGet, "/evening/paper?"+bad, nil); code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, code)
		}
	}
}
