package web

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node/daybook"
)

// crowded is the principal bureau of a commune as large as there is, at the end of a day on which all wrote much.
type crowded struct {
	*stage
	bureaux int
}

func (s *crowded) Place(b ledger.BureauNumber) string {
	return fmt.Sprintf("École communale n° %d « Les Tilleuls », rue de la Limite", b)
}

func (s *crowded) loads() (out []daybook.Load) {
	tally := daybook.Tally{Time: pollDay, CheckedIn: 880, Issued: 892, Scanned: 892, GapIssued: 12, Alert: true}
	for i := range s.bureaux {
		b := ledger.BureauNumber(i + 1)
		out = append(out, daybook.Load{
			Bureau: b, Place: s.Place(b), Principal: b == 1, Here: b == 1, State: daybook.Silent, Electors: 900, CheckIns: 880, Proxies: 40, LastQuarter: 35, Best: 60,
			Waiting: 120, CountedAt: pollDay, WaitMinutes: 45, Heard: pollDay, Tally: &tally,
		})
	}
	return out
}

func (s *crowded) Flow(context.Context) (daybook.Flow, error) {
	f := daybook.Flow{Now: pollDay + 9*3600_000, Bureaux: s.loads()}
	for len(f.Quarters) < 40 {
		f.Quarters = append(f.Quarters, stageQuarters()...)
	}
	return f, nil
}

func (s *crowded) Counts(ctx context.Context) (daybook.Counts, error) {
	c, err := s.stage.Counts(ctx)
	for len(c.Look) < 40 {
		c.Look = append(c.Look, stageQuarters()...)
	}
	return c, err
}

func (s *crowded) Dashboard(ctx context.Context) (daybook.Dashboard, daybook.Refusal, error) {
	d, why, err := s.stage.Dashboard(ctx)
	d.Bureaux, d.Keys = s.loads(), nil
	for i := range 2 * s.bureaux {
		d.Keys = append(d.Keys, daybook.Key{Bureau: ledger.BureauNumber(i/2 + 1), Key: i%2 + 1, Step: daybook.AtPrincipal, At: pollDay + 9*3600_000})
	}
	return d, why, err
}

func (s *crowded) Evening(context.Context) (daybook.Evening, error) {
	out := daybook.Evening{CheckedIn: 63}
	for _, b := range s.loads()[1:] {
		out.Others = append(out.Others, daybook.Paper{Bureau: b.Bureau, Place: b.Place})
	}
	return out, nil
}

func (s *crowded) Contested(context.Context) (out []Contested, err error) {
	row := scriptedRow
	for i := range 300 {
		said := fmt.Sprintf("contest %03d ", i) + strings.Repeat(`"`, maxWhy-12)
		out = append(out, Contested{Elector: people[1], From: 1, At: 1, When: time.UnixMilli(int64(pollDay)), Attester: 2, Text: said, Row: &row})
	}
	return out, nil
}

func (s *crowded) Rows(most int) (out []Row, err error) {
	for range min(most, 2000) {
		out = append(out, scriptedRow)
	}
	return out, nil
}

func (s *crowded) Search(_ string, most int) (out []Elector, total int) {
	for range most {
		out = append(out, people[1])
	}
	return out, 900
}

// TestNoPageIsLongerThanSixtyKilobytes looks at every page of the largest commune: what doesn't fit is on the next part of
// its list, and nothing is on none.
func TestNoPageIsLongerThanSixtyKilobytes(t *testing.T) {
	s := &crowded{stage: newStage(), bureaux: 120}
	for i := range 500 {
		s.messages = append(s.messages, daybook.Message{From: 3, To: 1, Time: pollDay, Text: fmt.Sprintf("message %03d ", i) + strings.Repeat(`"`, maxMessage-12)})
	}
	for range 1024 {
		s.tallies = append(s.tallies, daybook.Tally{Time: pollDay, CheckedIn: 1063, Issued: 1075, Scanned: 1075, GapIssued: 12, Alert: true})
	}
	for i := range 24 {
		s.members = append(s.members, daybook.Member{Number: uint16(100 + i), Function: "substitute", Surname: "Vandenbroucke-de la Fontaine", FirstNames: "Maximilienne Wilhelmina", Presence: ledger.Active})
	}
	for _, lang := range languages {
		g := visitingAt(t, s, lang)
		longest, of := 0, ""
		fits := func(name, body string) {
			if len(body) > longest {
				longest, of = len(body), name
			}
			if len(body) > maxPage {
				t.Errorf("%s in %s: %d bytes, at most %d", name, lang, len(body), maxPage)
			}
		}
		for _, p := range pages {
			fits(p.name, g.see("/"+p.name))
		}
		_, found := g.post("/check-in/search", url.Values{"query": {"Vermeulen"}})
		fits("search", found)
		for _, x := range []struct {
			path, each string
			all        int
		}{{"/messages", `message (\d{3})`, 500}, {"/correct", `contest (\d{3})`, 300}, {"/counts", `1063</td>(<td>1075)`, 0}, {"/dashboard", `id="(key-\d+-\d)"`, 240}} {
			seen, parts := walk(t, g, x.path, regexp.MustCompile(x.each), fits)
			if len(seen) < x.all || parts < 2 {
				t.Errorf("%s in %s: %d parts show %d of %d", x.path, lang, parts, len(seen), x.all)
			}
		}
		t.Logf("%s, %d bureaux: the longest page is %s with %d bytes", lang, s.bureaux, of, longest)
	}
}

// walk follows the parts of a page's list to the end.
func walk(t *testing.T, g *guest, path string, each *regexp.Regexp, look func(name, body string)) (seen map[string]bool, parts int) {
	t.Helper()
	seen = map[string]bool{}
	next := regexp.MustCompile(`href="(/[a-z]+\?(?:from|keys)=[0-9]+)[#"]`)
	todo, done := []string{path}, map[string]bool{}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if done[at] {
			continue
		}
		done[at] = true
		body := g.see(at)
		look(at, body)
		parts++
		for _, m := range each.FindAllStringSubmatch(body, -1) {
			seen[html.UnescapeString(m[1])] = true
		}
		for _, m := range next.FindAllStringSubmatch(body, -1) {
			todo = append(todo, m[1])
		}
	}
	return seen, parts
}

// TestAKeyIsRecordedWhereItIsListed: the page comes back to the row, in its part of the list.
func TestAKeyIsRecordedWhereItIsListed(t *testing.T) {
	s := &crowded{stage: newStage(), bureaux: 120}
	g := visitingAt(t, s, dutch)
	body := g.see("/dashboard?keys=80")
	if !strings.Contains(body, `value="57-2-4"`) || strings.Contains(body, `value="40-2-4"`) || strings.Contains(body, `value="61-1-4"`) {
		t.Error("the part of the list that was asked for is another one")
	}
	if _, body = g.post("/dashboard/custody", url.Values{"keys": {"80"}, "hand": {"57-2-5"}}); !strings.Contains(body, `id="key-57-2"`) {
		t.Error("the row is not on the page that comes back")
	}
	if len(s.handings) != 1 || s.handings[0] != (daybook.Handing{Bureau: 57, Key: 2, Step: daybook.AtCollege, To: 1}) {
		t.Errorf("recorded: %+v", s.handings)
	}
	for _, bad := range []string{"", "57", "57-2", "57-2-x", "99999999-1-4"} {
		if g.post("/dashboard/custody", url.Values{"keys": {"x"}, "hand": {bad}}); len(s.handings) != 1 {
			t.Errorf("%q is recorded: %+v", bad, s.handings)
		}
	}
}
