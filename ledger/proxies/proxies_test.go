package proxies

import (
	"slices"
	"strings"
	"testing"
)

const electionDay Date = "2024-10-13"

func good() Paper {
	return Paper{
		Form: "21014/0017", Reason: StayAbroad, Evidence: Mayor, PrincipalSigned: true, HolderSigned: true,
		PrincipalNumber: true, HolderNumber: true, MayorOn: "2024-10-12",
	}
}

func TestEachRuleRefusesWhatBreaksIt(t *testing.T) {
	if broken := Check(good(), electionDay); broken != nil {
		t.Fatalf("a paper in order breaks %v", broken)
	}
	seen := map[Rule]bool{}
	for _, x := range []struct {
		name   string
		change func(*Paper)
		want   []Rule
	}{
		{"no number", func(p *Paper) { p.Form = "" }, []Rule{FormNumber}},
		{"number too long", func(p *Paper) { p.Form = strings.Repeat("1", 33) }, []Rule{FormNumber}},
		{"number with an accent", func(p *Paper) { p.Form = "nº 5" }, []Rule{FormNumber}},
		{"no reason", func(p *Paper) { p.Reason = 0 }, []Rule{KnownReason}},
		{"unknown reason", func(p *Paper) { p.Reason = 9 }, []Rule{KnownReason}},
		{"no evidence", func(p *Paper) { p.Evidence = 0 }, []Rule{EvidenceAttached}},
		{"a physician's certificate for a journey", func(p *Paper) { p.Evidence = Medical }, []Rule{EvidenceFits}},
		{"unknown evidence", func(p *Paper) { p.Evidence = 200 }, []Rule{EvidenceFits}},
		{"principal has not signed", func(p *Paper) { p.PrincipalSigned = false }, []Rule{PrincipalSigns}},
		{"holder has not signed", func(p *Paper) { p.HolderSigned = false }, []Rule{HolderSigns}},
		{"principal's number missing", func(p *Paper) { p.PrincipalNumber = false }, []Rule{PrincipalNamed}},
		{"holder's number missing", func(p *Paper) { p.HolderNumber = false }, []Rule{HolderNamed}},
		{"mayor has not signed", func(p *Paper) { p.MayorOn = "" }, []Rule{MayorSigns}},
		{"mayor signed on election day", func(p *Paper) { p.MayorOn = electionDay }, []Rule{MayorInTime}},
		{"mayor signed after it", func(p *Paper) { p.MayorOn = "2024-11-01" }, []Rule{MayorInTime}},
		{"a late signature counts where none is needed", func(p *Paper) { p.Reason, p.Evidence, p.MayorOn = Illness, Medical, electionDay }, []Rule{MayorInTime}},
		{"one person", func(p *Paper) { p.SamePerson = true }, []Rule{TwoPersons}},
		{"all at once", func(p *Paper) { *p = Paper{SamePerson: true} }, []Rule{
			FormNumber, KnownReason, EvidenceAttached, PrincipalSigns, HolderSigns, PrincipalNamed, HolderNamed, TwoPersons,
		}},
	} {
		p := good()
		x.change(&p)
		if broken := Check(p, electionDay); !slices.Equal(broken, x.want) {
			t.Errorf("%s: breaks %v, want %v", x.name, broken, x.want)
		}
		for _, r := range x.want {
			seen[r] = true
		}
	}
	for _, r := range Rules() {
		if !seen[r] || strings.HasPrefix(r.String(), "rule ") {
			t.Errorf("rule %d (%v) is not shown", r, r)
		}
	}
}

func TestEachReasonIsProvedByItsOwnEvidence(t *testing.T) {
	for _, r := range Reasons() {
		if len(r.Fits()) == 0 {
			t.Errorf("nothing proves reason %d", r)
		}
		for e := Medical; e <= School; e++ {
			p := good()
			p.Reason, p.Evidence = r, e
			if got, want := Check(p, electionDay) == nil, slices.Contains(r.Fits(), e); got != want {
				t.Errorf("reason %d with evidence %d: taken %v, want %v", r, e, got, want)
			}
		}
	}
	if p := (Paper{Reason: 77}); len(p.Reason.Fits()) != 0 {
		t.Error("an unknown reason is proved by something")
	}
}

func TestMayorSignsTheDayBeforeAtTheLatest(t *testing.T) {
	for day, ok := range map[Date]bool{"2024-10-12": true, "2024-09-30": true, "2023-12-31": true, "2024-10-13": false, "2024-10-14": false, "2025-01-01": false} {
		p := good()
		p.MayorOn = day
		if got := Check(p, electionDay) == nil; got != ok {
			t.Errorf("signed on %s: taken %v, want %v", day, got, ok)
		}
	}
}

func TestOnlyDaysOfTheCalendarAreDates(t *testing.T) {
	if d, err := ParseDate("2024-02-29"); err != nil || d != "2024-02-29" {
		t.Errorf("%q, %v", d, err)
	}
	for _, bad := range []string{"", "2023-02-29", "12/10/2024", "2024-10-1", "2024-13-01", "2024-10-12T00:00:00Z", " 2024-10-12", strings.Repeat("2", 10_000)} {
		if d, err := ParseDate(bad); err == nil {
			t.Errorf("%.20q is taken for %q", bad, d)
		}
	}
}

func TestShareOfProxiesAlertsAtTwiceTheUsual(t *testing.T) {
	for _, x := range []struct {
		s     Share
		mille int
		alert bool
	}{
		{Share{}, 0, false},
		{Share{1, 10}, 100, false},
		{Share{4, 100}, 40, false},
		{Share{5, 166}, 30, true},
		{Share{5, 200}, 25, false},
		{Share{656, 10_298}, 63, true},
		{Share{13, 885}, 14, false},
	} {
		if x.s.PerMille() != x.mille || x.s.Alert() != x.alert {
			t.Errorf("%+v: %d per mille, alert %v; want %d, %v", x.s, x.s.PerMille(), x.s.Alert(), x.mille, x.alert)
		}
	}
}
