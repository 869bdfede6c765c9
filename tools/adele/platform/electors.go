package platform

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// elector is what the platform holds of one: the data of art. 3 of the decree, the mark of art. 6,
// and the trace that art. 15 asks for. It lies in the database only sealed.
type elector struct {
	NationalNumber    string          `json:"national_number"`
	Surname           string          `json:"surname"`
	FirstNames        string          `json:"first_names"`
	Street            string          `json:"street"`
	Number            string          `json:"number"`
	Box               string          `json:"box"`
	Postcode          string          `json:"postcode"`
	Municipality      string          `json:"municipality"`
	Bureau            uint16          `json:"bureau"`
	ConvocationNumber string          `json:"convocation_number"`
	Candidate         bool            `json:"candidate,omitempty"`
	Struck            bool            `json:"struck,omitempty"`
	History           []electorChange `json:"history,omitempty"`
}

// electorChange is one line of an elector's trace: who, when, what, why.
type electorChange struct {
	At        time.Time `json:"at"`
	Actor     string    `json:"actor"`
	Action    string    `json:"action"`
	Reason    string    `json:"reason"`
	Reference string    `json:"reference,omitempty"`
	// Before holds the columns that changed, as they were.
	Before map[string]string `json:"before,omitempty"`
}

// The columns of a list of electors. Language and sector, which a commune's file has too, are for
// the preparation: art. 3 of the decree does not name them, and they are not kept.
var listColumns = []string{
	"national_number", "surname", "first_names", "street", "number", "box", "postcode", "municipality", "bureau", "convocation_number",
}

func (e *elector) fields() []*string {
	return []*string{&e.NationalNumber, &e.Surname, &e.FirstNames, &e.Street, &e.Number, &e.Box, &e.Postcode, &e.Municipality}
}

func (e *elector) row() []string {
	row := make([]string, 0, len(listColumns))
	for _, f := range e.fields() {
		row = append(row, *f)
	}
	return append(row, strconv.Itoa(int(e.Bureau)), e.ConvocationNumber)
}

// place names an elector in the commune's part of the database.
func (k *communeKey) place(n ledger.NationalNumber) []byte {
	return mac(k.index, "elector", n.Digits())
}

func (k *communeKey) convocationPlace(c ledger.ConvocationNumber) []byte {
	return mac(k.index, "convocation", c.Digits())
}

func communeKeyed(kind byte, c ledger.Commune, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{regionPrefix, kind}, uint32(c)), rest...)
}

// fill reads one row of a list; the electors of another commune are refused.
func (e *elector) fill(l *communeLedger, get []string) error {
	for i, f := range e.fields() {
		*f = get[i]
	}
	n, err := ledger.ParseNationalNumber(e.NationalNumber)
	if err != nil {
		return fmt.Errorf("national_number: %w", err)
	}
	e.NationalNumber = n.Digits()
	if e.Surname == "" {
		return errors.New("surname: is empty")
	}
	if !l.isNamed(e.Municipality) {
		return errors.New("municipality: another commune's elector")
	}
	bureau, err := strconv.ParseUint(get[8], 10, 16)
	if err != nil || l.group.Bureaux[ledger.BureauNumber(bureau)] == nil {
		return errors.New("bureau: the commune has no such bureau")
	}
	c, err := ledger.ParseConvocationNumber(get[9], l.method)
	if err != nil {
		return fmt.Errorf("convocation_number: %w", err)
	}
	if !c.IsOf(l.ins) {
		return errors.New("convocation_number: another commune's")
	}
	e.Bureau, e.ConvocationNumber = uint16(bureau), c.Digits()
	return nil
}

func (e *elector) number() ledger.NationalNumber {
	n, err := ledger.ParseNationalNumber(e.NationalNumber)
	if err != nil {
		panic(fmt.Sprintf("a stored elector's number: %v", err))
	}
	return n
}

func (e *elector) convocation(m ledger.Modulo97) ledger.ConvocationNumber {
	c, err := ledger.ParseConvocationNumber(e.ConvocationNumber, m)
	if err != nil {
		panic(fmt.Sprintf("a stored elector's convocation number: %v", err))
	}
	return c
}

// put seals and writes an elector with his look-up.
func (k *communeKey) put(b *pebble.Batch, l *communeLedger, e *elector) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write elector: %w", err)
	}
	place := k.place(e.number())
	at := communeKeyed('e', l.ins, place...)
	return errors.Join(
		b.Set(at, k.lock(at, raw), nil),
		b.Set(communeKeyed('n', l.ins, k.convocationPlace(e.convocation(l.method))...), place, nil),
	)
}

func (k *communeKey) open(at, sealed []byte) (*elector, error) {
	raw, err := k.unlock(at, sealed)
	if err != nil {
		return nil, fmt.Errorf("open elector: %w", err)
	}
	var e elector
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("open elector: %w", err)
	}
	return &e, nil
}

// electorAt is the elector at a place, nil when there is none.
func (rg *Region) electorAt(c ledger.Commune, place []byte) (*elector, error) {
	key, err := rg.vault.of(c)
	if err != nil {
		return nil, err
	}
	at := communeKeyed('e', c, place...)
	sealed, err := rg.st.get(at)
	if err != nil || sealed == nil {
		return nil, err
	}
	return key.open(at, sealed)
}

// electors gives f all electors of a commune, struck ones too, in no order that means anything.
func (rg *Region) electors(c ledger.Commune, f func(*elector) error) error {
	key, err := rg.vault.of(c)
	if err != nil {
		return err
	}
	return rg.st.scan(communeKeyed('e', c), func(at, sealed []byte) error {
		e, err := key.open(at, sealed)
		if err != nil {
			return err
		}
		return f(e)
	})
}

// listed are the electors of a commune who are not struck off and whom keep wants, in the order
// of their names.
func (rg *Region) listed(c ledger.Commune, keep func(*elector) bool) ([]*elector, error) {
	var out []*elector
	err := rg.electors(c, func(e *elector) error {
		if !e.Struck && keep(e) {
			out = append(out, e)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b *elector) int {
		if d := strings.Compare(a.Surname, b.Surname); d != 0 {
			return d
		}
		if d := strings.Compare(a.FirstNames, b.FirstNames); d != 0 {
			return d
		}
		return strings.Compare(a.NationalNumber, b.NationalNumber)
	})
	return out, err
}

// errNoElector: the number is not on the commune's list.
type errNoElector struct{}

func (errNoElector) Error() string { return "nobody on the commune's list has this national number" }

// subjectPlace is where the elector of a code stands.
func (rg *Region) subjectPlace(c ledger.Commune, number string) ([]byte, error) {
	n, err := ledger.ParseNationalNumber(number)
	if err != nil {
		return nil, errNoElector{}
	}
	key, err := rg.vault.of(c)
	if err != nil {
		return nil, err
	}
	place := key.place(n)
	e, err := rg.electorAt(c, place)
	if err == nil && e == nil {
		err = errNoElector{}
	}
	return place, err
}
