package minutes

import (
	"fmt"
	"strconv"

	"pointage/ledger"
	"pointage/ledger/plaintext"
)

func (c *composer) incidents() {
	l := &c.m.Incidents
	c.add(Heading{c.t("Incidents", "Incidenten")})
	if len(l.Rows) == 0 {
		c.none()
		return
	}
	t := Table{Columns: c.columns(Column{c.t("Heure", "Uur"), 30, false}, Column{c.t("Code", "Code"), 11, true}, Column{c.t("Nature", "Aard"), 104, false})}
	for _, i := range l.Rows {
		t.Rows = append(t.Rows, c.row(i.Bureau, clock(i.Time), strconv.Itoa(int(i.Code)), c.incident(i.Code)))
	}
	c.add(t)
	c.more(l.More)
}

func (c *composer) incident(code uint16) string {
	switch code {
	case plaintext.IncidentReplacement:
		return c.t("Un membre du bureau a été remplacé.", "Een lid van het bureau werd vervangen.")
	case plaintext.IncidentProxyRefused:
		return c.t("Une procuration a été refusée sur pièces.", "Een volmacht werd op grond van de stukken geweigerd.")
	case plaintext.IncidentContested:
		return c.t("Un électeur conteste qu'il a déjà été pointé ; ses mots sont scellés.",
			"Een kiezer betwist dat hij al is aangestipt; zijn woorden zijn verzegeld.")
	case plaintext.IncidentChipNotProven:
		return c.t("Mention d'une puce non prouvée qui ne se rapporte à aucun pointage par carte de ce bureau.",
			"Vermelding van een niet-bewezen chip die op geen aanstipping per kaart van dit bureau slaat.")
	case plaintext.IncidentRedirected:
		return c.t("Électeur d'un autre bureau admis par la présidence ; motif scellé.",
			"Kiezer van een ander bureau door de voorzitter toegelaten; reden verzegeld.")
	}
	return c.t("Texte scellé.", "Verzegelde tekst.")
}

// custody writes the hand-overs of keys (decree art. 7 § 3).
func (c *composer) custody() {
	l := &c.m.Custody
	c.add(Heading{c.t("Remise des clés", "Overhandiging van de sleutels")})
	if len(l.Rows) == 0 {
		c.none()
		return
	}
	t := Table{Columns: c.columns(Column{c.t("Heure", "Uur"), 30, false}, Column{c.t("Clé", "Sleutel"), 55, false}, Column{c.t("Lieu", "Plaats"), 34, false}, Column{c.t("De", "Van"), 20, true}, Column{c.t("À", "Aan"), 20, true})}
	for _, k := range l.Rows {
		object := k.Object.String()
		if k.Of != 0 {
			object = c.f("clé %d du bureau %d", "sleutel %d van bureau %d", k.Key, k.Of)
		}
		t.Rows = append(t.Rows, c.row(k.Bureau, clock(k.Time), object, c.step(k.Step), strconv.Itoa(int(k.From)), strconv.Itoa(int(k.To))))
	}
	c.add(t)
	c.more(l.More)
}

// step is a station of a key's way; the numbers are those of node/daybook.
func (c *composer) step(n uint8) string {
	switch n {
	case 3:
		return c.t("bureau de vote", "stembureau")
	case 4:
		return c.t("bureau principal", "hoofdbureau")
	case 5:
		return c.t("collège juridictionnel", "rechtscollege")
	}
	return c.f("étape %d", "stap %d", n)
}

// evidence writes what is not in order.
func (c *composer) evidence(f *Figures) {
	c.add(Heading{c.t("Irrégularités constatées par le registre", "Door het register vastgestelde onregelmatigheden")})
	if len(c.m.Doubles.Rows)+len(c.m.Evidence.Rows)+len(c.m.Unclean.Rows)+f.Unclean == 0 {
		c.none()
		return
	}
	c.doubles()
	if rows := c.m.Evidence.Rows; len(rows) > 0 {
		t := Table{Caption: c.t("Preuves signées", "Ondertekende bewijzen"), Columns: c.columns(Column{c.t("Entrée", "Inschrij\u00adving"), 22, true}, Column{c.t("Ce qu'elle montre", "Wat het aantoont"), 100, false}, Column{c.t("Contredit", "Spreekt tegen"), 30, true})}
		for _, e := range rows {
			against := ""
			if e.Kind == 0 {
				against = c.entry(e.Against)
			}
			t.Rows = append(t.Rows, c.row(e.Bureau, c.entry(e.Entry), c.proof(&e), against))
		}
		c.add(t)
		c.more(c.m.Evidence.More)
	}
	if rows := c.m.Unclean.Rows; len(rows) > 0 {
		t := Table{Caption: c.t("Déclarations qui ne sont pas en ordre", "Verklaringen die niet in orde zijn"), Columns: c.columns(Column{c.t("Entrée", "Inschrij\u00adving"), 20, true}, Column{c.t("Déclaration", "Verklaring"), 36, false}, Column{c.t("Constat", "Vaststelling"), 108, false})}
		for _, u := range rows {
			t.Rows = append(t.Rows, c.row(u.Bureau, c.entry(u.Entry), c.kind(u.Kind), c.verdict(u.Verdict)))
		}
		c.add(t)
		c.more(c.m.Unclean.More)
	}
}

// doubles shows every elector who stands twice, by the records and never by name.
func (c *composer) doubles() {
	l := &c.m.Doubles
	if len(l.Rows) == 0 {
		return
	}
	c.add(Alert{c.f("DOUBLE POINTAGE : droits utilisés plus d'une fois : %d.", "DUBBELE AANSTIPPING: rechten die meer dan eens werden gebruikt: %d.", len(l.Rows)+l.More)})
	t := Table{Columns: []Column{{c.t("Cas", "Geval"), 10, true}, {c.t("Droit", "Recht"), 40, false}, {c.t("Bureau", "Bureau"), 14, true}, {c.t("Heure", "Uur"), 26, false}, {c.t("Entrée", "Inschrij\u00adving"), 22, true}}}
	for i, d := range l.Rows {
		what := c.t("voter", "stemmen")
		if d.Kind == ledger.Carry {
			what = c.t("porter une procuration", "een volmacht dragen")
		}
		for _, r := range d.Records {
			how := what
			if r.Proxy && d.Kind == ledger.Admit {
				how += c.t(" (par procuration)", " (bij volmacht)")
			}
			t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), how, strconv.Itoa(int(r.Bureau)), rounded(r.Time), c.entry(r.Entry)})
		}
	}
	c.add(t)
	c.more(l.More)
}

func (c *composer) proof(e *Evidence) string {
	switch e.Kind {
	case ledger.KindOrphan:
		return c.t("suite d'enregistrements sans effet, remise des bulletins à confirmer", "reeks registraties zonder gevolg, overhandiging van de biljetten te bevestigen")
	case ledger.KindEvidence:
		return c.t("deux en-têtes signés qui s'excluent", "twee ondertekende koppen die elkaar uitsluiten")
	case ledger.KindEquivocation:
		return c.t("deux réponses signées qui s'excluent", "twee ondertekende antwoorden die elkaar uitsluiten")
	}
	switch e.Offence {
	case ledger.WrongPrevious:
		return c.t("lot qui ne suit pas le précédent", "lot dat niet op het vorige volgt")
	case ledger.DoubleSequence:
		return c.t("numéro d'ordre utilisé deux fois", "volgnummer tweemaal gebruikt")
	case ledger.ContinuesNothing:
		return c.t("séance qui ne continue rien de connu", "zitting die niets bekends voortzet")
	}
	return c.t("suite d'un lot contesté", "vervolg van een betwist lot")
}

// machines writes the openings of media, what was read from others, and amendments.
func (c *composer) machines() {
	c.add(Heading{c.t("Supports, machines et avenants", "Dragers, machines en aanvullingen")})
	if rows := c.m.Sessions.Rows; len(rows) > 0 {
		t := Table{Caption: c.t("Séances", "Zittingen"), Columns: c.columns(Column{c.t("Heure", "Uur"), 32, false}, Column{c.t("Séance", "Zitting"), 34, false}, Column{c.t("Machine", "Machine"), 22, true}, Column{c.t("Supports lus", "Gelezen dragers"), 24, false}, Column{c.t("Remarque", "Opmerking"), 55, false})}
		for _, s := range rows {
			note := c.t("début", "begin")
			if s.Continues {
				note = c.t("suite de la précédente", "vervolg op de vorige")
			}
			if s.Unfenced {
				note += c.t(" ; machine non isolée, admissions provisoires", "; machine niet afgezonderd, voorlopige toelatingen")
			}
			t.Rows = append(t.Rows, c.row(s.Author.Bureau, clock(s.Time), fmt.Sprintf("%x", s.Author.Session[:4]), strconv.Itoa(int(s.Author.Incarnation)+1), c.media(s.Media), note))
		}
		c.add(t)
		c.more(c.m.Sessions.More)
	}
	if rows := c.m.Imports.Rows; len(rows) > 0 {
		t := Table{Caption: c.t("Supports repris", "Overgenomen dragers"), Columns: c.columns(Column{c.t("Heure", "Uur"), 32, false}, Column{c.t("Machine", "Machine"), 24, true}, Column{c.t("Supports lus", "Gelezen dragers"), 30, false}, Column{c.t("Par", "Door"), 70, false})}
		for _, i := range rows {
			by := c.f("bureau %d", "bureau %d", i.By)
			if i.Settled {
				by = c.t("la machine suivante du bureau", "de volgende machine van het bureau")
			}
			t.Rows = append(t.Rows, c.row(i.Bureau, clock(i.Time), strconv.Itoa(int(i.Incarnation)+1), c.media(i.Media), by))
		}
		c.add(t)
		c.more(c.m.Imports.More)
	}
	c.amendments()
}

// media names the members of a set: the disk and the two keys.
func (c *composer) media(bits uint8) (out string) {
	for i, name := range []string{c.t("disque", "schijf"), c.t("clé 1", "sleutel 1"), c.t("clé 2", "sleutel 2")} {
		if bits&(1<<i) == 0 {
			continue
		}
		if out != "" {
			out += ", "
		}
		out += name
	}
	return out
}

func (c *composer) amendments() {
	rows := c.m.Amendments.Rows
	if len(rows) == 0 {
		c.add(Text{c.t("Aucun avenant au manifeste.", "Geen aanvulling op het manifest.")})
		return
	}
	t := Table{Caption: c.t("Avenants au manifeste", "Aanvullingen op het manifest"), Columns: c.columns(Column{c.t("N°", "Nr."), 14, true}, Column{c.t("Heure", "Uur"), 32, false}, Column{c.t("Objet", "Voorwerp"), 80, false}, Column{c.t("Signataires", "Onder\u00adtekenaars"), 26, false})}
	for _, a := range rows {
		what := ""
		switch a.Act {
		case ledger.Enrol:
			what = c.f("machine %d admise", "machine %d toegelaten", a.Incarnation+1)
		case ledger.Retire:
			what = c.f("clé de la machine %d retirée", "sleutel van machine %d ingetrokken", a.Incarnation+1)
		case ledger.Relabel:
			what = c.f("nouveau lieu : %s", "nieuwe plaats: %s", a.Place)
		}
		if !a.InForce {
			what += c.t(" (sans effet : hors de son tour)", " (zonder gevolg: niet aan de beurt)")
		}
		t.Rows = append(t.Rows, c.row(a.Bureau, strconv.Itoa(int(a.Number)), clock(a.Time), what, fmt.Sprintf("%d, %d", a.Signers[0], a.Signers[1])))
	}
	c.add(t)
	c.more(c.m.Amendments.More)
}

// drawn lists minutes that were recorded before these.
func (c *composer) drawn() {
	rows := c.m.Drawn.Rows
	if len(rows) == 0 {
		return
	}
	t := Table{Columns: []Column{{c.t("Bureau", "Bureau"), 14, true}, {c.t("Heure", "Uur"), 26, false}, {c.t("Entrée", "Inschrij\u00adving"), 18, true}, {"SHA-256", 110, false}}}
	for _, d := range rows {
		of := strconv.Itoa(int(d.Bureau))
		if d.Bureau == 0 {
			of = c.t("commune", "gemeente")
		}
		t.Rows = append(t.Rows, []string{of, clock(d.Time), c.entry(d.Entry), fmt.Sprintf("FR %v\nNL %v", d.French, d.Dutch)})
	}
	c.add(Heading{c.t("Procès-verbaux enregistrés auparavant", "Eerder geregistreerde processen-verbaal")}, t)
	c.more(c.m.Drawn.More)
}

// ledger binds the minutes to the chain that they were drawn from.
func (c *composer) ledger(o *Opened) {
	l := &c.m.Ledger
	rows := [][2]string{
		{c.t("Manifeste (SHA-256)", "Manifest (SHA-256)"), c.m.Manifest.String()},
	}
	if o != nil {
		rows = append(rows, [2]string{c.t("Programme (SHA-256)", "Programma (SHA-256)"), o.Program.String()}, [2]string{c.t("Registre scellé (SHA-256)", "Verzegeld register (SHA-256)"), o.Register.String()})
	}
	rows = append(rows, [2]string{c.t("Origine", "Oorsprong"), l.Origin}, [2]string{c.t("Entrées", "Inschrijvingen"), strconv.FormatUint(l.Size, 10)},
		[2]string{c.t("Racine", "Wortel"), l.Root.String()}, [2]string{c.t("Tête", "Kop"), l.Head.String()})
	anchor := c.t("aucun", "geen")
	if l.Newest != nil {
		anchor = c.f("%d ; le plus étendu couvre %d entrées (époque %d), %s, %s", "%d; het ruimste dekt %d inschrijvingen (tijdvak %d), %s, %s",
			l.Anchors, l.Newest.Size, l.Newest.Epoch, orDash(l.Newest.Witness), stamp(l.Newest.Time))
	}
	rows = append(rows, [2]string{c.t("Ancrages", "Verankeringen"), anchor})
	for _, e := range l.Earlier {
		rows = append(rows, [2]string{c.t("Époque antérieure", "Vroeger tijdvak"), c.f("%s · %d entrées · racine %v", "%s · %d inschrijvingen · wortel %v", e.Origin, e.Size, e.Root)})
	}
	c.add(Heading{c.t("Registre de la commune", "Register van de gemeente")}, Facts{Rows: rows}, Code{
		Content: fmt.Sprintf("pointage:%s:%d:%v:%v", l.Origin, l.Size, l.Root, l.Head),
		Text: c.t("Le code reprend l'origine, le nombre d'entrées, la racine et la tête du registre dont ce procès-verbal est tiré. Quiconque possède l'export du registre peut dresser à nouveau ce document et comparer chaque octet. "+
			"Les exemplaires français et néerlandais ont été tirés des mêmes données et font également foi.",
			"De code bevat de oorsprong, het aantal inschrijvingen, de wortel en de kop van het register waaruit dit proces-verbaal is opgemaakt. Wie de export van het register heeft, kan dit document opnieuw opmaken en elke byte vergelijken. "+
				"Het Franse en het Nederlandse exemplaar zijn uit dezelfde gegevens opgemaakt en zijn gelijkelijk authentiek."),
		Alt: c.t("Code QR de l'origine, de la taille, de la racine et de la tête du registre", "QR-code van de oorsprong, de grootte, de wortel en de kop van het register"),
	})
}
