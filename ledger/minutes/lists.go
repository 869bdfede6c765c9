package minutes

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"pointage/ledger"
)

// Person is an elector as the register has it; what a list does not show may be left empty.
type Person struct {
	Surname, FirstNames string
	// NationalNumber and ConvocationNumber are printed as they are.
	NationalNumber, ConvocationNumber string
	Address                           string
}

// letters is a name as it is looked up: without marks and in small letters.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(s))
}

// byName sorts a list by its persons' names, accents and case aside.
func byName[T any](list []T, person func(*T) *Person) {
	type row struct {
		surname, firstNames string
		of                  T
	}
	rows := make([]row, len(list))
	for i := range list {
		p := person(&list[i])
		rows[i] = row{letters(p.Surname), letters(p.FirstNames), list[i]}
	}
	slices.SortFunc(rows, func(x, y row) int {
		a, b := person(&x.of), person(&y.of)
		return cmp.Or(cmp.Compare(x.surname, y.surname), cmp.Compare(x.firstNames, y.firstNames),
			cmp.Compare(a.Surname, b.Surname), cmp.Compare(a.FirstNames, b.FirstNames), cmp.Compare(a.NationalNumber, b.NationalNumber))
	})
	for i := range rows {
		list[i] = rows[i].of
	}
}

// listed is an elector on a list.
type listed struct {
	Person
	token ledger.ElectorToken
	home  ledger.BureauNumber
}

// electors are those of the roll whom a predicate takes, by name; unknown is how many the look-up does not find.
func (c *Collector) electors(keep func(ledger.RollRow) bool, look func(ledger.ElectorToken) (Person, bool)) (out []listed, unknown int) {
	for i := range c.group.Roll.Len() {
		row := c.group.Roll.At(i)
		if !keep(row) {
			continue
		}
		who, ok := look(row.Elector)
		if !ok {
			unknown++
			continue
		}
		out = append(out, listed{who, row.Elector, row.Home})
	}
	byName(out, func(l *listed) *Person { return &l.Person })
	return out, unknown
}

// asOf says which entries a list is drawn from.
func (c *Collector) asOf(d *Document, w words) {
	d.Foot = w.f("%s · %d entrées · tête %v", "%s · %d inschrijvingen · kop %v", c.group.Origin(c.epoch), c.tree.size, c.tree.last)
}

func (d *Document) unknown(n int) {
	if n > 0 {
		w := words{d.Language}
		d.Blocks = append(d.Blocks, Alert{w.f("Électeurs qui ne se trouvent pas dans le registre ouvert ici : %d. Le relevé n'est pas complet.",
			"Kiezers die niet in het hier geopende register staan: %d. De lijst is niet volledig.", n)})
	}
}

// AbsentElectors is the list of those who did not vote, as the principal bureau draws it (decree art. 11 § 2):
// surname, first names, address and national number. look finds an elector by token.
func (c *Collector) AbsentElectors(lang Language, look func(ledger.ElectorToken) (Person, bool)) *Document {
	w, d := words{lang}, c.frame.document(lang)
	c.asOf(d, w)
	d.Title = w.t("Relevé des électeurs absents", "Lijst van de afwezige kiezers")
	absent, unknown := c.electors(func(r ledger.RollRow) bool { _, in := c.CheckedIn(r.Elector); return !in }, look)
	d.Blocks = append(d.Blocks, Text{w.f("Électeurs inscrits qui n'ont pas pris part au vote : %d. Arrêté ministériel du 16 juillet 2024, article 11, § 2.",
		"Ingeschreven kiezers die niet aan de stemming hebben deelgenomen: %d. Ministerieel besluit van 16 juli 2024, artikel 11, § 2.", len(absent)+unknown)})
	d.unknown(unknown)
	t := Table{Columns: []Column{
		{w.t("N°", "Nr."), 14, true},
		{w.t("Nom", "Naam"), 40, false},
		{w.t("Prénoms", "Voornamen"), 40, false},
		{w.t("Adresse", "Adres"), 70, false},
		{w.t("Numéro national", "Rijksregister\u00adnummer"), 38, false},
		{w.t("Bureau", "Bureau"), 16, true},
	}}
	for i, e := range absent {
		t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), e.Surname, e.FirstNames, e.Address, e.NationalNumber, strconv.Itoa(int(e.home))})
	}
	d.Blocks = append(d.Blocks, t)
	return d
}

// AbsentMembers is the list of members who did not turn up, for the justice of the peace (decree art. 11 § 4).
// It is drawn from the commune's minutes.
func AbsentMembers(m *Minutes, lang Language) *Document {
	c := &composer{words{lang}, m, m.document(lang)}
	c.doc.Title = c.t("Membres des bureaux de vote qui ne se sont pas présentés", "Leden van de stembureaus die zich niet hebben aangeboden")
	c.doc.Foot = c.f("%s · %d entrées · tête %v", "%s · %d inschrijvingen · kop %v", m.Ledger.Origin, m.Ledger.Size, m.Ledger.Head)
	c.add(Text{c.t("À transmettre au juge de paix du canton au plus tard le lendemain de l'élection. Arrêté ministériel du 16 juillet 2024, article 11, § 4.",
		"Uiterlijk de dag na de verkiezing over te maken aan de vrederechter van het kanton. Ministerieel besluit van 16 juli 2024, artikel 11, § 4.")})
	c.absent(c.t("Absents", "Afwezigen"), ledger.Absent)
	c.absent(c.t("Convoqués dont la présence n'a pas été enregistrée", "Opgeroepenen van wie de aanwezigheid niet werd geregistreerd"), 0)
	c.more(m.Members.More)
	c.sign([]string{c.t("Le président ou la présidente du bureau principal", "De voorzitter van het hoofdbureau"), c.t("Le ou la secrétaire", "De secretaris")})
	return c.doc
}

func (c *composer) absent(title string, p ledger.Presence) {
	t := Table{Columns: []Column{{c.t("Bureau", "Bureau"), 16, true}, {c.t("N°", "Nr."), 14, true}, {c.t("Fonction", "Functie"), 44, false}, {c.t("Nom et prénoms", "Naam en voornamen"), 90, false}}}
	for _, x := range c.m.Members.Rows {
		if x.Presence == p {
			t.Rows = append(t.Rows, []string{strconv.Itoa(int(x.Bureau)), strconv.Itoa(int(x.Number)), c.function(x), orDash(x.Name)})
		}
	}
	c.add(Heading{title})
	if len(t.Rows) == 0 {
		c.none()
		return
	}
	c.add(t)
}

// Listed is a row of the paper list.
type Listed struct {
	Person
	// In is the check-in that stands, nil for none.
	In *CheckIn
}

// Fallback is the paper list of a bureau's electors, to go on with when no machine does: printed before the opening, and
// through the day with who has been checked in so far, as known at the instant made. foot says what it is drawn from.
func Fallback(f *Frame, lang Language, b ledger.BureauNumber, made ledger.Instant, foot string, electors []Listed) *Document {
	w, d := words{lang}, f.document(lang)
	d.Made, d.Foot = made, foot
	d.Title = w.f("Liste de pointage de secours du bureau n° %d", "Noodlijst voor de aanstipping van bureau nr. %d", b)
	electors = slices.Clone(electors)
	byName(electors, func(l *Listed) *Person { return &l.Person })
	t := Table{Boxes: true, Columns: []Column{
		{w.t("Voté", "Gestemd"), 21, false},
		{w.t("Nom et prénoms", "Naam en voornamen"), 80, false},
		{w.t("Numéro national", "Rijksregister\u00adnummer"), 38, false},
		{w.t("Convocation", "Oproeping"), 28, false},
		{w.t("Pointage", "Aanstipping"), 60, false},
	}}
	in := 0
	for _, e := range electors {
		mark, said := "", ""
		if e.In != nil {
			mark, said = w.t("voté", "gestemd"), w.checkIn(b, e.In)
			in++
		}
		t.Rows = append(t.Rows, []string{mark, strings.TrimSpace(e.Surname + " " + e.FirstNames), e.NationalNumber, e.ConvocationNumber, said})
	}
	d.Blocks = []Block{Alert{w.f("État au %s : %d électeurs, %d pointés. Qui a été pointé depuis, ici ou ailleurs, n'y figure pas.",
		"Toestand op %s: %d kiezers, %d aangestipt. Wie sindsdien hier of elders werd aangestipt, staat er niet op.", stamp(made), len(electors), in)}, t}
	return d
}

// checkIn says where and when somebody was checked in.
func (w words) checkIn(home ledger.BureauNumber, x *CheckIn) string {
	said := rounded(x.Time)
	if x.Bureau != home {
		said += w.f(", bureau %d", ", bureau %d", x.Bureau)
	}
	if x.Proxy {
		said += w.t(", par procuration", ", bij volmacht")
	}
	if x.Carries {
		said += w.t(", porte une procuration", ", draagt een volmacht")
	}
	return said
}
