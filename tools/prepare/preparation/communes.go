// Package preparation makes an election before the day and ends it after: it reads
// communes' lists of electors, divides and numbers them, writes the manifest, the
// keys and the sealed registers, keeps the register of custody, and destroys all of it.
package preparation

import (
	"fmt"
	"strings"

	"pointage/ledger"
	"pointage/node/register"
)

// Commune is one of the Region's nineteen.
type Commune struct {
	INS      ledger.Commune
	FR, NL   string
	Postcode string
	// Electors and Bureaux are estimates, for simulations only; never to be
	// shown as facts.
	Electors, Bureaux int
}

// Communes are the nineteen, by INS code. Names, codes and postcodes: Statbel,
// population on 1 January 2020 (open data).
var Communes = []Commune{
	{21001, "Anderlecht", "Anderlecht", "1070", 62_000, 71},
	{21002, "Auderghem", "Oudergem", "1160", 21_000, 24},
	{21003, "Berchem-Sainte-Agathe", "Sint-Agatha-Berchem", "1082", 15_000, 17},
	{21004, "Bruxelles", "Brussel", "1000", 87_500, 100},
	{21005, "Etterbeek", "Etterbeek", "1040", 24_000, 27},
	{21006, "Evere", "Evere", "1140", 24_000, 27},
	{21007, "Forest", "Vorst", "1190", 30_000, 34},
	{21008, "Ganshoren", "Ganshoren", "1083", 15_500, 17},
	{21009, "Ixelles", "Elsene", "1050", 43_000, 49},
	{21010, "Jette", "Jette", "1090", 31_000, 35},
	{21011, "Koekelberg", "Koekelberg", "1081", 12_000, 14},
	{21012, "Molenbeek-Saint-Jean", "Sint-Jans-Molenbeek", "1080", 51_000, 58},
	{21013, "Saint-Gilles", "Sint-Gillis", "1060", 24_000, 27},
	{21014, "Saint-Josse-ten-Noode", "Sint-Joost-ten-Node", "1210", 13_000, 12},
	{21015, "Schaerbeek", "Schaarbeek", "1030", 67_000, 75},
	{21016, "Uccle", "Ukkel", "1180", 51_000, 58},
	{21017, "Watermael-Boitsfort", "Watermaal-Bosvoorde", "1170", 18_500, 24},
	{21018, "Woluwe-Saint-Lambert", "Sint-Lambrechts-Woluwe", "1200", 34_000, 38},
	{21019, "Woluwe-Saint-Pierre", "Sint-Pieters-Woluwe", "1150", 26_500, 30},
}

// FindCommune is the commune with that INS code.
func FindCommune(ins ledger.Commune) (Commune, error) {
	for _, c := range Communes {
		if c.INS == ins {
			return c, nil
		}
	}
	return Commune{}, fmt.Errorf("no commune of the Region has the INS code %d: they are 21001 to 21019", ins)
}

// IsNamed says whether a text is the commune's French or Dutch name; case,
// accents, hyphens and spaces do not matter.
func (c Commune) IsNamed(text string) bool {
	if text == c.FR || text == c.NL {
		return true
	}
	name := plainName(text)
	return name == plainName(c.FR) || name == plainName(c.NL)
}

// String is both names, or the one when they are the same.
func (c Commune) String() string {
	if c.FR == c.NL {
		return c.FR
	}
	return c.FR + " / " + c.NL
}

func plainName(s string) string {
	return strings.NewReplacer("-", "", " ", "", "'", "", "’", "").Replace(register.Fold(s))
}
