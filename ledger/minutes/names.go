package minutes

import (
	"cmp"
	"slices"

	"pointage/ledger"
	"pointage/ledger/plaintext"
)

// Names is what the sealed files tell of members; whoever opened them hands it in.
type Names struct {
	// Convened is the commune's list of members.
	Convened []Convened
	// Name is the name of somebody on the register, "" for nobody's.
	Name func(ledger.NationalNumber) string
	// Open opens a text that was sealed for the commune.
	Open func(sealed []byte) ([]byte, error)
}

// Convened is a row of the list of members: numbers as in node/register.
type Convened struct {
	Number         uint16
	Bureau         ledger.BureauNumber
	Function       uint8
	NationalNumber ledger.NationalNumber
}

// members are those of a bureau by number: the convened, and whoever else stands in its statements.
func (c *Collector) members(s *station, names *Names) (out []Member) {
	firstReplacement, _ := plaintext.ReplacementNumber(1, 0)
	find := func(number uint16) *Member {
		if i := slices.IndexFunc(out, func(m Member) bool { return m.Number == number }); i >= 0 {
			return &out[i]
		}
		out = append(out, Member{Bureau: s.Number, Number: number, Replacement: number >= firstReplacement})
		return &out[len(out)-1]
	}
	if names != nil {
		// Somebody convened for another bureau may have been sent here.
		for _, v := range names.Convened {
			if v.Bureau == s.Number || slices.ContainsFunc(s.attended, func(a attended) bool { return a.member == v.Number }) {
				m := find(v.Number)
				m.Function, m.Name = v.Function, names.Name(v.NationalNumber)
			}
		}
	}
	for _, a := range s.attended {
		find(a.member).Presence = a.presence
	}
	for _, i := range s.lists.Incidents.Rows {
		if r := i.replacement(names); r != nil && i.Bureau == s.Number && r.Bureau == s.Number && r.Number >= firstReplacement {
			m := find(r.Number)
			m.Function, m.Name, m.For = r.Function, names.Name(r.NationalNumber), r.For
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// replacement is what the incident declares, nil when it is another or can't be opened.
func (i *Incident) replacement(names *Names) *plaintext.Replacement {
	if names == nil || i.Sealed == nil {
		return nil
	}
	plain, err := names.Open(i.Sealed)
	if err != nil {
		return nil // sealed to somebody else, or damaged: the number stands in the minutes all the same
	}
	r, err := plaintext.DecodeReplacement(plain)
	if err != nil {
		return nil
	}
	return r
}
