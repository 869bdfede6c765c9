package register

import (
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// Open reads a sealed register with the bureau's age identity. The caller
// compares the file's SHA-256 with the manifest's first: age does not say who
// sealed a file. The errors wrap ErrKey (the identity is not among the
// recipients), ErrForeign (of another commune, election or kind) or
// ErrMalformed.
func Open(r io.Reader, id age.Identity, want Binding) (*Register, error) {
	plain, err := unseal(r, id)
	if err != nil {
		return nil, fmt.Errorf("open register: %w", err)
	}
	reg, err := readRegister(plain, want)
	if err != nil {
		return nil, fmt.Errorf("open register: %w", err)
	}
	return reg, nil
}

// readRegister reads a decrypted register.
func readRegister(plain io.Reader, want Binding) (*Register, error) {
	s, header, err := newStreamReader(plain, kindBase)
	if err != nil {
		return nil, err
	}
	defer clear(header)
	reg := &Register{binding: want}
	count, err := reg.readHeader(header)
	if err != nil {
		return nil, err
	}
	reg.reserve(count)
	check := Contents{Binding: want, Method: reg.method}
	err = s.records(func(rest *cryptobyte.String) error { return reg.readElector(rest, &check, count) })
	if err == nil && len(reg.numbers) != count {
		err = fmt.Errorf("%w: %d electors where its header says %d", ErrMalformed, len(reg.numbers), count)
	}
	if err == nil {
		err = reg.index()
	}
	if err != nil {
		reg.Close()
		return nil, err
	}
	return reg, nil
}

func (r *Register) readHeader(header []byte) (count int, err error) {
	h := cryptobyte.String(header)
	if err := readBinding(&h, r.binding); err != nil {
		return 0, err
	}
	var method uint8
	var electors uint32
	if !h.ReadUint8(&method) || !h.CopyBytes(r.key[:]) || !h.ReadUint32(&electors) || !h.Empty() || electors > ledger.MaxElectors {
		return 0, fmt.Errorf("%w: its header", ErrMalformed)
	}
	r.method = ledger.Modulo97(method)
	if r.method != ledger.Complement && r.method != ledger.Remainder {
		return 0, fmt.Errorf("%w: method %d of check digits", ErrMalformed, method)
	}
	return int(electors), nil
}

func (r *Register) readElector(rest *cryptobyte.String, check *Contents, count int) error {
	i := len(r.numbers)
	malformed := func(why any) error { return fmt.Errorf("%w: elector %d: %v", ErrMalformed, i, why) }
	if i == count {
		return fmt.Errorf("%w: more electors than the %d of its header", ErrMalformed, count)
	}
	var national uint64
	var convocation uint32
	var bureau uint16
	var language uint8
	var surname, firstNames cryptobyte.String
	if !readUint40(rest, &national) || !rest.ReadUint32(&convocation) || !rest.ReadUint16(&bureau) || !rest.ReadUint8(&language) ||
		!rest.ReadUint8LengthPrefixed(&surname) || !rest.ReadUint8LengthPrefixed(&firstNames) {
		return malformed("cut short")
	}
	n, err := ledger.NationalNumberOf(national)
	if err != nil {
		return malformed(err)
	}
	c, err := ledger.ConvocationNumberOf(convocation, r.method)
	if err != nil {
		return malformed(err)
	}
	e := Elector{
		Surname: string(surname), FirstNames: string(firstNames), NationalNumber: n, ConvocationNumber: c,
		Bureau: ledger.BureauNumber(bureau), Language: Language(language),
	}
	if err := check.checkElector(&e); err != nil {
		return malformed(err)
	}
	if i > 0 && r.numbers[i-1].Compare(n) >= 0 {
		return malformed("out of order")
	}
	r.add(surname, firstNames, n, c, e.Bureau, e.Language)
	return nil
}
