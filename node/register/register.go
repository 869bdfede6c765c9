// Package register is the sealed register of one commune's electors: it is
// opened with a bureau's key, kept in memory only, and finds an elector by
// national number, by convocation number, by token or by name.
//
// Nothing of it may reach a log: electors print as "(withheld)", and errors
// name a place in the file, never what stands there.
package register

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sort"
	"sync"

	"pointage/ledger"
)

// Language is the one in which an elector is addressed; numbered for ever.
type Language uint8

// The Region's two languages.
const (
	French Language = 1
	Dutch  Language = 2
)

// String is "fr" or "nl".
func (l Language) String() string {
	switch l {
	case French:
		return "fr"
	case Dutch:
		return "nl"
	}
	return fmt.Sprintf("language(%d)", uint8(l))
}

// Elector is what a bureau's president may read of an elector (decree, article
// 7 §1); the address lies in a file of its own.
type Elector struct {
	Surname           string
	FirstNames        string
	NationalNumber    ledger.NationalNumber
	ConvocationNumber ledger.ConvocationNumber
	Bureau            ledger.BureauNumber
	Language          Language
}

// Format writes "elector (withheld)" whatever the verb.
func (Elector) Format(f fmt.State, _ rune) { io.WriteString(f, "elector (withheld)") }

// LogValue keeps an elector out of a log.
func (Elector) LogValue() slog.Value { return slog.StringValue("elector (withheld)") }

// MarshalText keeps an elector out of every text encoding.
func (Elector) MarshalText() ([]byte, error) { return []byte("elector (withheld)"), nil }

// Binding says which election a sealed file belongs to. A file of another one
// is refused: test data must never enter a live chain.
type Binding struct {
	Election string // the manifest's name of the election, 1 to MaxElection bytes
	Commune  ledger.Commune
	Live     bool // false: a rehearsal
}

// String is one short phrase for a message to people.
func (b Binding) String() string {
	kind := "rehearsal"
	if b.Live {
		kind = "live"
	}
	return fmt.Sprintf("commune %d, election %q (%s)", b.Commune, b.Election, kind)
}

// Register is an opened register. Electors have numbers from 0 to Len-1, in the
// order of their national numbers, which stay the same as long as the sealed
// file does. All methods may be called from several goroutines.
//
// 90,000 electors cost about 12 MiB: bytes end to end and arrays of numbers,
// without a pointer or a map per elector.
type Register struct {
	// mu lets Close wait for the readers; nothing changes between Open and Close.
	mu     sync.RWMutex
	closed bool

	binding Binding
	method  ledger.Modulo97
	key     [32]byte

	// Per elector; numbers is strictly ascending.
	numbers      []ledger.NationalNumber
	convocations []ledger.ConvocationNumber
	bureaux      []ledger.BureauNumber
	languages    []Language
	// names holds, per elector, the surname's length in one byte, the surname
	// and the first names; elector i is names[starts[i]:starts[i+1]].
	names  []byte
	starts []uint32

	byConvocation []uint32    // electors in the order of their convocation numbers
	byToken       []tokenSlot // in the order of the tokens' first bytes
	// words is made by the first search or by IndexNames (wordsOnce): it is half of an opening's time, and
	// only who has screens searches by name.
	wordsOnce sync.Once
	words     wordIndex
}

// tokenSlot is the first bytes of an elector's token; the rest is computed
// again when it is asked for.
type tokenSlot struct{ prefix, elector uint32 }

// Binding says which commune and election the register belongs to.
func (r *Register) Binding() Binding { return r.binding }

// Method is the method of the convocation numbers' check digits.
func (r *Register) Method() ledger.Modulo97 { return r.method }

// Len is the number of electors; 0 once closed.
func (r *Register) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.numbers)
}

// At is elector i, or the zero Elector once the register is closed.
func (r *Register) At(i int) Elector {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return Elector{}
	}
	return r.at(i)
}

func (r *Register) at(i int) Elector {
	surname, firstNames := r.name(i)
	return Elector{
		Surname: string(surname), FirstNames: string(firstNames),
		NationalNumber: r.numbers[i], ConvocationNumber: r.convocations[i],
		Bureau: r.bureaux[i], Language: r.languages[i],
	}
}

// name is elector i's surname and first names, as they lie in the arena.
func (r *Register) name(i int) (surname, firstNames []byte) {
	record := r.names[r.starts[i]:r.starts[i+1]]
	return record[1 : 1+record[0]], record[1+record[0]:]
}

// Bureau is elector i's home bureau, 0 once closed.
func (r *Register) Bureau(i int) ledger.BureauNumber {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return 0
	}
	return r.bureaux[i]
}

// Token is elector i's name in the ledger; zero once closed. It costs one HMAC.
func (r *Register) Token(i int) ledger.ElectorToken {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return ledger.ElectorToken{}
	}
	return ledger.Token(r.key, r.numbers[i])
}

// FindNationalNumber is the elector with this national number.
func (r *Register) FindNationalNumber(n ledger.NationalNumber) (i int, found bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.BinarySearchFunc(r.numbers, n, ledger.NationalNumber.Compare)
}

// FindConvocationNumber is the elector with this convocation number.
func (r *Register) FindConvocationNumber(c ledger.ConvocationNumber) (i int, found bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	place, found := slices.BinarySearchFunc(r.byConvocation, c, func(e uint32, c ledger.ConvocationNumber) int {
		return r.convocations[e].Compare(c)
	})
	if !found {
		return 0, false
	}
	return int(r.byConvocation[place]), true
}

// FindToken is the elector who stands in the ledger under this token.
func (r *Register) FindToken(token ledger.ElectorToken) (i int, found bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	prefix := binary.BigEndian.Uint32(token[:4])
	place := sort.Search(len(r.byToken), func(k int) bool { return r.byToken[k].prefix >= prefix })
	for ; place < len(r.byToken) && r.byToken[place].prefix == prefix; place++ {
		i := int(r.byToken[place].elector)
		if ledger.Token(r.key, r.numbers[i]) == token {
			return i, true
		}
	}
	return 0, false
}

// Close wipes the register's memory. Afterwards it is empty: every look-up
// finds nobody. Electors that were handed out before are their holders'.
func (r *Register) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	clear(r.key[:])
	clear(r.numbers)
	clear(r.convocations)
	clear(r.bureaux)
	clear(r.languages)
	clear(r.names)
	clear(r.byToken)
	r.words.wipe()
	r.numbers, r.convocations, r.bureaux, r.languages, r.names = nil, nil, nil, nil, nil
	r.starts, r.byConvocation, r.byToken = nil, nil, nil
}

// reserve makes room for count electors at once, so that opening a register
// leaves no half-used arrays behind.
func (r *Register) reserve(count int) {
	const namesPerElector = 32 // a little above the Region's mean
	r.numbers = make([]ledger.NationalNumber, 0, count)
	r.convocations = make([]ledger.ConvocationNumber, 0, count)
	r.bureaux = make([]ledger.BureauNumber, 0, count)
	r.languages = make([]Language, 0, count)
	r.names = make([]byte, 0, count*namesPerElector)
	r.starts = append(make([]uint32, 0, count+1), 0)
}

// add appends an elector that check has accepted.
func (r *Register) add(surname, firstNames []byte, n ledger.NationalNumber, c ledger.ConvocationNumber, bureau ledger.BureauNumber, l Language) {
	r.numbers = append(r.numbers, n)
	r.convocations = append(r.convocations, c)
	r.bureaux = append(r.bureaux, bureau)
	r.languages = append(r.languages, l)
	r.names = append(r.names, byte(len(surname)))
	r.names = append(r.names, surname...)
	r.names = append(r.names, firstNames...)
	r.starts = append(r.starts, uint32(len(r.names)))
}

// index makes the look-ups once all electors are in. It fails when two of them
// have one convocation number.
func (r *Register) index() error {
	r.byConvocation = make([]uint32, len(r.numbers))
	r.byToken = make([]tokenSlot, len(r.numbers))
	tokenOf := ledger.Tokens(r.key)
	for i, n := range r.numbers {
		token := tokenOf(n)
		r.byConvocation[i] = uint32(i)
		r.byToken[i] = tokenSlot{binary.BigEndian.Uint32(token[:4]), uint32(i)}
	}
	slices.SortFunc(r.byConvocation, func(a, b uint32) int { return r.convocations[a].Compare(r.convocations[b]) })
	slices.SortFunc(r.byToken, func(a, b tokenSlot) int { return cmp.Compare(a.prefix, b.prefix) })
	for k := 1; k < len(r.byConvocation); k++ {
		a, b := r.byConvocation[k-1], r.byConvocation[k]
		if r.convocations[a] == r.convocations[b] {
			return fmt.Errorf("%w: electors %d and %d have one convocation number", ErrMalformed, a, b)
		}
	}
	return nil
}
