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

// Unit is what a division keeps together in one bureau.
type Unit uint8

// The units. Balanced keeps sectors together as long as that leaves the bureaux
// even, and neighbours by the order of the streets; BySector and ByStreet never
// cut a sector or a street.
const (
	Balanced Unit = iota
	BySector
	ByStreet
)

// ParseUnit reads "balanced", "sector" or "street".
func ParseUnit(text string) (Unit, error) {
	if k := slices.Index(units[:], text); k >= 0 {
		return Unit(k), nil
	}
	return 0, fmt.Errorf("%q is neither balanced, sector nor street", text)
}

var units = [...]string{"balanced", "sector", "street"}

// String is what ParseUnit reads.
func (u Unit) String() string { return units[u] }

// Division says how a list is divided.
type Division struct {
	// Bureaux is how many there are; 0 takes the list's largest one, or, when it
	// names none, one for each ElectorsPerBureau electors and as many as Largest asks.
	Bureaux int
	Unit    Unit
	// Smallest and Largest bound a bureau's electors; 0 is no bound.
	Smallest, Largest int
	// Anew takes away the bureaux that electors have, the file's own too.
	Anew bool
}

// Divide is DivideBy with n bureaux, balanced and without bounds.
func (l *List) Divide(n int) error { return l.DivideBy(Division{Bureaux: n}) }

// DivideBy gives every elector a bureau (decree, article 1 §2). Who has one keeps
// it. The others are divided so that the bureaux come out as even as the unit
// allows. The same list is always divided the same way. When a bureau lies outside
// the bounds the list is left as it was.
func (l *List) DivideBy(d Division) error {
	n, err := l.bureaux(&d)
	if err != nil {
		return fmt.Errorf("divide list of %d: %w", l.Commune.INS, err)
	}
	before := make([]ledger.BureauNumber, len(l.People))
	for i := range l.People {
		before[i] = l.People[i].Bureau
		if d.Anew {
			l.People[i].Bureau = 0
		}
	}
	loads := make([]int, n)
	if err = l.divide(&d, loads); err == nil {
		err = d.within(loads)
	}
	if err != nil {
		for i := range l.People {
			l.People[i].Bureau = before[i]
		}
		return fmt.Errorf("divide list of %d: %w", l.Commune.INS, err)
	}
	l.Bureaux = n
	return nil
}

// bureaux is how many there will be.
func (l *List) bureaux(d *Division) (int, error) {
	n, named := d.Bureaux, l.Bureaux
	if d.Anew {
		named = 0
	}
	if n == 0 {
		n = named
	}
	if n == 0 {
		n = max(1, len(l.People)/ElectorsPerBureau)
		if d.Largest > 0 {
			n = max(n, (len(l.People)+d.Largest-1)/d.Largest)
		}
	}
	switch {
	case n < named:
		return 0, refused(whyBureau, "%d bureaux, but the list names bureau %d: give at least as many", n, named)
	case n > ledger.MaxBureaux:
		return 0, fmt.Errorf("%d bureaux, at most %d", n, ledger.MaxBureaux)
	case d.Largest > 0 && d.Smallest > d.Largest:
		return 0, refused(whyBounds, "bounds of %d to %d electors: the smallest is above the largest", d.Smallest, d.Largest)
	}
	return n, nil
}

// within says which bureau lies outside the bounds.
func (d *Division) within(loads []int) error {
	for b, load := range loads {
		if load < d.Smallest {
			return refused(whyBounds, "bureau %d would have %d electors, at least %d are asked for: take fewer bureaux, or cut otherwise", b+1, load, d.Smallest)
		}
		if d.Largest > 0 && load > d.Largest {
			return refused(whyBounds, "bureau %d would have %d electors, at most %d are asked for: take more bureaux, or cut otherwise", b+1, load, d.Largest)
		}
	}
	return nil
}

func (l *List) divide(d *Division, loads []int) error {
	var loose []*Person
	together := map[string][]*Person{}
	for i := range l.People {
		p := &l.People[i]
		key := p.Sector
		if d.Unit == ByStreet {
			key = streetOf(p)
		}
		switch {
		case p.Bureau != 0:
			loads[p.Bureau-1]++
		case key != "":
			together[key] = append(together[key], p)
		case d.Unit != Balanced:
			return fmt.Errorf("the elector of line %d has no %s: give it, or divide balanced", p.Line, d.Unit)
		default:
			loose = append(loose, p)
		}
	}
	share := len(l.People) // a unit is never cut
	if d.Unit == Balanced {
		share = (len(l.People) + len(loads) - 1) / len(loads)
	}
	for _, part := range unitParts(together, share) {
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
		loads[b] += room
	}
	return nil
}

// streetOf is the postcode and street of a person, "" without a street.
func streetOf(p *Person) string {
	if p.Address.Street == "" {
		return ""
	}
	return p.Address.Postcode + " " + register.Fold(p.Address.Street)
}

// unitParts are the sectors or streets, the largest first; one that exceeds the
// share is cut along its streets.
func unitParts(sectors map[string][]*Person, share int) [][]*Person {
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
	type place struct {
		street string
		house  int
		*Person
	}
	folded := map[string]string{}
	places := make([]place, len(people))
	for i, p := range people {
		a := &p.Address
		street, known := folded[a.Street]
		if !known {
			street = register.Fold(a.Street)
			folded[a.Street] = street
		}
		places[i] = place{a.Postcode + " " + street, houseNumber(a.Number), p}
	}
	slices.SortFunc(places, func(a, b place) int {
		if c := cmp.Or(strings.Compare(a.street, b.street), cmp.Compare(a.house, b.house)); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(a.Address.Number, b.Address.Number), strings.Compare(a.Address.Box, b.Address.Box),
			a.NationalNumber.Compare(b.NationalNumber))
	})
	for i := range places {
		people[i] = places[i].Person
	}
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
// name. method must be the list's own when it has numbers. Retired serials, of
// electors who were struck off, are given to nobody.
func (l *List) Number(method ledger.Modulo97, retired ...uint32) error {
	if l.Method != 0 && l.Method != method {
		return refused(whyMixed, "number list of %d: its check digits are by %v, this election's by %v", l.Commune.INS, l.Method, method)
	}
	used := make([]bool, ledger.MaxConvocationSerial+1)
	for _, serial := range retired {
		used[serial] = true
	}
	type named struct {
		name string
		*Person
	}
	var without []named
	for i := range l.People {
		p := &l.People[i]
		if p.ConvocationNumber.IsZero() {
			without = append(without, named{register.Fold(p.Surname) + "\x00" + register.Fold(p.FirstNames), p})
		} else {
			used[p.ConvocationNumber.Serial()] = true
		}
	}
	slices.SortFunc(without, func(a, b named) int {
		if a.Bureau != b.Bureau {
			return cmp.Compare(a.Bureau, b.Bureau)
		}
		return cmp.Or(strings.Compare(a.name, b.name), a.NationalNumber.Compare(b.NationalNumber))
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
