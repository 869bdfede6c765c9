package preparation

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"pointage/ledger"
	"pointage/node/register"
)

// ElectorsPerBureau is the Region's mean on 13 October 2024: nearly 650,000
// electors in 737 bureaux.
const ElectorsPerBureau = 885

// Divide gives every elector a bureau (decree, article 1 §2). Who has one in
// the file keeps it. The others are divided so that the bureaux come out even:
// a sector stays together in one bureau, unless it is larger than an even share;
// who has no sector follows the order of the streets, so that neighbours vote
// together. n is the number of bureaux; 0 takes the file's largest one, or, when
// it names none, one for each ElectorsPerBureau electors. The same list is
// always divided the same way.
func (l *List) Divide(n int) error {
	if n == 0 {
		n = l.Bureaux
	}
	if n == 0 {
		n = max(1, len(l.People)/ElectorsPerBureau)
	}
	if n < l.Bureaux {
		return fmt.Errorf("divide list of %d: %d bureaux, but the list names bureau %d: give at least as many", l.Commune.INS, n, l.Bureaux)
	}
	if n > ledger.MaxBureaux {
		return fmt.Errorf("divide list of %d: %d bureaux, at most %d", l.Commune.INS, n, ledger.MaxBureaux)
	}
	l.Bureaux = n
	loads := make([]int, n)
	var loose []*Person
	sectors := map[string][]*Person{}
	for i := range l.People {
		switch p := &l.People[i]; {
		case p.Bureau != 0:
			loads[p.Bureau-1]++
		case p.Sector != "":
			sectors[p.Sector] = append(sectors[p.Sector], p)
		default:
			loose = append(loose, p)
		}
	}
	for _, part := range sectorParts(sectors, (len(l.People)+n-1)/n) {
		b := slices.Index(loads, slices.Min(loads))
		for _, p := range part {
			p.Bureau = ledger.BureauNumber(b + 1)
		}
		loads[b] += len(part)
	}
	inStreetOrder(loose)
	for b, room := range evenShares(loads, len(loose)) {
		for _, p := range loose[:room] {
			p.Bureau = ledger.BureauNumber(b + 1)
		}
		loose = loose[room:]
	}
	return nil
}

// sectorParts are the sectors, the largest first; one that exceeds an even share
// is cut along its streets.
func sectorParts(sectors map[string][]*Person, share int) [][]*Person {
	names := make([]string, 0, len(sectors))
	for name := range sectors {
		names = append(names, name)
	}
	slices.Sort(names)
	var parts [][]*Person
	for _, name := range names {
		people := sectors[name]
		inStreetOrder(people)
		pieces := (len(people) + share - 1) / share
		for k := range pieces {
			parts = append(parts, people[k*len(people)/pieces:(k+1)*len(people)/pieces])
		}
	}
	slices.SortStableFunc(parts, func(a, b []*Person) int { return cmp.Compare(len(b), len(a)) })
	return parts
}

// evenShares says how many of count more electors each bureau gets so that the
// sums come out as even as they can.
func evenShares(loads []int, count int) []int {
	// The highest level that count electors can fill up to, by halving.
	low, high := 0, slices.Max(loads)+count+1
	needed := func(level int) (sum int) {
		for _, load := range loads {
			sum += max(0, level-load)
		}
		return sum
	}
	for high-low > 1 {
		if mid := low + (high-low)/2; needed(mid) <= count {
			low = mid
		} else {
			high = mid
		}
	}
	shares := make([]int, len(loads))
	rest := count - needed(low)
	for b, load := range loads {
		shares[b] = max(0, low-load)
		if rest > 0 && load <= low {
			shares[b]++
			rest--
		}
	}
	return shares
}

func inStreetOrder(people []*Person) {
	type key struct {
		street string
		house  int
	}
	keys := make(map[*Person]key, len(people))
	for _, p := range people {
		a := &p.Address
		keys[p] = key{a.Postcode + " " + register.Fold(a.Street), houseNumber(a.Number)}
	}
	slices.SortFunc(people, func(a, b *Person) int {
		ka, kb := keys[a], keys[b]
		return cmp.Or(strings.Compare(ka.street, kb.street), cmp.Compare(ka.house, kb.house),
			strings.Compare(a.Address.Number, b.Address.Number), strings.Compare(a.Address.Box, b.Address.Box),
			a.NationalNumber.Compare(b.NationalNumber))
	})
}

// houseNumber is the number that a text begins with: 12 for "12A".
func houseNumber(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return math.MaxInt
	}
	return n
}

// Number gives every elector without one a convocation number (decree, article 1
// §2): the serials that the file leaves free, from 1 on and 0 last, by bureau and
// name. method must be the list's own when it has numbers.
func (l *List) Number(method ledger.Modulo97) error {
	if l.Method != 0 && l.Method != method {
		return fmt.Errorf("number list of %d: its check digits are by %v, this election's by %v", l.Commune.INS, l.Method, method)
	}
	used := make([]bool, ledger.MaxConvocationSerial+1)
	var without []*Person
	for i := range l.People {
		p := &l.People[i]
		if p.ConvocationNumber.IsZero() {
			without = append(without, p)
		} else {
			used[p.ConvocationNumber.Serial()] = true
		}
	}
	names := make(map[*Person]string, len(without))
	for _, p := range without {
		names[p] = register.Fold(p.Surname) + "\x00" + register.Fold(p.FirstNames)
	}
	slices.SortFunc(without, func(a, b *Person) int {
		return cmp.Or(cmp.Compare(a.Bureau, b.Bureau), strings.Compare(names[a], names[b]), a.NationalNumber.Compare(b.NationalNumber))
	})
	serial := 0 // the last one given
	for _, p := range without {
		for serial++; serial < len(used) && used[serial]; serial++ {
		}
		if serial == len(used) && !used[0] {
			used[0] = true
			serial = 0
		} else if serial >= len(used) {
			return fmt.Errorf("number list of %d: %w", l.Commune.INS, errNoSerial)
		}
		number, err := ledger.NewConvocationNumber(l.Commune.INS, uint32(serial), method)
		if err != nil {
			return fmt.Errorf("number list of %d: %w", l.Commune.INS, err)
		}
		p.ConvocationNumber = number
		if serial == 0 {
			serial = len(used) - 1
		}
	}
	l.Method = method
	return nil
}

var errNoSerial = errors.New("no number is left of the commune's 100,000")
