package minutes

import (
	"fmt"
	"strconv"
	"strings"

	"pointage/ledger"
	"pointage/ledger/election"
)

// words writes in one language.
type words struct{ lang Language }

// t is the text in the words' language; both stand side by side where they are used, so that none is forgotten.
func (w words) t(fr, nl string) string {
	if w.lang == Dutch {
		return nl
	}
	return fr
}

func (w words) f(fr, nl string, args ...any) string { return fmt.Sprintf(w.t(fr, nl), args...) }

// Compose writes the minutes in a language.
func Compose(m *Minutes, lang Language) *Document {
	c := &composer{words{lang}, m, m.document(lang)}
	c.doc.Foot = c.f("%s · %d entrées · tête %v", "%s · %d inschrijvingen · kop %v", m.Ledger.Origin, m.Ledger.Size, m.Ledger.Head)
	if m.Bureau == 0 {
		c.communes()
	} else {
		c.bureau()
	}
	return c.doc
}

// document is an empty one. That of a rehearsal says so on every page.
func (f *Frame) document(lang Language) *Document {
	w := words{lang}
	d := &Document{Language: lang, Made: f.Closes, Subtitle: w.f("%s (%d) · élection %s · scrutin du %s", "%s (%d) · verkiezing %s · stemming van %s",
		f.name(lang), f.Commune, f.Election, date(f.Opens))}
	if f.Kind != election.Live {
		d.Watermark = w.t("RÉPÉTITION", "OEFENING")
		d.Banner = w.t("RÉPÉTITION — ce document est sans valeur : aucune élection n'a eu lieu", "OEFENING — dit document is zonder waarde: er heeft geen verkiezing plaatsgevonden")
	}
	return d
}

// name is the commune's.
func (f *Frame) name(lang Language) string { return words{lang}.t(f.NameFR, f.NameNL) }

// composer writes one document.
type composer struct {
	words
	m   *Minutes
	doc *Document
}

func (c *composer) add(b ...Block) { c.doc.Blocks = append(c.doc.Blocks, b...) }

func (c *composer) commune() string { return c.m.name(c.lang) }

// bureau writes the minutes of one bureau (decree art. 11 § 1).
func (c *composer) bureau() {
	b := &c.m.Bureaux[0]
	c.doc.Title = c.f("Procès-verbal du bureau de vote n° %d", "Proces-verbaal van stembureau nr. %d", b.Number)
	c.add(Heading{c.t("Bureau", "Bureau")}, Facts{Rows: [][2]string{
		{c.t("Nature", "Aard"), c.nature()},
		{c.t("Bureau de vote", "Stembureau"), strconv.Itoa(int(b.Number)) + c.role()},
		{c.t("Lieu", "Plaats"), orDash(b.Place)},
		{c.t("Électeurs inscrits ici", "Hier ingeschreven kiezers"), strconv.Itoa(b.Registered)},
		{c.t("Heures du scrutin", "Stemuren"), clock(c.m.Opens) + " – " + clock(c.m.Closes)},
		{c.t("Ouverture du bureau", "Opening van het bureau"), c.opened(b)},
		{c.t("Clôture du bureau", "Sluiting van het bureau"), c.closed(b)},
	}})
	if c.m.Pending > 0 {
		c.add(Alert{c.f("Déclarations de ce bureau sans place encore dans le registre de la commune (liaison interrompue), et comptées ci-dessous : %d.",
			"Verklaringen van dit bureau die nog geen plaats hadden in het register van de gemeente (verbinding onderbroken), en die hieronder zijn meegeteld: %d.", c.m.Pending)})
	}
	c.closingAgrees(b)
	c.members()
	c.checkIns(b)
	c.proxies(&b.Figures)
	c.refused(&b.Figures)
	c.corrections(&b.Figures)
	c.provisional()
	c.counts()
	c.incidents()
	c.custody()
	c.evidence(&b.Figures)
	c.machines()
	c.drawn()
	c.ledger(b.Opened)
	c.remark()
	c.sign(c.signers())
}

// communes writes the minutes of the principal bureau about all bureaux of the commune.
func (c *composer) communes() {
	t := &c.m.Total
	registered, opened, closed := 0, 0, 0
	for i := range c.m.Bureaux {
		b := &c.m.Bureaux[i]
		registered += b.Registered
		if b.Opened != nil {
			opened++
		}
		if b.Closed != nil {
			closed++
		}
	}
	c.doc.Title = c.t("Procès-verbal du bureau principal : pointage des électeurs de la commune", "Proces-verbaal van het hoofdbureau: aanstipping van de kiezers van de gemeente")
	c.add(Heading{c.t("Commune", "Gemeente")}, Facts{Rows: [][2]string{
		{c.t("Nature", "Aard"), c.nature()},
		{c.t("Commune", "Gemeente"), fmt.Sprintf("%s (%d)", c.commune(), c.m.Commune)},
		{c.t("Bureaux de vote", "Stembureaus"), c.f("%d (ouverts : %d, clôturés : %d)", "%d (geopend: %d, gesloten: %d)", len(c.m.Bureaux), opened, closed)},
		{c.t("Heures du scrutin", "Stemuren"), clock(c.m.Opens) + " – " + clock(c.m.Closes)},
		{c.t("Électeurs inscrits", "Ingeschreven kiezers"), strconv.Itoa(registered)},
		{c.t("Électeurs pointés", "Aangestipte kiezers"), strconv.Itoa(t.Voted)},
		{c.t("Électeurs non pointés", "Niet aangestipte kiezers"), strconv.Itoa(registered - t.Voted)},
		{c.t("Pointages", "Aanstippingen"), c.f("%d (hors de leur bureau : %d, par procuration : %d)", "%d (buiten het eigen bureau: %d, bij volmacht: %d)", t.CheckedIn(), t.Away, t.Proxies)},
	}})
	c.hours()
	c.figures()
	c.means(t)
	c.proxies(t)
	c.refused(t)
	c.corrections(t)
	c.provisional()
	c.lastCounts()
	c.incidents()
	c.custody()
	c.evidence(t)
	c.machines()
	c.drawn()
	c.ledger(nil)
	c.remark()
	c.sign([]string{
		c.t("Le président ou la présidente du bureau principal", "De voorzitter van het hoofdbureau"), c.t("Le ou la secrétaire", "De secretaris"),
		c.t("Assesseur", "Bijzitter"), c.t("Assesseur", "Bijzitter"), c.t("Témoin", "Getuige"), c.t("Témoin", "Getuige"),
	})
}

func (c *composer) nature() string {
	if c.m.Kind == election.Live {
		return c.t("élection", "verkiezing")
	}
	return c.t("RÉPÉTITION, sans valeur", "OEFENING, zonder waarde")
}

func (c *composer) role() string {
	switch c.m.Role {
	case Principal:
		return c.t(" (bureau principal)", " (hoofdbureau)")
	case Deputy:
		return c.t(" (suppléant du bureau principal)", " (plaatsvervangend hoofdbureau)")
	}
	return ""
}

func orDash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}

func (c *composer) opened(b *Bureau) string {
	if b.Opened == nil {
		return c.t("non enregistrée", "niet geregistreerd")
	}
	return stamp(b.Opened.Time)
}

func (c *composer) closed(b *Bureau) string {
	if b.Closed == nil {
		return c.t("non enregistrée", "niet geregistreerd")
	}
	return stamp(b.Closed.Time)
}

// closingAgrees tells when the bureau's own figure at its closing is another than what stands.
func (c *composer) closingAgrees(b *Bureau) {
	if b.Closed == nil || int(b.Closed.CheckedIn) == b.CheckedIn() {
		return
	}
	c.add(Alert{c.f("Pointages déclarés par le bureau à sa clôture : %d ; au registre : %d.", "Aanstippingen die het bureau bij de sluiting verklaarde: %d; in het register: %d.",
		b.Closed.CheckedIn, b.CheckedIn())})
}

// more tells of rows that a list has no room for.
func (c *composer) more(n int) {
	if n > 0 {
		c.add(Alert{c.f("Lignes du registre qui ne sont pas imprimées ici : %d.",
			"Regels van het register die hier niet zijn afgedrukt: %d.", n)})
	}
}

// none is the paragraph of an empty section.
func (c *composer) none() { c.add(Text{c.t("Néant.", "Nihil.")}) }

// members lists who was convened (decree art. 8 § 1).
func (c *composer) members() {
	c.add(Heading{c.t("Membres du bureau", "Leden van het bureau")})
	if len(c.m.Members.Rows) == 0 {
		c.add(Text{c.t("Aucune présence n'a été enregistrée.", "Er werd geen aanwezigheid geregistreerd.")})
		return
	}
	t := Table{Columns: []Column{{c.t("N°", "Nr."), 12, true}, {c.t("Fonction", "Functie"), 30, false}, {c.t("Nom et prénoms", "Naam en voornamen"), 60, false}, {c.t("Présence", "Aanwezigheid"), 40, false}}}
	for _, x := range c.m.Members.Rows {
		t.Rows = append(t.Rows, []string{strconv.Itoa(int(x.Number)), c.function(x), orDash(x.Name), c.presence(x)})
	}
	c.add(t)
	if !c.m.Named {
		c.add(Text{c.t("Les noms figurent dans le registre scellé ; ils manquent dans cet exemplaire.", "De namen staan in het verzegelde register; zij ontbreken in dit exemplaar.")})
	}
	c.more(c.m.Members.More)
}

func (c *composer) presence(x Member) string {
	said := c.t("non enregistrée", "niet geregistreerd")
	switch x.Presence {
	case ledger.Active:
		said = c.t("actif", "actief")
	case ledger.NotRetained:
		said = c.t("présent, non retenu", "aanwezig, niet weerhouden")
	case ledger.Absent:
		said = c.t("absent", "afwezig")
	}
	if x.For != 0 {
		said += c.f(", remplace le n° %d", ", vervangt nr. %d", x.For)
	} else if x.Replacement {
		said += c.t(", non convoqué", ", niet opgeroepen")
	}
	return said
}

func (c *composer) function(x Member) string {
	switch x.Function {
	case 1:
		return c.t("président", "voorzitter")
	case 2:
		return c.t("président suppléant", "plaatsvervangend voorzitter")
	case 3:
		return c.t("secrétaire", "secretaris")
	case 4:
		return c.t("assesseur", "bijzitter")
	case 5:
		return c.t("assesseur suppléant", "plaatsvervangend bijzitter")
	}
	if x.Replacement {
		return c.t("remplaçant", "vervanger")
	}
	return "—"
}

// signers are the members who were active, or the offices where no list of members is at hand.
func (c *composer) signers() (out []string) {
	const most = 16
	for _, x := range c.m.Members.Rows {
		if x.Presence == ledger.Active && x.Name != "" && len(out) < most {
			out = append(out, fmt.Sprintf("%s (%s)", x.Name, c.function(x)))
		}
	}
	if len(out) > 0 {
		return out
	}
	return []string{
		c.t("Le président ou la présidente", "De voorzitter"), c.t("Le ou la secrétaire", "De secretaris"), c.t("Assesseur", "Bijzitter"),
		c.t("Assesseur", "Bijzitter"), c.t("Assesseur", "Bijzitter"), c.t("Assesseur", "Bijzitter"),
	}
}

// remark leaves room for what is written by hand, such as what "another reason" was.
func (c *composer) remark() {
	line := strings.Repeat("_", 78)
	c.add(Heading{c.t("Observations", "Opmerkingen")}, Text{c.t("À écrire à la main, par les membres et les témoins, avant de signer :", "Met de hand te schrijven, door de leden en de getuigen, vóór de ondertekening:")},
		Text{line}, Text{line}, Text{line})
}

func (c *composer) sign(who []string) {
	c.add(Heading{c.t("Signatures", "Handtekeningen")}, Signatures{Made: c.f("Fait à %s, le ______________________", "Gedaan te %s, op ______________________", c.commune()), Who: who})
}
