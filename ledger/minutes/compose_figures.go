package minutes

import (
	"fmt"
	"strconv"

	"pointage/ledger"
	"pointage/ledger/reconciliation"
)

// checkIns writes who was checked in at a bureau.
func (c *composer) checkIns(b *Bureau) {
	c.add(Heading{c.t("Pointage des électeurs", "Aanstipping van de kiezers")}, Facts{Rows: [][2]string{
		{c.t("Pointés dans ce bureau", "Aangestipt in dit bureau"), strconv.Itoa(b.CheckedIn())},
		{c.t("… inscrits ici", "… hier ingeschreven"), strconv.Itoa(b.Own)},
		{c.t("… inscrits dans un autre bureau", "… in een ander bureau ingeschreven"), strconv.Itoa(b.Away)},
		{c.t("… dont votes par procuration", "… waarvan stemmen bij volmacht"), strconv.Itoa(b.Proxies)},
		{c.t("… dont admissions provisoires", "… waarvan voorlopige toelatingen"), strconv.Itoa(b.Provisional)},
		{c.t("Inscrits ici, pointés ailleurs", "Hier ingeschreven, elders aangestipt"), strconv.Itoa(b.Elsewhere)},
		{c.t("Inscrits ici, non pointés", "Hier ingeschreven, niet aangestipt"), strconv.Itoa(b.Registered - b.Voted)},
	}})
	c.means(&b.Figures)
}

// means writes how electors were identified (decree art. 9).
func (c *composer) means(f *Figures) {
	t := Facts{Caption: c.t("Identification des électeurs pointés", "Identificatie van de aangestipte kiezers")}
	t.Rows = [][2]string{
		{c.t("Carte d'identité, puce prouvée", "Identiteitskaart, chip bewezen"), strconv.Itoa(f.ByMeans[ledger.ByCard] - f.Unproven)},
		{c.t("Carte d'identité, puce non prouvée", "Identiteitskaart, chip niet bewezen"), strconv.Itoa(f.Unproven)},
	}
	for m := ledger.ByConvocationNumber; m <= ledger.ByName; m++ {
		t.Rows = append(t.Rows, [2]string{c.meansOf(m), strconv.Itoa(f.ByMeans[m])})
	}
	c.add(t)
}

// meansOf names a way of those whose card was not read.
func (c *composer) meansOf(m ledger.Means) string {
	switch m {
	case ledger.ByConvocationNumber:
		return c.t("Carte non lue : numéro de convocation", "Kaart niet gelezen: oproepingsnummer")
	case ledger.ByNationalNumber:
		return c.t("Carte non lue : numéro national", "Kaart niet gelezen: rijksregisternummer")
	}
	return c.t("Carte non lue : nom, par le président", "Kaart niet gelezen: naam, door de voorzitter")
}

// proxies writes the votes by proxy (decree art. 10).
func (c *composer) proxies(f *Figures) {
	c.add(Heading{c.t("Procurations", "Volmachten")})
	rows := [][2]string{{c.t("Votes par procuration", "Stemmen bij volmacht"), strconv.Itoa(f.Proxies)}, {c.t("Part des pointages", "Aandeel in de aanstippingen"), c.share(f.Proxies, f.CheckedIn())}}
	if c.m.Bureau != 0 {
		rows = append(rows, [2]string{c.t("Part dans la commune", "Aandeel in de gemeente"), c.share(c.m.All.Proxies, c.m.All.CheckedIn())})
	}
	c.add(Facts{Rows: rows})
	t := Facts{Caption: c.t("Motifs", "Redenen")}
	for r := 1; r <= MaxReason; r++ {
		if f.ByReason[r] > 0 {
			t.Rows = append(t.Rows, [2]string{ProxyReason(uint8(r), c.lang), strconv.Itoa(f.ByReason[r])})
		}
	}
	if f.ByReason[0] > 0 {
		t.Rows = append(t.Rows, [2]string{ProxyReason(0, c.lang), strconv.Itoa(f.ByReason[0])})
	}
	if len(t.Rows) > 0 {
		c.add(t)
	}
}

// share is a part in per cent with one decimal.
func (c *composer) share(part, of int) string {
	if of == 0 {
		return "—"
	}
	thousandths := (part*2000 + of) / (2 * of)
	return fmt.Sprintf("%d,%d %%", thousandths/10, thousandths%10)
}

func (c *composer) refused(f *Figures) {
	c.add(Heading{c.t("Tentatives refusées", "Geweigerde pogingen")})
	if f.AllRefused() == 0 {
		c.none()
		return
	}
	t := Table{Columns: []Column{{c.t("Refus", "Weigering"), 12, true}, {c.t("Motif", "Reden"), 90, false}, {c.t("Nombre", "Aantal"), 15, true}}}
	for r := range f.Refused {
		if f.Refused[r] > 0 {
			t.Rows = append(t.Rows, []string{strconv.Itoa(r), RefusalText(ledger.Refusal(r), c.lang), strconv.Itoa(f.Refused[r])})
		}
	}
	c.add(t)
}

// corrections writes what was taken back.
func (c *composer) corrections(f *Figures) {
	c.add(Heading{c.t("Corrections", "Verbeteringen")}, Facts{Rows: [][2]string{
		{c.t("Retirés avant la remise du bulletin", "Ingetrokken vóór de overhandiging van het stembiljet"), strconv.Itoa(f.Voided)},
		{c.t("Annulés par deux membres", "Geannuleerd door twee leden"), strconv.Itoa(f.Annulled)},
	}})
	if len(c.m.Annulments.Rows) == 0 {
		return
	}
	t := Table{Caption: c.t("Annulations", "Annuleringen"), Columns: c.columns(Column{c.t("Heure", "Uur"), 28, false}, Column{c.t("Membres", "Leden"), 30, false}, Column{c.t("Motif", "Reden"), 70, false}, Column{c.t("Entrée", "Inschrij\u00adving"), 22, true})}
	for _, a := range c.m.Annulments.Rows {
		what := AnnulmentReason(a.Reason, c.lang)
		if a.Proxy {
			what += c.t(" (procuration)", " (volmacht)")
		}
		t.Rows = append(t.Rows, c.row(a.Bureau, rounded(a.Time), fmt.Sprintf("%d, %d", a.Attesters[0], a.Attesters[1]), what, c.entry(a.Entry)))
	}
	c.add(t)
	c.more(c.m.Annulments.More)
}

// columns are those of a list; the commune's begin with the bureau's number.
func (c *composer) columns(rest ...Column) []Column {
	if c.m.Bureau != 0 {
		return rest
	}
	return append([]Column{{c.t("Bureau", "Bureau"), 18, true}}, rest...)
}

// row is one of a list, with the bureau's number before it in the commune's.
func (c *composer) row(b ledger.BureauNumber, cells ...string) []string {
	if c.m.Bureau == 0 {
		return append([]string{strconv.Itoa(int(b))}, cells...)
	}
	return cells
}

// entry names an entry, in the epoch that is not the first.
func (c *composer) entry(ref uint64) string {
	if ref == 0 {
		return c.t("en attente", "wachtend")
	}
	epoch, position := ledger.SplitReference(ref)
	if epoch == 0 {
		return strconv.FormatUint(position, 10)
	}
	return c.f("%d (époque %d)", "%d (tijdvak %d)", position, epoch)
}

// provisional lists check-ins without the right.
func (c *composer) provisional() {
	l := &c.m.Provisional
	c.add(Heading{c.t("Admissions provisoires", "Voorlopige toelatingen")})
	if len(l.Rows) == 0 {
		c.none()
		return
	}
	t := Table{Columns: c.columns(Column{c.t("Heure", "Uur"), 28, false}, Column{c.t("Membre", "Lid"), 20, true}, Column{c.t("Motif", "Reden"), 60, false}, Column{c.t("Suite", "Gevolg"), 45, false}, Column{c.t("Entrée", "Inschrij\u00adving"), 22, true})}
	for _, p := range l.Rows {
		outcome := c.t("maintenue", "behouden")
		switch {
		case p.Taken:
			outcome = c.t("retirée ou annulée", "ingetrokken of geannuleerd")
		case p.Double:
			outcome = c.t("DOUBLE : voir ci-dessous", "DUBBEL: zie hieronder")
		}
		t.Rows = append(t.Rows, c.row(p.Bureau, rounded(p.Time), strconv.Itoa(int(p.Attester)), ProvisionalReason(p.Reason, c.lang), outcome, c.entry(p.Entry)))
	}
	c.add(t)
	c.more(l.More)
}

// counts writes the reconciliations of the day, and an alert for the last one.
func (c *composer) counts() {
	l := &c.m.Counts
	c.add(Heading{c.t("Comptage des bulletins", "Telling van de stembiljetten")})
	if len(l.Rows) == 0 {
		c.add(Text{c.t("Aucun comptage n'a été enregistré.", "Er werd geen telling geregistreerd.")})
		return
	}
	t := Table{Columns: c.counted(c.t("Heure", "Uur"))}
	for _, k := range l.Rows {
		t.Rows = append(t.Rows, append([]string{clock(k.Time)}, c.tally(&k.Tally)...))
	}
	c.add(t)
	c.more(l.More)
	if last := c.m.Bureaux[0].Last; last.Gaps().Alert() {
		c.add(Alert{c.f("ALERTE : au dernier comptage l'écart atteint %d ou plus.", "ALARM: bij de laatste telling bedraagt het verschil %d of meer.", reconciliation.GapAlert)})
	}
}

func (c *composer) counted(first string) []Column {
	return []Column{
		{first, 38, false},
		{c.t("Pointés", "Aangestipt"), 22, true},
		{c.t("Bulletins remis", "Overhandigde biljetten"), 26, true},
		{c.t("Bulletins scannés", "Gescande biljetten"), 24, true},
		{c.t("Remis – pointés", "Overhandigd – aangestipt"), 28, true},
		{c.t("Scannés – remis", "Gescand – overhandigd"), 28, true},
		{c.t("Alerte", "Alarm"), 18, false},
	}
}

func (c *composer) tally(t *reconciliation.Tally) []string {
	g, alert := t.Gaps(), ""
	if g.Alert() {
		alert = c.t("ALERTE", "ALARM")
	}
	return []string{
		strconv.FormatUint(uint64(t.CheckedIn), 10), strconv.FormatUint(uint64(t.Issued), 10), strconv.FormatUint(uint64(t.Scanned), 10),
		signed(g.Issued), signed(g.Scanned), alert,
	}
}

func signed(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%+d", n)
}

// hours lists the bureaux with their places and times.
func (c *composer) hours() {
	t := Table{Columns: []Column{
		{c.t("Bureau", "Bureau"), 14, true}, {c.t("Lieu", "Plaats"), 60, false}, {c.t("Ouverture", "Opening"), 34, false}, {c.t("Clôture", "Sluiting"), 34, false}, {c.t("Actifs", "Actief"), 13, true}, {c.t("Absents", "Afwezig"), 14, true},
	}}
	for i := range c.m.Bureaux {
		b := &c.m.Bureaux[i]
		opened, closed := "—", "—"
		if b.Opened != nil {
			opened = clock(b.Opened.Time)
		}
		if b.Closed != nil {
			closed = clock(b.Closed.Time)
		}
		active, absent := 0, 0
		for _, x := range c.m.Members.Rows {
			if x.Bureau != b.Number {
				continue
			}
			switch x.Presence {
			case ledger.Active:
				active++
			case ledger.Absent:
				absent++
			}
		}
		t.Rows = append(t.Rows, []string{strconv.Itoa(int(b.Number)), orDash(b.Place), opened, closed, strconv.Itoa(active), strconv.Itoa(absent)})
	}
	c.add(Heading{c.t("Bureaux de vote et membres", "Stembureaus en leden")}, t)
	c.more(c.m.Members.More)
}

// figures lists what each bureau did.
func (c *composer) figures() {
	t := Table{Columns: []Column{
		{c.t("Bureau", "Bureau"), 14, true},
		{c.t("Inscrits", "Inge\u00adschreven"), 16, true},
		{c.t("Inscrits pointés", "Ingeschr. aangestipt"), 19, true},
		{c.t("… ailleurs", "… elders"), 17, true},
		{c.t("Pointés ici", "Hier aangestipt"), 19, true},
		{c.t("Venus d'ailleurs", "Van elders"), 17, true},
		{c.t("Procu\u00adrations", "Vol\u00admachten"), 16, true},
		{c.t("Provi\u00adsoires", "Voor\u00adlopig"), 14, true},
		{c.t("Refus", "Weige\u00adringen"), 14, true},
		{c.t("Retirés", "Inge\u00adtrokken"), 15, true},
		{c.t("Annulés", "Gean\u00adnuleerd"), 16, true},
	}}
	row := func(first string, registered int, f *Figures) []string {
		out := []string{first}
		for _, n := range []int{registered, f.Voted, f.Elsewhere, f.CheckedIn(), f.Away, f.Proxies, f.Provisional, f.AllRefused(), f.Voided, f.Annulled} {
			out = append(out, strconv.Itoa(n))
		}
		return out
	}
	registered := 0
	for i := range c.m.Bureaux {
		b := &c.m.Bureaux[i]
		registered += b.Registered
		t.Rows = append(t.Rows, row(strconv.Itoa(int(b.Number)), b.Registered, &b.Figures))
	}
	t.Rows = append(t.Rows, row(c.t("Total", "Totaal"), registered, &c.m.Total))
	c.add(Heading{c.t("Pointage par bureau", "Aanstipping per bureau")}, t)
	for i := range c.m.Bureaux {
		if b := &c.m.Bureaux[i]; b.Closed != nil && int(b.Closed.CheckedIn) != b.CheckedIn() {
			c.add(Alert{c.f("Bureau %d : %d pointages déclarés à la clôture, %d au registre.", "Bureau %d: %d aanstippingen verklaard bij de sluiting, %d in het register.", b.Number, b.Closed.CheckedIn, b.CheckedIn())})
		}
	}
}

// lastCounts lists each bureau's last reconciliation.
func (c *composer) lastCounts() {
	t, alerts := Table{Columns: c.counted(c.t("Bureau et heure", "Bureau en uur"))}, ""
	for i := range c.m.Bureaux {
		b := &c.m.Bureaux[i]
		if b.Last == nil {
			t.Rows = append(t.Rows, []string{strconv.Itoa(int(b.Number)), "—", "—", "—", "—", "—", c.t("aucun", "geen")})
			continue
		}
		t.Rows = append(t.Rows, append([]string{fmt.Sprintf("%d · %s", b.Number, clock(b.Last.Time))}, c.tally(b.Last)...))
		if b.Last.Gaps().Alert() {
			alerts += fmt.Sprintf(" %d", b.Number)
		}
	}
	c.add(Heading{c.t("Dernier comptage des bulletins", "Laatste telling van de stembiljetten")}, t)
	if alerts != "" {
		c.add(Alert{c.f("ALERTE : écart de %d ou plus au dernier comptage ; bureau(x)%s.", "ALARM: verschil van %d of meer bij de laatste telling; bureau(s)%s.", reconciliation.GapAlert, alerts)})
	}
}
