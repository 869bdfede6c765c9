package minutes

import (
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/plaintext"
)

// cards are the figures by card whose chip was proven, and was not, of a bureau.
func cards(t *testing.T, d *ledgertest.Day, n ledger.BureauNumber) (proven, not int) {
	f := minutesOf(t, collected(t, d), n, nil).Total
	return f.ByMeans[ledger.ByCard] - f.Unproven, f.Unproven
}

func TestACardWhoseChipProvedNothingIsCountedApart(t *testing.T) {
	d := ledgertest.NewDay(t, 2, 8, nil)
	one, two := d.Started(1), d.Started(2)
	first := one.At.Next
	one.Put(ledgertest.Admission(0), ledgertest.Admission(2), &ledger.Admission{Elector: ledgertest.Elector(4), Means: ledger.ByNationalNumber, Attester: 1})
	two.Put(ledgertest.Admission(1))
	one.Put(unproven(1, one, first, 0))
	one.Put(unproven(1, one, first, 0)) // said again
	if m := minutesOf(t, collected(t, d), 1, nil); m.Total.Unproven != 1 || m.Total.ByMeans[ledger.ByCard] != 2 || len(m.Incidents.Rows) != 0 {
		t.Fatalf("%d not proven of %d, %d incidents; want 1 of 2 and none", m.Total.Unproven, m.Total.ByMeans[ledger.ByCard], len(m.Incidents.Rows))
	}
	wrong := 0
	late := unproven(1, one, first+1, 2)
	for what, x := range map[string]ledger.Body{
		"of an admission by number":       unproven(1, one, first+2, 4),
		"of nobody's admission":           unproven(1, one, first+1, 0),
		"of another bureau's admission":   unproven(1, two, first, 1),
		"that names another bureau":       unproven(2, one, first+1, 2),
		"with a byte too many":            &ledger.Incident{Code: plaintext.IncidentChipNotProven, Sealed: append(late.Sealed[:len(late.Sealed):len(late.Sealed)], 0)},
		"with nothing in it":              &ledger.Incident{Code: plaintext.IncidentChipNotProven},
		"of no bureau":                    unproven(0, one, first+1, 2),
		"beyond the last sequence number": unproven(1, one, 1<<62+1, 2),
	} {
		one.Put(x)
		wrong++
		if listed := len(minutesOf(t, collected(t, d), 1, nil).Incidents.Rows); listed != wrong {
			t.Errorf("one %s: %d incidents are listed, want %d", what, listed, wrong)
		}
		if proven, not := cards(t, d, 1); proven != 1 || not != 1 {
			t.Errorf("one %s: %d proven and %d not, want 1 and 1", what, proven, not)
		}
	}
	one.Put(&ledger.Annulment{Record: ledger.StatementID{Session: one.Author.Session, Sequence: first}, Rights: ledger.Touches(ledgertest.Admission(0)), Reason: 1, Attesters: [2]uint16{1, 2}})
	if proven, not := cards(t, d, 1); proven != 1 || not != 0 {
		t.Errorf("after the annulment %d proven and %d not, want 1 and 0", proven, not)
	}
	exact := one.Sign(late)
	exact.Statements[0].Time++
	c := collected(t, d)
	c.Own(exact, 1)
	if f := minutesOf(t, c, 1, nil).Total; f.Unproven != 0 {
		t.Errorf("one of a time that is not rounded counts: %d", f.Unproven)
	}
}

func TestContestsAndRedirectionsAreNamedInWords(t *testing.T) {
	m := minutesOf(t, collected(t, fullDay(t, election.Live)), 2, nil)
	for lang, said := range map[Language][]string{
		French: {"Un électeur conteste qu'il a déjà été pointé", "Électeur d'un autre bureau admis par la présidence"},
		Dutch:  {"Een kiezer betwist dat hij al is aangestipt", "Kiezer van een ander bureau door de voorzitter toegelaten"},
	} {
		page, err := Compose(m, lang).HTML()
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(page), "&#39;", "'")
		for _, w := range said {
			if !strings.Contains(text, w) {
				t.Errorf("%v: nothing says %q", lang, w)
			}
		}
		if strings.Contains(text, (words{lang}).t("Texte scellé", "Verzegelde tekst")) {
			t.Errorf("%v: a contest is a sealed text", lang)
		}
	}
}
