package preparation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"pointage/ledger"
	"pointage/node/register"
)

// The columns of a file of candidates, as MARTINE writes them: one candidature a
// row. Only national_number and list must be there; commune, an INS code, is
// checked when given, the others are passed over.
var candidateColumns = []string{"national_number", "list", "commune", "place", "surname", "first_names"}

const (
	canNational = iota
	canList
	canCommune
	// MaxCandidates is how many rows a file of candidates has.
	MaxCandidates = 5000
	// requiredCandidateColumns must be there.
	requiredCandidateColumns = 2
)

// Mark gives the mark of a candidate to those whom a file from MARTINE names, and
// takes it from all others (decree, article 6): the lists of candidates are final.
// It says how many are marked, and traces each mark given or taken. With bad rows
// nothing is changed: who is not on the list of electors, who stands twice, who
// was designated as a member of a bureau.
func (w *Working) Mark(ctx context.Context, r io.Reader) (int, []Trace, []BadRow, error) {
	place := w.places()
	lines := map[int]int{}
	t := table{columns: candidateColumns, required: requiredCandidateColumns, maxRows: MaxCandidates}
	err := t.read(ctx, r, func(line int, get []string) error {
		at, err := find(place, get[canNational])
		switch {
		case err != nil:
			return err
		case get[canList] == "":
			return errors.New("list: it is empty")
		case get[canCommune] != "" && get[canCommune] != strconv.Itoa(int(w.List.Commune.INS)):
			return refused(whyCommune, "commune: a candidature in another commune")
		case lines[at] > 0:
			return refused(whyTwice, "national_number: the same as on line %d: nobody stands twice", lines[at])
		case w.List.People[at].Member != 0:
			return refused(whyCandidate, "national_number: this candidate is designated as %v of bureau %d: replace that member first",
				w.List.People[at].Function, w.List.People[at].Serves)
		}
		lines[at] = line
		return nil
	})
	if err != nil || len(t.bad) > 0 {
		return 0, nil, t.bad, err
	}
	var traces []Trace
	for i := range w.List.People {
		p := &w.List.People[i]
		line, marked := lines[i]
		if p.Candidate == marked {
			continue
		}
		act := "unmark candidate"
		if marked {
			act = "mark candidate"
		}
		p.Candidate = marked
		traces = append(traces, Trace{Act: act, Why: "MARTINE", Line: line, Elector: p.NationalNumber.Printed()})
	}
	return len(lines), traces, nil, nil
}

// The columns of a file of members.
var memberColumns = []string{"national_number", "bureau", "function"}

const (
	memNational = iota
	memBureau
	memFunction
)

type designation struct {
	line     int
	bureau   ledger.BureauNumber
	function register.Function
}

// Designate makes those whom a file names the members of the commune's bureaux
// (decree, article 8 §1), and nobody else. It refuses candidates, who is not on
// the list of electors, unknown bureaux, who is named twice, and a second
// president, deputy or secretary of a bureau; with bad rows nothing is changed.
// Members vote where they serve: see Person.Home. Who was a member before keeps
// the number.
func (w *Working) Designate(ctx context.Context, r io.Reader) (int, []Trace, []BadRow, error) {
	if w.Bureaux == 0 {
		return 0, nil, nil, refused(whyTurn, "the list of %d is not divided yet: divide it first, since a member serves in a bureau", w.List.Commune.INS)
	}
	place := w.places()
	named := map[int]designation{}
	single := map[string]int{}
	t := table{columns: memberColumns, required: len(memberColumns), maxRows: register.MaxMembers}
	err := t.read(ctx, r, func(line int, get []string) error {
		d := designation{line: line}
		at, err := find(place, get[memNational])
		if err != nil {
			return err
		}
		if d.bureau, err = parseBureau(get[memBureau], w.Bureaux); err != nil {
			return fmt.Errorf("bureau: %w", err)
		}
		if d.function, err = register.ParseFunction(strings.ToLower(get[memFunction])); err != nil {
			return fmt.Errorf("function: %w", err)
		}
		office := fmt.Sprintf("%v of bureau %d", d.function, d.bureau)
		switch first, twice := named[at]; {
		case w.List.People[at].Candidate:
			return refused(whyCandidate, "national_number: a candidate can't be a member of a bureau")
		case twice:
			return refused(whyTwice, "national_number: the same as on line %d", first.line)
		case d.function <= register.Secretary && single[office] > 0:
			return refused(whyTwice, "function: the %s stands on line %d", office, single[office])
		}
		single[office], named[at] = line, d
		return nil
	})
	if err != nil || len(t.bad) > 0 {
		return 0, nil, t.bad, err
	}
	traces, err := w.designate(named)
	return len(named), traces, nil, err
}

func (w *Working) designate(named map[int]designation) ([]Trace, error) {
	var traces []Trace
	var fresh []int
	for i := range w.List.People {
		p := &w.List.People[i]
		d, member := named[i]
		if p.Function == d.function && p.Serves == d.bureau {
			continue
		}
		before := office(p)
		p.Function, p.Serves = d.function, d.bureau
		t := Trace{Act: "designate", Line: d.line, Elector: p.NationalNumber.Printed(), Before: before, After: office(p)}
		if !member {
			t.Act, p.Member = "release member", 0
		} else if p.Member == 0 {
			fresh = append(fresh, i)
		}
		traces = append(traces, t)
	}
	people := w.List.People
	slices.SortFunc(fresh, func(a, b int) int {
		return cmp.Or(cmp.Compare(people[a].Serves, people[b].Serves), cmp.Compare(people[a].Function, people[b].Function), a-b)
	})
	for _, i := range fresh {
		if w.LastMember == 1<<16-1 {
			return nil, errors.New("no number is left for another member")
		}
		w.LastMember++
		people[i].Member = w.LastMember
	}
	return traces, nil
}

func office(p *Person) map[string]string {
	if p.Function == 0 {
		return nil
	}
	return map[string]string{columns[colFunction]: p.Function.String(), columns[colServes]: strconv.Itoa(int(p.Serves))}
}

// places are the electors' places in the list.
func (w *Working) places() map[ledger.NationalNumber]int {
	out := make(map[ledger.NationalNumber]int, len(w.List.People))
	for i := range w.List.People {
		out[w.List.People[i].NationalNumber] = i
	}
	return out
}

func find(place map[ledger.NationalNumber]int, text string) (int, error) {
	n, err := ledger.ParseNationalNumber(text)
	if err != nil {
		return 0, fmt.Errorf("national_number: %w", err)
	}
	at, listed := place[n]
	if !listed {
		return 0, refused(whyStranger, "national_number: not on the commune's list of electors")
	}
	return at, nil
}

// The columns of a file of bureaux: where each sits, and whether it is the
// principal bureau, its deputy, or the seat of a second person of amendments.
var bureauColumns = []string{"bureau", "place", "role"}

// Offices is what a file of bureaux says.
type Offices struct {
	Principal, Deputy ledger.BureauNumber
	Seconds           []ledger.BureauNumber
	Places            map[ledger.BureauNumber]string
}

// ReadOffices reads a file of bureaux; bureaux is how many the commune has, 0 when
// that is not known yet.
func ReadOffices(ctx context.Context, r io.Reader, bureaux int) (Offices, []BadRow, error) {
	o := Offices{Places: map[ledger.BureauNumber]string{}}
	t := table{columns: bureauColumns, required: 2, maxRows: ledger.MaxBureaux}
	err := t.read(ctx, r, func(_ int, get []string) error {
		n, err := parseBureau(get[0], bureaux)
		if err != nil {
			return fmt.Errorf("bureau: %w", err)
		}
		if _, twice := o.Places[n]; twice {
			return refused(whyTwice, "bureau: bureau %d is there twice", n)
		}
		if get[1] == "" || len(get[1]) > ledger.MaxPlace || !printable(get[1]) {
			return fmt.Errorf("place: give 1 to %d printable bytes", ledger.MaxPlace)
		}
		o.Places[n] = get[1]
		switch strings.ToLower(get[2]) {
		case "":
		case "principal":
			if o.Principal != 0 {
				return fmt.Errorf("role: bureau %d is the principal one", o.Principal)
			}
			o.Principal = n
		case "deputy":
			if o.Deputy != 0 {
				return fmt.Errorf("role: bureau %d is the deputy", o.Deputy)
			}
			o.Deputy = n
		case "second":
			o.Seconds = append(o.Seconds, n)
		default:
			return errors.New("role: neither principal, deputy, second nor empty")
		}
		return nil
	})
	return o, t.bad, err
}
