package web

import (
	"context"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// scripted is a stage whose one elector has a script for a name, and is everywhere.
type scripted struct {
	*stage
	refused bool
}

var scriptedRow = Row{
	Record: ledger.StatementID{Sequence: 7}, Kind: CheckedIn, Elector: people[1], Holder: people[1], At: time.UnixMilli(int64(pollDay)), Means: ledger.ByCard, Attester: 2,
}

func (s *scripted) CheckIn(context.Context, Desk) (Answer, error) {
	a := Answer{Receipt: pollbook.Receipt{Recorded: true, Record: scriptedRow.Record}}
	if s.refused {
		a = Answer{Receipt: pollbook.Receipt{Refusal: ledger.AlreadyAdmitted, At: 3}, Earlier: Use{When: time.UnixMilli(int64(pollDay)), Attester: 2, Means: ledger.ByCard, Entry: "entry 9"}}
	}
	return a, nil
}

func (s *scripted) Rows(int) ([]Row, error)             { return []Row{scriptedRow}, nil }
func (s *scripted) Search(string, int) ([]Elector, int) { return people[1:2], 1 }
func (s *scripted) Marked(int) (Answer, error) {
	return (&scripted{s.stage, true}).CheckIn(context.Background(), Desk{})
}

func (s *scripted) Relabel(context.Context, Relabelling) (Relabelled, error) {
	return Relabelled{Refusal: PlaceUnfit}, nil
}

func (s *scripted) Contested(context.Context) ([]Contested, error) {
	return []Contested{{Elector: people[1], From: 1, At: 3, When: time.UnixMilli(int64(pollDay)), Attester: 2, Text: script}}, nil
}

// TestAScriptInANameIsOnlyEverText has a script as an elector's name, a member's, a place and a remark, on every screen that shows one:
// it is drawn as text.
func TestAScriptInANameIsOnlyEverText(t *testing.T) {
	cards := make(chan Card)
	s := &scripted{stage: newStage()}
	g := visitingWith(t, Config{Bureau: s, Cards: cards}, french)
	cards <- Card{Number: ledger.NationalNumber{}, Surname: "Vermeulen", FirstNames: script}
	sent := url.Values{"number": {nationalNumbers[1]}}
	for what, ask := range map[string]func() string{
		"admitted": func() string { s.refused = false; _, b := g.post("/check-in/do", sent); return b },
		"refused": func() string {
			s.refused = true
			g.later(time.Minute)
			_, b := g.post("/check-in/do", sent)
			return b
		},
		"rows and card": func() string { return g.see("/check-in") },
		"search":        func() string { _, b := g.post("/check-in/search", url.Values{"query": {script}}); return b },
		"correct":       func() string { return g.see("/correct?row=" + rowKey(scriptedRow.Record)) },
		"correct, all":  func() string { return g.see("/correct") },
		"contest":       func() string { _, b := g.post("/contest/ask", url.Values{"elector": {"1"}, "at": {"3"}}); return b },
		"contest, long": func() string {
			_, b := g.post("/contest/do", url.Values{"elector": {"1"}, "at": {"3"}, "text": {script + strings.Repeat("x", 600)}})
			return b
		},
		"proxies": func() string {
			_, b := g.post("/proxies/principal", url.Values{"holder": {"0"}, "means": {"3"}, "number": {nationalNumbers[1]}})
			return b
		},
		"relabel": func() string { return g.see("/relabel") },
		"relabel, typed": func() string {
			_, b := g.post("/relabel/do", url.Values{"bureau": {"1"}, "place": {script}, "signer-1": {"1"}, "signer-2": {"2"}})
			return b
		},
	} {
		body := ask()
		if strings.Contains(body, "<script>alert") {
			t.Errorf("%s: it would run: %.200s", what, body)
		}
		if !strings.Contains(html.UnescapeString(body), script) {
			t.Errorf("%s: it is not shown at all", what)
		}
	}
}
