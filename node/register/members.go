package register

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// MaxMembers is how many people a commune convenes as members of its bureaux.
const MaxMembers = 8192

// Function is what somebody is convened for as a member of a bureau (decree,
// article 8 §1); numbered for ever.
type Function uint8

// The functions.
const (
	President       Function = 1
	DeputyPresident Function = 2
	Secretary       Function = 3
	Assessor        Function = 4
	Substitute      Function = 5
)

var functions = [...]string{President: "president", DeputyPresident: "deputy", Secretary: "secretary", Assessor: "assessor", Substitute: "substitute"}

// String is the function's name in lists: "president", "deputy", "secretary",
// "assessor" or "substitute".
func (f Function) String() string {
	if f == 0 || int(f) >= len(functions) {
		return fmt.Sprintf("function(%d)", uint8(f))
	}
	return functions[f]
}

// ParseFunction reads what String writes.
func ParseFunction(text string) (Function, error) {
	if k := slices.Index(functions[1:], text); k >= 0 {
		return Function(k + 1), nil
	}
	return 0, fmt.Errorf("neither president, deputy, secretary, assessor nor substitute")
}

// Member is somebody convened as a member of a bureau. Who that is stands in the
// register under the same national number.
type Member struct {
	// Number is the member's in statements of attendance, from 1, unique in the
	// commune.
	Number         uint16
	Bureau         ledger.BureauNumber // where the member serves
	Function       Function
	NationalNumber ledger.NationalNumber
}

// Format writes "member (withheld)" whatever the verb.
func (Member) Format(f fmt.State, _ rune) { io.WriteString(f, "member (withheld)") }

// LogValue keeps a member out of a log.
func (Member) LogValue() slog.Value { return slog.StringValue("member (withheld)") }

// MarshalText keeps a member out of every text encoding.
func (Member) MarshalText() ([]byte, error) { return []byte("member (withheld)"), nil }

// SealMembers writes the list of a commune's convened members for its bureaux. It
// refuses a number or a person twice.
//
//	header  { Binding; uint32 members }
//	record  { uint16 number; uint16 bureau; uint8 function; uint40 national_number }
//
// Records are in ascending order of numbers.
func SealMembers(w io.Writer, b Binding, members []Member, recipients []age.Recipient) error {
	if len(members) > MaxMembers {
		return fmt.Errorf("seal members: %d of them, a commune convenes at most %d", len(members), MaxMembers)
	}
	if !validText([]byte(b.Election), 1, MaxElection) {
		return fmt.Errorf("seal members: the election's name must be a line of 1 to %d bytes", MaxElection)
	}
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b Member) int { return int(a.Number) - int(b.Number) })
	var head cryptobyte.Builder
	addBinding(&head, b)
	head.AddUint32(uint32(len(sorted)))
	s, err := newStreamWriter(w, kindMembers, head.BytesOrPanic(), recipients)
	if err != nil {
		return fmt.Errorf("seal members: %w", err)
	}
	check := memberCheck{}
	for i := range sorted {
		m := &sorted[i]
		if err := check.next(m); err != nil {
			return fmt.Errorf("seal members: member %d: %w", i, err)
		}
		if err := s.record(encodeMember(m)); err != nil {
			return fmt.Errorf("seal members: %w", err)
		}
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("seal members: %w", err)
	}
	return nil
}

func encodeMember(m *Member) []byte {
	var r cryptobyte.Builder
	r.AddUint16(m.Number)
	r.AddUint16(uint16(m.Bureau))
	r.AddUint8(uint8(m.Function))
	addUint40(&r, m.NationalNumber.Uint64())
	return r.BytesOrPanic()
}

// OpenMembers reads a sealed list of members, in ascending order of numbers. Its
// errors are those of Open.
func OpenMembers(r io.Reader, id age.Identity, want Binding) ([]Member, error) {
	plain, err := unseal(r, id)
	if err != nil {
		return nil, fmt.Errorf("open members: %w", err)
	}
	members, err := readMembers(plain, want)
	if err != nil {
		clear(members)
		return nil, fmt.Errorf("open members: %w", err)
	}
	return members, nil
}

// readMembers reads a decrypted list of members.
func readMembers(plain io.Reader, want Binding) ([]Member, error) {
	s, header, err := newStreamReader(plain, kindMembers)
	if err != nil {
		return nil, err
	}
	h := cryptobyte.String(header)
	if err := readBinding(&h, want); err != nil {
		return nil, err
	}
	var count uint32
	if !h.ReadUint32(&count) || !h.Empty() || count > MaxMembers {
		return nil, fmt.Errorf("%w: its header", ErrMalformed)
	}
	members, check := make([]Member, 0, count), memberCheck{}
	err = s.records(func(rest *cryptobyte.String) error {
		var m Member
		var national uint64
		if !rest.ReadUint16(&m.Number) || !rest.ReadUint16((*uint16)(&m.Bureau)) || !rest.ReadUint8((*uint8)(&m.Function)) ||
			!readUint40(rest, &national) || len(members) == int(count) {
			return fmt.Errorf("%w: member %d: cut short, or more than its header says", ErrMalformed, len(members))
		}
		n, err := ledger.NationalNumberOf(national)
		m.NationalNumber = n
		if err == nil {
			err = check.next(&m)
		}
		if err != nil {
			return fmt.Errorf("%w: member %d: %w", ErrMalformed, len(members), err)
		}
		members = append(members, m)
		return nil
	})
	if err == nil && len(members) != int(count) {
		err = fmt.Errorf("%w: %d members where its header says %d", ErrMalformed, len(members), count)
	}
	return members, err
}

// memberCheck says why a member can't follow those before.
type memberCheck struct {
	last uint16
	seen map[ledger.NationalNumber]bool
}

func (c *memberCheck) next(m *Member) error {
	switch {
	case m.Number <= c.last:
		return fmt.Errorf("number %d, the one before has %d", m.Number, c.last)
	case m.Bureau < 1 || m.Bureau > ledger.MaxBureaux:
		return fmt.Errorf("bureau %d, bureaux are 1 to %d", m.Bureau, ledger.MaxBureaux)
	case m.Function < President || m.Function > Substitute:
		return fmt.Errorf("%v is unknown", m.Function)
	case m.NationalNumber.IsZero() || c.seen[m.NationalNumber]:
		return fmt.Errorf("no national number, or one that another member has too")
	}
	if c.seen == nil {
		c.seen = map[ledger.NationalNumber]bool{}
	}
	c.last, c.seen[m.NationalNumber] = m.Number, true
	return nil
}
