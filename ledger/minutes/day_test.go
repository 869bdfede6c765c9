package minutes

import (
	"errors"
	"fmt"
	"testing"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/ledgertest"
	"pointage/ledger/plaintext"
)

// collected reads a day's entries, those of earlier epochs too.
func collected(tb testing.TB, d *ledgertest.Day) *Collector {
	tb.Helper()
	c, err := NewCollector(d.Manifest, d.Group)
	if err != nil {
		tb.Fatal(err)
	}
	for epoch := range d.Epoch {
		read(c, epoch, d.EarlierEntries(epoch))
	}
	read(c, d.Epoch, d.Entries)
	return c
}

func read(c *Collector, epoch uint8, entries []ledger.PlacedEntry) {
	for i, e := range entries {
		c.Entry(ledger.Reference(epoch, uint64(i)), e.Entry, e.Batch)
	}
}

func minutesOf(tb testing.TB, c *Collector, n ledger.BureauNumber, names *Names) *Minutes {
	tb.Helper()
	m, err := c.Minutes(n, names)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// national is a national number that nobody has.
func national(tb testing.TB, serial int) ledger.NationalNumber {
	tb.Helper()
	first := 800101000 + serial
	n, err := ledger.ParseNationalNumber(fmt.Sprintf("%09d%02d", first, 97-first%97))
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// names are those of five convened members of bureaux 1 and 2, one of them very long, and a replacement's.
func names(tb testing.TB) *Names {
	tb.Helper()
	persons := map[ledger.NationalNumber]string{
		national(tb, 1): "Peeters Anne-Marie Éléonore", national(tb, 2): "Janssens Ĳsbrand",
		national(tb, 3): "van den Bossche-de la Fontaine-Vandenbroucke-Saint-Georges d'Hoogstraten Maximilienne Wilhelmina Charlotte Françoise-Xavière",
		national(tb, 4): "Dupont <script>alert(1)</script>", national(tb, 5): "Özgür Ĉiril", national(tb, 6): "Lemaire Zoë",
	}
	return &Names{
		Convened: []Convened{
			{1, 1, 1, national(tb, 1)}, {2, 1, 3, national(tb, 2)}, {3, 2, 1, national(tb, 3)}, {4, 2, 4, national(tb, 4)}, {5, 2, 5, national(tb, 5)},
		},
		Name: func(n ledger.NationalNumber) string { return persons[n] },
		Open: func(sealed []byte) ([]byte, error) {
			if len(sealed) == 0 || sealed[0] != 's' {
				return nil, errors.New("sealed for somebody else")
			}
			return sealed[1:], nil
		},
	}
}

// fullDay is a day of three bureaux on which nearly everything happens that minutes tell of.
func fullDay(tb testing.TB, kind election.Kind) *ledgertest.Day {
	tb.Helper()
	d := ledgertest.NewDay(tb, 3, 24, func(m *election.Manifest) {
		m.Kind, m.Policy = kind, election.ProvisionalAdmit
		m.Communes[0].Bureaux[1].Place = "École communale néerlandophone « De Kleine Prins », rue de la Limite 12, entrée par la cour, premier étage à gauche"
	})
	one, two, three := d.Started(1), d.Started(2), d.Started(3)
	for i, c := range []*ledgertest.Chain{one, two, three} {
		c.Put(&ledger.BureauOpened{Register: d.Manifest.Communes[0].Register, Program: ledger.Hash{byte(i + 1)}})
	}
	one.Put(&ledger.Attendance{Member: 1, Presence: ledger.Active}, &ledger.Attendance{Member: 2, Presence: ledger.NotRetained})
	number, _ := plaintext.ReplacementNumber(2, 0)
	replaced := plaintext.Replacement{Bureau: 2, Number: number, For: 5, Function: 4, NationalNumber: national(tb, 6)}
	two.Put(&ledger.Attendance{Member: 3, Presence: ledger.Active}, &ledger.Attendance{Member: 4, Presence: ledger.Absent},
		&ledger.Incident{Code: plaintext.IncidentReplacement, Sealed: append([]byte("s"), replaced.Encode()...)},
		&ledger.Attendance{Member: number, Presence: ledger.Active}, &ledger.Attendance{Member: 5, Presence: ledger.Active}, &ledger.Attendance{Member: 5, Presence: ledger.Absent})
	one.Put(ledgertest.Admission(0), ledgertest.Admission(3), &ledger.Count{CheckedIn: 2, Issued: 2, Scanned: 1})
	away(d, one, two, 6)
	two.Put(ledgertest.Admission(1), &ledger.ProxyAdmission{
		Holder: ledgertest.Elector(1), Principal: ledgertest.Elector(4), Form: []byte("F-17"), Reason: 7, Evidence: 1, Means: ledger.ByConvocationNumber, Attester: 3,
	})
	one.Put(&ledger.AttemptRefused{Elector: ledgertest.Elector(0), Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Attester: 1},
		&ledger.AttemptRefused{Elector: ledgertest.Elector(3), Refusal: ledger.AlreadyAdmitted, Means: ledger.ByCard, Attester: 1})
	three.Put(&ledger.AttemptRefused{Elector: ledgertest.Elector(2), Refusal: ledger.NotOnTheRoll, Means: ledger.ByName, Attester: 9})
	wrong := two.At.Next
	two.Put(ledgertest.Admission(7))
	two.Put(&ledger.Annulment{Record: ledger.StatementID{Session: two.Author.Session, Sequence: wrong}, Rights: ledger.Touches(ledgertest.Admission(7)), Reason: 2, Attesters: [2]uint16{3, number}})
	one.Put(d.Anchor(), d.Amend(ledger.Amendment{Number: 1, Act: ledger.Relabel, Bureau: 3, Place: []byte("Gemeentehuis, Sterrenkundelaan 13")}))
	taken := one.At.Next
	one.Put(ledgertest.Admission(9), &ledger.Void{Sequence: taken, Rights: ledger.Touches(ledgertest.Admission(9)), Reason: 1})
	// Elector 12 of bureau 1 is admitted at bureau 3 without the right, and at home: twice. Elector 13 once.
	three.Put(&ledger.Provisional{Elector: ledgertest.Elector(12), Reason: 4, Means: ledger.ByNationalNumber, Attester: 9},
		&ledger.Provisional{Elector: ledgertest.Elector(13), Reason: 4, Means: ledger.ByNationalNumber, Attester: 9})
	one.Put(ledgertest.Admission(12))
	clone := *three
	three.Put(ledgertest.Admission(2))
	d.Place(clone.Sign(ledgertest.Admission(5)))
	two.Put(&ledger.Count{CheckedIn: 3, Issued: 15, Scanned: 14}, &ledger.BureauClosed{CheckedIn: 4})
	two.Put(&ledger.Incident{Code: plaintext.IncidentContested, Sealed: []byte("sealed")}, &ledger.Incident{Code: plaintext.IncidentRedirected, Sealed: []byte("sealed")})
	two.Put(unproven(2, two, wrong, 7), unproven(2, two, wrong-1, 4), unproven(2, two, wrong-2, 1), unproven(2, two, wrong-2, 1)) // annulled, by convocation number, by card, and that again
	one.Put(&ledger.Incident{Code: 77, Sealed: []byte("sealed")}, &ledger.Custody{Object: keyOf("21014-002-1"), From: 3, To: 1, Step: 4}, &ledger.BureauClosed{CheckedIn: 3})
	two.Put(&ledger.Minutes{Bureau: 2, Named: true, UpTo: 3, French: ledger.Hash{0xf}, Dutch: ledger.Hash{0xd}})
	return d
}

// unproven says of an elector's check-in that the card's chip proved nothing.
func unproven(by ledger.BureauNumber, c *ledgertest.Chain, sequence uint64, elector int) *ledger.Incident {
	said := plaintext.ChipNotProven{Bureau: by, Record: ledger.StatementID{Session: c.Author.Session, Sequence: sequence}, Elector: ledgertest.Elector(elector)}
	return &ledger.Incident{Code: plaintext.IncidentChipNotProven, Sealed: said.Encode()}
}

// away has an elector of one bureau admitted at another.
func away(d *ledgertest.Day, home, at *ledgertest.Chain, elector int) {
	right := ledger.Right{Elector: ledgertest.Elector(elector), Kind: ledger.Admit}
	rel := home.Sign(&ledger.Release{Right: right, To: at.Author.Bureau})
	d.Place(rel)
	x, err := rel.Extract(0).Encode()
	if err != nil {
		panic(err)
	}
	at.Put(&ledger.Hold{Right: right, Release: x}, ledgertest.Admission(elector))
}
