// Package plaintext is what a statement's sealed text holds once it is opened: accounts, messages, replacements,
// refused proxies, remarks, and the one that is not sealed, of a card's chip; each in one form, bound to the bureau and the member it is about.
//
// Who may open what is not decided here: an account is sealed to the commune's pay office, all else to those who
// can open the commune's register.
package plaintext

import (
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
	"pointage/ledger/proxies"
)

// The codes of incidents; numbered for ever.
const (
	// IncidentReplacement: somebody who was not convened serves as a member; sealed is a Replacement.
	IncidentReplacement uint16 = 1
	// IncidentProxyRefused: the table refused a proxy by its paper; sealed is a RefusedProxy.
	IncidentProxyRefused uint16 = 2
	// IncidentContested: an elector contests the mark that he was checked in; sealed is a Remark.
	IncidentContested uint16 = 3
	// IncidentRedirected: the president admits an elector who belongs to another bureau, where the policy sends
	// electors home; sealed is a Remark with the reason.
	IncidentRedirected uint16 = 4
	// IncidentChipNotProven: an elector was admitted by a card whose chip proved nothing; not sealed, a ChipNotProven.
	IncidentChipNotProven = ledger.IncidentOfAnElector
)

const (
	// MaxText is the length of a message's text, in bytes.
	MaxText = 1024
	// MaxWaiting is how many people a bureau can say are waiting.
	MaxWaiting = 5000
	// accountLen is the length of every account, so that a sealed one tells nothing of its country.
	accountLen = 48
)

// kind is the first byte of each content; numbered for ever.
type kind uint8

const (
	kindAccount       kind = 1
	kindText          kind = 2
	kindQueue         kind = 3
	kindReplacement   kind = 4
	kindRefusedProxy  kind = 5
	kindRemark        kind = 6
	kindChipNotProven kind = 7
)

// ErrForm is the error of a content that is not in its one form.
var ErrForm = errors.New("sealed text is not in its form")

// Account is a member's bank account (decree art. 8 § 2).
type Account struct {
	Bureau ledger.BureauNumber
	Member uint16
	IBAN   IBAN
}

// Format writes "account (withheld)" whatever the verb.
func (Account) Format(f fmt.State, _ rune) { io.WriteString(f, "account (withheld)") }

// Encode: struct { uint8 kind = 1; Bureau bureau; uint16 member; opaque iban<15..34>; zeros up to 48 bytes }.
func (a *Account) Encode() []byte {
	b := begin(kindAccount, a.Bureau)
	b.AddUint16(a.Member)
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(a.IBAN.digits)) })
	out := make([]byte, accountLen)
	copy(out, b.BytesOrPanic())
	return out
}

// DecodeAccount reads what Encode writes, the account number checked again.
func DecodeAccount(in []byte) (*Account, error) {
	a := &Account{}
	var digits cryptobyte.String
	s, ok := open(in, kindAccount, &a.Bureau)
	if !ok || len(in) != accountLen || !s.ReadUint16(&a.Member) || !s.ReadUint16LengthPrefixed(&digits) {
		return nil, ErrForm
	}
	for _, c := range s {
		if c != 0 {
			return nil, ErrForm
		}
	}
	iban, err := ParseIBAN(string(digits))
	if err != nil || iban.digits != string(digits) {
		return nil, ErrForm
	}
	a.IBAN = iban
	return a, nil
}

// Text is a word from one bureau to another, or to all (0).
type Text struct {
	From, To ledger.BureauNumber
	Text     string
}

// CheckText says why a text can't be sent; "" has nothing to say.
func CheckText(text string) error {
	switch {
	case text == "":
		return errors.New("the message is empty")
	case len(text) > MaxText:
		return fmt.Errorf("the message is too long: %d bytes, at most %d", len(text), MaxText)
	case !utf8.ValidString(text):
		return errors.New("the message is not text")
	}
	for _, c := range text {
		if unicode.IsControl(c) && c != '\n' {
			return errors.New("the message has characters that can't be shown")
		}
	}
	return nil
}

// Encode: struct { uint8 kind = 2; Bureau from; uint16 to; opaque text<1..1024> }.
func (t *Text) Encode() []byte {
	b := begin(kindText, t.From)
	b.AddUint16(uint16(t.To))
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(t.Text)) })
	return b.BytesOrPanic()
}

// Queue is how many people wait at a bureau, as somebody there has counted them.
type Queue struct {
	From    ledger.BureauNumber
	Waiting uint16
}

// Encode: struct { uint8 kind = 3; Bureau from; uint16 waiting }.
func (q *Queue) Encode() []byte {
	b := begin(kindQueue, q.From)
	b.AddUint16(q.Waiting)
	return b.BytesOrPanic()
}

// DecodeMessage reads the content of a message: a Text or a Queue.
func DecodeMessage(in []byte) (*Text, *Queue, error) {
	t, q := &Text{}, &Queue{}
	if s, ok := open(in, kindText, &t.From); ok {
		var text cryptobyte.String
		if !s.ReadUint16((*uint16)(&t.To)) || !s.ReadUint16LengthPrefixed(&text) || !s.Empty() || CheckText(string(text)) != nil {
			return nil, nil, ErrForm
		}
		t.Text = string(text)
		return t, nil, nil
	}
	if s, ok := open(in, kindQueue, &q.From); ok && s.ReadUint16(&q.Waiting) && s.Empty() && q.Waiting <= MaxWaiting {
		return nil, q, nil
	}
	return nil, nil, ErrForm
}

// Replacement is an elector who was not convened and serves as a member since the opening.
type Replacement struct {
	Bureau ledger.BureauNumber
	// Number is the new member's in statements of attendance (see ReplacementNumber), For that of the member
	// who is replaced, 0 for none.
	Number, For uint16
	// Function is the register's number of what the new member serves as.
	Function uint8
	// NationalNumber says who it is.
	NationalNumber ledger.NationalNumber
}

const (
	// MaxReplacements is how many members one bureau can replace.
	MaxReplacements = 64
	// firstReplacement is above every number of a convened member.
	firstReplacement = 1 << 14
)

// ReplacementNumber is the number of a bureau's i-th replacement, from 0, unique in the commune; false beyond the last.
func ReplacementNumber(b ledger.BureauNumber, i int) (uint16, bool) {
	if b < 1 || b > ledger.MaxBureaux || i < 0 || i >= MaxReplacements {
		return 0, false
	}
	return uint16(firstReplacement + (int(b)-1)*MaxReplacements + i), true
}

// Encode: struct { uint8 kind = 4; Bureau bureau; uint16 number; uint16 for; uint8 function; uint64 national_number }.
func (r *Replacement) Encode() []byte {
	b := begin(kindReplacement, r.Bureau)
	b.AddUint16(r.Number)
	b.AddUint16(r.For)
	b.AddUint8(r.Function)
	b.AddUint64(r.NationalNumber.Uint64())
	return b.BytesOrPanic()
}

// DecodeReplacement reads what Encode writes.
func DecodeReplacement(in []byte) (*Replacement, error) {
	r := &Replacement{}
	var national uint64
	s, ok := open(in, kindReplacement, &r.Bureau)
	if !ok || !s.ReadUint16(&r.Number) || !s.ReadUint16(&r.For) || !s.ReadUint8(&r.Function) || !s.ReadUint64(&national) || !s.Empty() {
		return nil, ErrForm
	}
	n, err := ledger.NationalNumberOf(national)
	if err != nil {
		return nil, ErrForm
	}
	r.NationalNumber = n
	return r, nil
}

// RefusedProxy is a proxy that the table refused by its paper.
type RefusedProxy struct {
	Bureau ledger.BureauNumber
	// Rules are those that it broke, ascending.
	Rules []proxies.Rule
	// Form is the form's number as typed, cut to the length that a statement holds.
	Form string
	// Holder and Principal are zero when they were not found on the register.
	Holder, Principal ledger.ElectorToken
	// Attester is the code of the member who refused it.
	Attester uint16
}

// Encode: struct { uint8 kind = 5; Bureau bureau; uint8 count8; uint8 rules[count8]; opaque form<0..32>; Token holder; Token principal; uint16 attester }.
func (p *RefusedProxy) Encode() []byte {
	b := begin(kindRefusedProxy, p.Bureau)
	b.AddUint8(uint8(len(p.Rules)))
	for _, r := range p.Rules {
		b.AddUint8(uint8(r))
	}
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(cut(p.Form))) })
	b.AddBytes(p.Holder[:])
	b.AddBytes(p.Principal[:])
	b.AddUint16(p.Attester)
	return b.BytesOrPanic()
}

func cut(form string) string { return form[:min(len(form), ledger.MaxFormNumber)] }

// DecodeRefusedProxy reads what Encode writes.
func DecodeRefusedProxy(in []byte) (*RefusedProxy, error) {
	p := &RefusedProxy{}
	var count uint8
	var form cryptobyte.String
	s, ok := open(in, kindRefusedProxy, &p.Bureau)
	if !ok || !s.ReadUint8(&count) {
		return nil, ErrForm
	}
	for range count {
		var r uint8
		if !s.ReadUint8(&r) || !proxies.Rule(r).Known() || len(p.Rules) > 0 && proxies.Rule(r) <= p.Rules[len(p.Rules)-1] {
			return nil, ErrForm
		}
		p.Rules = append(p.Rules, proxies.Rule(r))
	}
	if !s.ReadUint16LengthPrefixed(&form) || len(form) > ledger.MaxFormNumber || !s.CopyBytes(p.Holder[:]) || !s.CopyBytes(p.Principal[:]) ||
		!s.ReadUint16(&p.Attester) || !s.Empty() {
		return nil, ErrForm
	}
	p.Form = string(form)
	return p, nil
}

// begin writes what every content begins with.
func begin(k kind, b ledger.BureauNumber) *cryptobyte.Builder {
	out := cryptobyte.NewBuilder(nil)
	out.AddUint8(uint8(k))
	out.AddUint16(uint16(b))
	return out
}

// open reads what begin writes; false for another kind.
func open(in []byte, k kind, b *ledger.BureauNumber) (s cryptobyte.String, ok bool) {
	s = in
	var got uint8
	ok = s.ReadUint8(&got) && kind(got) == k && s.ReadUint16((*uint16)(b)) && *b > 0
	return s, ok
}
