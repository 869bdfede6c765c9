package platform

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// member is somebody convened as a member of a bureau (decree, art. 8 §1).
type member struct {
	Number         uint16 `json:"member"` // in statements of attendance
	NationalNumber string `json:"national_number"`
	Bureau         uint16 `json:"bureau"`
	Function       string `json:"function"`
}

var (
	memberColumns   = []string{"member", "national_number", "bureau", "function"}
	memberFunctions = []string{"president", "deputy", "secretary", "assessor", "substitute"}
)

// maxMembers is how many people a commune convenes.
const maxMembers = 8192

func (rg *Region) members(c ledger.Commune) ([]member, error) {
	key, err := rg.vault.of(c)
	if err != nil {
		return nil, err
	}
	at := communeKeyed('m', c)
	sealed, err := rg.st.get(at)
	if err != nil || sealed == nil {
		return nil, err
	}
	raw, err := key.unlock(at, sealed)
	if err != nil {
		return nil, fmt.Errorf("open members: %w", err)
	}
	var all []member
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("open members: %w", err)
	}
	return all, nil
}

// writeMembers is PUT /communes/{ins}/members: the whole list of convened members. A candidate, or
// who is not on the list of electors, is refused (decree, art. 6).
func (rg *Region) writeMembers(c *call) (*outcome, error) {
	raw, out := c.body(MaxListUpload)
	if out != nil {
		return out, nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	c.lock()
	var all []member
	seen := map[string]bool{}
	t := csvTable{columns: memberColumns, required: len(memberColumns), maxRows: maxMembers}
	bad, out := t.read(raw, func(_ int, get []string) error {
		m, err := rg.parseMember(c.commune, key, get)
		if err != nil {
			return err
		}
		if seen[m.NationalNumber] || seen[strconv.Itoa(int(m.Number))] {
			return fmt.Errorf("member, national_number: given twice")
		}
		seen[m.NationalNumber], seen[strconv.Itoa(int(m.Number))] = true, true
		all = append(all, m)
		return nil
	})
	if out != nil {
		return out, nil
	}
	if len(bad) > 0 {
		return refuseRows(bad), nil
	}
	plain, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("write members: %w", err)
	}
	before, err := rg.members(c.commune)
	if err != nil {
		return nil, err
	}
	out = answerJSON(http.StatusOK, map[string]int{"members": len(all)})
	out.count, out.content = len(all), key.digestOf(raw)
	for _, n := range designated(before, all) {
		out.subjects = append(out.subjects, key.subjectOf(n))
	}
	out.change = func(b *pebble.Batch) error {
		at := communeKeyed('m', c.commune)
		return b.Set(at, key.lock(at, plain), nil)
	}
	return out, nil
}

// designated are those whom a new list of members designates, releases, or designates otherwise.
func designated(before, after []member) (out []ledger.NationalNumber) {
	was := map[string]member{}
	for _, m := range before {
		was[m.NationalNumber] = m
	}
	add := func(m member) {
		if n, err := ledger.ParseNationalNumber(m.NationalNumber); err == nil { // it was read before
			out = append(out, n)
		}
	}
	for _, m := range after {
		if was[m.NationalNumber] != m {
			add(m)
		}
		delete(was, m.NationalNumber)
	}
	for _, m := range before {
		if _, released := was[m.NationalNumber]; released {
			add(m)
		}
	}
	return out
}

func (rg *Region) parseMember(c ledger.Commune, key *communeKey, get []string) (m member, err error) {
	number, err := strconv.ParseUint(get[0], 10, 16)
	if err != nil || number == 0 {
		return m, fmt.Errorf("member: not a number from 1 to 65535")
	}
	n, err := rg.onList(c, key, get[1])
	if err != nil {
		return m, err
	}
	e, err := rg.electorAt(c, key.place(n))
	if err != nil {
		return m, err
	}
	bureau, err := strconv.ParseUint(get[2], 10, 16)
	switch {
	case err != nil || rg.communes[c].group.Bureaux[ledger.BureauNumber(bureau)] == nil:
		return m, fmt.Errorf("bureau: the commune has no such bureau")
	case !slices.Contains(memberFunctions, get[3]):
		return m, fmt.Errorf("function: one of %v", memberFunctions)
	case e.Candidate:
		return m, fmt.Errorf("national_number: a candidate can't be a member of a bureau")
	}
	return member{uint16(number), n.Digits(), uint16(bureau), get[3]}, nil
}

// readMembers is GET /communes/{ins}/members.
func (rg *Region) readMembers(c *call) (*outcome, error) {
	all, err := rg.members(c.commune)
	if err != nil {
		return nil, err
	}
	rows := make([][]string, len(all))
	for i, m := range all {
		rows[i] = []string{strconv.Itoa(int(m.Number)), m.NationalNumber, strconv.Itoa(int(m.Bureau)), m.Function}
	}
	return answerCSV(memberColumns, rows), nil
}

// absentMembers is GET /communes/{ins}/absent-members: who was convened and did not turn up, by
// the presidents' statements in the ledger; with "not recorded", of whom no president has said
// anything (decree, art. 11 §4).
func (rg *Region) absentMembers(c *call) (*outcome, error) {
	all, err := rg.members(c.commune)
	if err != nil {
		return nil, err
	}
	presence, err := rg.presence(c.commune)
	if err != nil {
		return nil, err
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	rows, subjects := [][]string{}, []string{}
	for _, m := range all {
		what := map[ledger.Presence]string{0: "not recorded", ledger.Absent: "absent"}[presence[m.Number]]
		if what == "" {
			continue
		}
		n, err := ledger.ParseNationalNumber(m.NationalNumber)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", m.Number, err)
		}
		e, err := rg.electorAt(c.commune, key.place(n))
		if err != nil {
			return nil, err
		}
		if e == nil {
			return nil, fmt.Errorf("member %d is not on the list of electors any more", m.Number)
		}
		subjects = append(subjects, key.subjectOf(n))
		rows = append(rows, []string{strconv.Itoa(int(m.Number)), e.Surname, e.FirstNames, e.NationalNumber, strconv.Itoa(int(m.Bureau)), m.Function, what})
	}
	out := answerCSV([]string{"member", "surname", "first_names", "national_number", "bureau", "function", "presence"}, rows)
	out.subjects = subjects
	return out, nil
}

func (rg *Region) presence(c ledger.Commune) (map[uint16]ledger.Presence, error) {
	out := map[uint16]ledger.Presence{}
	prefix := ledgerKey('a', c)
	err := rg.st.scan(prefix, func(key, value []byte) error {
		out[binary.BigEndian.Uint16(key[len(prefix):])] = ledger.Presence(value[0])
		return nil
	})
	return out, err
}
