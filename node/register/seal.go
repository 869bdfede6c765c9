package register

import (
	"fmt"
	"io"
	"slices"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// MaxName is the longest surname, and the longest first names, in bytes.
const MaxName = 255

// Contents is what a register is made of. Key is drawn once for a commune and
// an election; only sealed registers hold it.
type Contents struct {
	Binding  Binding
	Method   ledger.Modulo97
	Key      [32]byte
	Electors []Elector // in any order
}

// Seal writes the register of a commune's electors for the bureaux that may open
// it (the base of: no addresses). The recipients are hybrid post-quantum.
// It refuses electors that Open would refuse: a number twice, a convocation
// number of another commune or method, a bureau outside 1 to
// ledger.MaxBureaux, a name that is no line of text, and in a live election a
// national number that is given to nobody.
//
//	header  { Binding; uint8 method; opaque key[32]; uint32 electors }
//	Binding { opaque election<1..128>; uint32 commune; uint8 live }
//	record  { uint40 national_number; uint32 convocation_number; uint16 bureau; uint8 language;
//	          opaque surname<1..255>; opaque first_names<0..255> }
//
// Records are in ascending order of national numbers.
func Seal(w io.Writer, c Contents, recipients []age.Recipient) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("seal register: %w", err)
	}
	var head cryptobyte.Builder
	addBinding(&head, c.Binding)
	head.AddUint8(uint8(c.Method))
	head.AddBytes(c.Key[:])
	head.AddUint32(uint32(len(c.Electors)))
	s, err := newStreamWriter(w, kindBase, head.BytesOrPanic(), recipients)
	if err != nil {
		return fmt.Errorf("seal register: %w", err)
	}
	var previous ledger.NationalNumber
	seen := make(map[ledger.ConvocationNumber]struct{}, len(c.Electors))
	for k, i := range byNationalNumber(c.Electors) {
		e := &c.Electors[i]
		if err := c.checkElector(e); err != nil {
			return fmt.Errorf("seal register: elector %d: %w", i, err)
		}
		if _, twice := seen[e.ConvocationNumber]; twice || k > 0 && e.NationalNumber == previous {
			return fmt.Errorf("seal register: elector %d: a number that another elector has too", i)
		}
		seen[e.ConvocationNumber] = struct{}{}
		previous = e.NationalNumber
		if err := s.record(encodeElector(e)); err != nil {
			return fmt.Errorf("seal register: %w", err)
		}
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("seal register: %w", err)
	}
	return nil
}

// byNationalNumber is the electors' places in the order of national numbers.
func byNationalNumber(electors []Elector) []int {
	order := make([]int, len(electors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return electors[a].NationalNumber.Compare(electors[b].NationalNumber)
	})
	return order
}

func encodeElector(e *Elector) []byte {
	var b cryptobyte.Builder
	addUint40(&b, e.NationalNumber.Uint64())
	b.AddUint32(e.ConvocationNumber.Uint32())
	b.AddUint16(uint16(e.Bureau))
	b.AddUint8(uint8(e.Language))
	addString8(&b, e.Surname)
	addString8(&b, e.FirstNames)
	return b.BytesOrPanic()
}

func addUint40(b *cryptobyte.Builder, v uint64) {
	b.AddUint8(uint8(v >> 32))
	b.AddUint32(uint32(v))
}

func readUint40(s *cryptobyte.String, v *uint64) bool {
	var high uint8
	var low uint32
	ok := s.ReadUint8(&high) && s.ReadUint32(&low)
	*v = uint64(high)<<32 | uint64(low)
	return ok
}

func (c *Contents) check() error {
	switch {
	case !validText([]byte(c.Binding.Election), 1, MaxElection):
		return fmt.Errorf("the election's name must be a line of 1 to %d bytes", MaxElection)
	case c.Method != ledger.Complement && c.Method != ledger.Remainder:
		return ledger.ErrNumberVariant
	case len(c.Electors) > ledger.MaxElectors:
		return fmt.Errorf("%d electors, a commune has at most %d", len(c.Electors), ledger.MaxElectors)
	case c.Key == [32]byte{}:
		return fmt.Errorf("no token key was drawn")
	}
	return nil
}

// checkElector says why an elector has no place in this register.
func (c *Contents) checkElector(e *Elector) error {
	switch {
	case e.NationalNumber.IsZero():
		return fmt.Errorf("no national number")
	case c.Binding.Live && e.NationalNumber.IsUnassigned():
		return fmt.Errorf("a national number that is given to nobody, in a live election")
	case !e.ConvocationNumber.IsOf(c.Binding.Commune):
		return ledger.ErrNumberCommune
	case e.Bureau < 1 || e.Bureau > ledger.MaxBureaux:
		return fmt.Errorf("bureau %d, bureaux are 1 to %d", e.Bureau, ledger.MaxBureaux)
	case e.Language != French && e.Language != Dutch:
		return fmt.Errorf("%v", e.Language)
	case !validText([]byte(e.Surname), 1, MaxName) || !validText([]byte(e.FirstNames), 0, MaxName):
		return fmt.Errorf("a name that is no line of at most %d bytes", MaxName)
	}
	_, err := ledger.ConvocationNumberOf(e.ConvocationNumber.Uint32(), c.Method)
	return err
}

// validText says whether v is one line of UTF-8 of lo to hi bytes, without
// control characters.
func validText(v []byte, lo, hi int) bool {
	if len(v) < lo || len(v) > hi || !utf8.Valid(v) {
		return false
	}
	for _, r := range string(v) {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
