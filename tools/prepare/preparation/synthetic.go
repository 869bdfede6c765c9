package preparation

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"pointage/ledger"
)

// Birth years of synthetic electors: of age, and none too old to be believed.
const (
	firstBirthYear = 1932
	lastBirthYear  = 2007
	// datesTried is how many birthdays in a row are tried for a number that is
	// given to nobody, before a bis number is taken.
	datesTried = 90
)

// Synthetic writes a list of n invented electors of a commune, as Import reads
// it, without sector, bureau and convocation number. The same seed writes the
// same list.
//
// Their national numbers are valid, and none can be a real person's: the serials
// are 000 and 999, which the National Register does not give; where the dates run
// out, bis numbers with those serials follow.
func Synthetic(w io.Writer, seed uint64, ins ledger.Commune, n int) error {
	commune, err := FindCommune(ins)
	if err != nil {
		return fmt.Errorf("write synthetic list: %w", err)
	}
	if n < 1 || n > ledger.MaxElectors {
		return fmt.Errorf("write synthetic list: %d electors, a commune has 1 to %d", n, ledger.MaxElectors)
	}
	g := generator{rng: rand.New(rand.NewPCG(seed, uint64(ins))), taken: make(map[uint64]bool, n)}
	out := csv.NewWriter(w)
	if err := out.Write(columns[:requiredColumns]); err != nil {
		return fmt.Errorf("write synthetic list: %w", err)
	}
	for range n {
		if err := out.Write(g.elector(commune)); err != nil {
			return fmt.Errorf("write synthetic list: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write synthetic list: %w", err)
	}
	return nil
}

type generator struct {
	rng   *rand.Rand
	taken map[uint64]bool // national numbers
}

// elector is one row, the required columns in their order.
func (g *generator) elector(commune Commune) []string {
	c := g.community()
	woman := g.rng.IntN(100) < 52
	dutch := g.rng.IntN(100) < c.dutch
	firsts := c.men
	if woman {
		firsts = c.women
	}
	municipality := commune.FR
	if dutch {
		municipality = commune.NL
	}
	number := strconv.Itoa(1 + g.rng.IntN(180))
	if g.rng.IntN(20) == 0 {
		number += string(rune('A' + g.rng.IntN(3)))
	}
	box := ""
	if g.rng.IntN(3) == 0 {
		box = strconv.Itoa(1 + g.rng.IntN(24))
	}
	language := "fr"
	if dutch {
		language = "nl"
	}
	return []string{
		g.nationalNumber(woman).Printed(), pick(g.rng, c.surnames), g.firstNames(firsts),
		pick(g.rng, streets[dutch]), number, box, commune.Postcode, municipality, language,
	}
}

func (g *generator) community() *community {
	share := g.rng.IntN(100)
	for i := range communities {
		if share -= communities[i].share; share < 0 {
			return &communities[i]
		}
	}
	panic(fmt.Sprintf("the communities' shares are %d short of 100", share+1))
}

// firstNames are one to three different ones.
func (g *generator) firstNames(from []string) string {
	all := pick(g.rng, from)
	for last := all; g.rng.IntN(100) < 45; {
		next := pick(g.rng, from)
		if next == last || len(all)+len(next) > 48 {
			break
		}
		all, last = all+" "+next, next
	}
	return all
}

// nationalNumber draws one that nobody has. Serials are even for women and odd
// for men, as in the National Register.
func (g *generator) nationalNumber(woman bool) ledger.NationalNumber {
	serial := uint64(999)
	if woman {
		serial = 0
	}
	for {
		// Two draws and their mean: fewer of the oldest and the youngest.
		span := lastBirthYear - firstBirthYear + 1
		year := firstBirthYear + (g.rng.IntN(span)+g.rng.IntN(span))/2
		day := g.rng.IntN(12 * 28)
		for _, bis := range []int{0, 40, 20} {
			for k := range datesTried {
				d := (day + k) % (12 * 28) // every month has 28 days
				body := uint64(year%100)*1e7 + uint64(d/28+1+bis)*1e5 + uint64(d%28+1)*1e3 + serial
				value := body*100 + ledger.NationalCheckDigits(body, year >= 2000)
				if g.taken[value] {
					continue
				}
				g.taken[value] = true
				n, err := ledger.NationalNumberOf(value)
				if err != nil {
					panic(fmt.Sprintf("national number %d is drawn and refused: %v", value, err))
				}
				return n
			}
		}
	}
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }
