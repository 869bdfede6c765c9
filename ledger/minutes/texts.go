package minutes

import "pointage/ledger"

// RefusalText says a refusal (SPEC 8) to somebody who asked to vote.
func RefusalText(r ledger.Refusal, lang Language) string {
	w := words{lang}
	switch r {
	case ledger.AlreadyAdmitted:
		return w.t("déjà pointé", "al aangestipt")
	case ledger.ReleasedElsewhere:
		return w.t("le droit a été remis à un autre bureau", "het recht werd aan een ander bureau overgedragen")
	case ledger.OtherBureau:
		return w.t("inscrit dans un autre bureau", "in een ander bureau ingeschreven")
	case ledger.NotOnTheRoll:
		return w.t("ne figure pas sur la liste des électeurs", "staat niet op de kiezerslijst")
	case ledger.HomeUnreachable:
		return w.t("le bureau d'inscription ne répond pas", "het bureau van inschrijving antwoordt niet")
	case ledger.BureauNotOpen:
		return w.t("le bureau n'est pas ouvert", "het bureau is niet open")
	case ledger.InProgress:
		return w.t("une autre opération est en cours pour cet électeur", "voor deze kiezer is een andere handeling bezig")
	case ledger.ConflictFound:
		return w.t("pointé ailleurs un instant plus tôt ; ce pointage est retiré", "een ogenblik eerder elders aangestipt; deze aanstipping is ingetrokken")
	case ledger.ProxyAlreadyHeld:
		return w.t("le mandataire porte déjà une procuration", "de volmachthebber draagt al een volmacht")
	case ledger.NothingToCorrect:
		return w.t("rien à corriger", "niets te verbeteren")
	case ledger.SecondPersonNeeded:
		return w.t("deux personnes différentes doivent attester", "twee verschillende personen moeten bevestigen")
	case ledger.UnfencedOnly:
		return w.t("cette machine n'admet qu'à titre provisoire", "deze machine laat slechts voorlopig toe")
	case ledger.Withdrawn:
		return w.t("retiré avant la remise du bulletin", "ingetrokken vóór de overhandiging van het stembiljet")
	}
	return w.t("autre motif", "andere reden")
}

// ProxyReason says why a principal does not come; the numbers are those of package proxies.
func ProxyReason(r uint8, lang Language) string {
	w := words{lang}
	switch r {
	case 1:
		return w.t("maladie ou infirmité", "ziekte of gebrekkigheid")
	case 2:
		return w.t("raisons professionnelles ou de service, à l'étranger", "beroeps- of dienstredenen, in het buitenland")
	case 3:
		return w.t("raisons professionnelles ou de service, dans le Royaume", "beroeps- of dienstredenen, in het Rijk")
	case 4:
		return w.t("batelier, marchand ambulant ou forain", "schipper, marktkramer of kermisreiziger")
	case 5:
		return w.t("privation de liberté", "vrijheidsberoving")
	case 6:
		return w.t("convictions religieuses", "geloofsovertuiging")
	case 7:
		return w.t("études", "studie")
	case 8:
		return w.t("séjour temporaire à l'étranger", "tijdelijk verblijf in het buitenland")
	}
	return w.t("autre motif", "andere reden")
}

// AnnulmentReason says why a check-in was taken back, with the number that the statement has.
func AnnulmentReason(r uint8, lang Language) string {
	w := words{lang}
	switch r {
	case 1:
		return w.t("1 : une autre personne avait été pointée", "1: een andere persoon was aangestipt")
	case 2:
		return w.t("2 : parti sans bulletin", "2: zonder stembiljet vertrokken")
	case 3:
		return w.t("3 : identité non établie", "3: identiteit niet vastgesteld")
	case 4:
		return w.t("4 : autre raison, voir les observations", "4: andere reden, zie de opmerkingen")
	}
	return w.f("code %d", "code %d", r)
}

// ProvisionalReason says why somebody was admitted without the right, with the number that the statement has.
func ProvisionalReason(r uint8, lang Language) string {
	w := words{lang}
	switch r {
	case 1:
		return w.t("1 : le bureau de l'électeur ne répondait pas", "1: het bureau van de kiezer antwoordde niet")
	case 2:
		return w.t("2 : appareil à la place d'un appareil perdu", "2: toestel in de plaats van een verloren toestel")
	case 3:
		return w.t("3 : autre raison de la présidence", "3: andere reden van de voorzitter")
	}
	return w.f("code %d", "code %d", r)
}

// kind names a kind of statement.
func (w words) kind(k ledger.Kind) string {
	names := map[ledger.Kind][2]string{
		ledger.KindSessionOpened: {"ouverture de séance", "opening van zitting"}, ledger.KindBureauOpened: {"ouverture du bureau", "opening van het bureau"},
		ledger.KindAttendance: {"présence", "aanwezigheid"}, ledger.KindAccount: {"compte", "rekening"}, ledger.KindAdmission: {"pointage", "aanstipping"},
		ledger.KindAttemptRefused: {"tentative refusée", "geweigerde poging"}, ledger.KindProxyAdmission: {"vote par procuration", "stem bij volmacht"},
		ledger.KindRelease: {"remise du droit", "overdracht van het recht"}, ledger.KindHold: {"réception du droit", "ontvangst van het recht"},
		ledger.KindReturn: {"retour du droit", "teruggave van het recht"}, ledger.KindRestored: {"droit rétabli", "hersteld recht"}, ledger.KindVoid: {"retrait", "intrekking"},
		ledger.KindAnnulment: {"annulation", "annulering"}, ledger.KindOrphan: {"suite sans effet", "reeks zonder gevolg"}, ledger.KindEvidence: {"preuve", "bewijs"},
		ledger.KindProvisional: {"admission provisoire", "voorlopige toelating"}, ledger.KindCount: {"comptage", "telling"}, ledger.KindBureauClosed: {"clôture du bureau", "sluiting van het bureau"},
		ledger.KindAmendment: {"avenant", "aanvulling"}, ledger.KindAnchored: {"ancrage", "verankering"}, ledger.KindCustody: {"remise", "overhandiging"},
		ledger.KindIncident: {"incident", "incident"}, ledger.KindMessage: {"message", "bericht"}, ledger.KindImported: {"supports lus", "gelezen dragers"},
		ledger.KindSettled: {"reprise d'une machine", "overname van een machine"}, ledger.KindEquivocation: {"réponses contradictoires", "tegenstrijdige antwoorden"},
		ledger.KindMinutes: {"procès-verbal", "proces-verbaal"},
	}
	n := names[k]
	return w.t(n[0], n[1])
}

// verdict says what is wrong with a statement.
func (c *composer) verdict(v ledger.Verdict) string {
	said := ""
	switch v.Validity {
	case ledger.NotHeld:
		said = c.t("ne suit pas de la chaîne du bureau", "volgt niet uit de keten van het bureau")
	case ledger.BadEmbedding:
		said = c.t("pièce jointe non valable", "ongeldig bijgevoegd stuk")
	case ledger.NotOnRoll:
		said = c.t("électeur inconnu de la liste", "kiezer niet op de lijst")
	case ledger.PolicyForbids:
		said = c.t("non permis par le manifeste", "niet toegestaan door het manifest")
	case ledger.Unauthorised:
		said = c.t("sans l'autorité requise", "zonder de vereiste bevoegdheid")
	}
	class := ""
	switch v.Class {
	case ledger.AlreadyAdmittedClass:
		class = c.f("droit déjà utilisé à l'entrée %s", "recht al gebruikt bij inschrijving %s", c.entry(v.Against))
	case ledger.Forked:
		class = c.f("bifurcation, voir l'entrée %s", "vertakking, zie inschrijving %s", c.entry(v.Against))
	case ledger.AfterRetirement:
		class = c.f("après le retrait de la clé, entrée %s", "na de intrekking van de sleutel, inschrijving %s", c.entry(v.Against))
	case ledger.OutOfTurn:
		class = c.t("avenant hors de son tour", "aanvulling niet aan de beurt")
	case ledger.Orphaned:
		class = c.f("sans effet, voir l'entrée %s", "zonder gevolg, zie inschrijving %s", c.entry(v.Against))
	}
	if said != "" && class != "" {
		return said + " ; " + class
	}
	return said + class
}
