package preparation

import (
	"fmt"
	"strings"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// Receipt is the receipt of a key (decree, article 7 §1), plain text in French and
// Dutch, to be printed and signed at the hand-over. The digest pins every file of
// the key: whoever checks the key later compares it with this paper.
func Receipt(k *register.Stick) string {
	c, err := k.Manifest.Commune(k.Commune)
	if err != nil {
		panic(fmt.Sprintf("key %s was read: %v", k.Number, err))
	}
	kind := "RÉPÉTITION / REPETITIE"
	if k.Manifest.Kind == election.Live {
		kind = "ÉLECTION RÉELLE / ECHTE VERKIEZING"
	}
	names := Commune{FR: c.NameFR, NL: c.NameNL}
	var b strings.Builder
	b.WriteString(`RÉCÉPISSÉ D'UNE CLÉ USB CRYPTÉE
ONTVANGSTBEWIJS VAN EEN VERSLEUTELDE USB-SLEUTEL

Arrêté ministériel du 16 juillet 2024, article 7, § 1er
Ministerieel besluit van 16 juli 2024, artikel 7, § 1

`)
	line := func(what, text string) { fmt.Fprintf(&b, "%-34s %s\n", what, text) }
	line("Élection / Verkiezing :", k.Manifest.Election+" ("+kind+")")
	line("Commune / Gemeente :", names.String())
	line("Bureau de vote / Stembureau :", fmt.Sprintf("%d, %s", k.Bureau, c.Bureau(k.Bureau).Place))
	line("Clé n° / Sleutel nr. :", k.Number)
	digest := k.Digest.String()
	line("Empreinte / Vingerafdruk :", grouped(digest[:32]))
	line("(SHA-256)", grouped(digest[32:]))
	b.WriteByte('\n')
	for _, what := range []string{
		"Remise par / Overhandigd door :", "Reçue par / Ontvangen door :", "Date et heure / Datum en uur :", "Signatures / Handtekeningen :",
	} {
		line(what, strings.Repeat("_", 40))
		b.WriteByte('\n')
	}
	b.WriteString(`La clé est remise dans une pochette scellée; la phrase secrète, dans une autre lettre.
De sleutel wordt in een verzegelde omslag overhandigd; de wachtzin in een andere brief.
`)
	return b.String()
}

// grouped writes digits in groups of four, to be compared by eye.
func grouped(digits string) string {
	var groups []string
	for ; len(digits) > 4; digits = digits[4:] {
		groups = append(groups, digits[:4])
	}
	return strings.Join(append(groups, digits), " ")
}

// minDigestTyped is how many digits of a digest a person types at least.
const minDigestTyped = 16

// digestMatches says whether what a person typed is the digest or its beginning;
// spaces do not matter.
func digestMatches(typed string, d ledger.Hash) bool {
	typed = strings.ToLower(strings.ReplaceAll(typed, " ", ""))
	return len(typed) >= minDigestTyped && strings.HasPrefix(d.String(), typed)
}
