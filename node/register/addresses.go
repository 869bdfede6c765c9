package register

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// MaxAddressLine is the longest line of an address, in bytes.
const MaxAddressLine = 255

// Address is an elector's main residence. Only the commune's principal bureau
// can open the file that holds it, for the list of absent electors (decree,
// article 11 §2).
type Address struct {
	NationalNumber ledger.NationalNumber
	Street         string
	Number         string
	Box            string
	Postcode       string
	Municipality   string
}

// Format writes "address (withheld)" whatever the verb.
func (Address) Format(f fmt.State, _ rune) { io.WriteString(f, "address (withheld)") }

// LogValue keeps an address out of a log.
func (Address) LogValue() slog.Value { return slog.StringValue("address (withheld)") }

// MarshalText keeps an address out of every text encoding.
func (Address) MarshalText() ([]byte, error) { return []byte("address (withheld)"), nil }

func (a *Address) lines() [5]string {
	return [5]string{a.Street, a.Number, a.Box, a.Postcode, a.Municipality}
}

// Addresses is an opened file of addresses, in memory only. All methods may be
// called from several goroutines.
type Addresses struct {
	// mu lets Close wait for the readers; nothing changes before.
	mu      sync.RWMutex
	numbers []ledger.NationalNumber // strictly ascending
	text    []byte                  // five lines each behind its length in a byte
	starts  []uint32
}

// SealAddresses writes the addresses of a commune's electors for its principal
// bureau. It refuses a number twice and a line that is no text.
//
//	header  { Binding; uint32 addresses }
//	record  { uint40 national_number; opaque street<0..255>; opaque number<0..255>; opaque box<0..255>;
//	          opaque postcode<0..255>; opaque municipality<0..255> }
//
// Records are in ascending order of national numbers.
func SealAddresses(w io.Writer, b Binding, addresses []Address, recipients []age.Recipient) error {
	if len(addresses) > ledger.MaxElectors {
		return fmt.Errorf("seal addresses: %d of them, a commune has at most %d electors", len(addresses), ledger.MaxElectors)
	}
	if !validText([]byte(b.Election), 1, MaxElection) {
		return fmt.Errorf("seal addresses: the election's name must be a line of 1 to %d bytes", MaxElection)
	}
	sorted := slices.Clone(addresses)
	slices.SortFunc(sorted, func(a, b Address) int { return a.NationalNumber.Compare(b.NationalNumber) })
	var head cryptobyte.Builder
	addBinding(&head, b)
	head.AddUint32(uint32(len(sorted)))
	s, err := newStreamWriter(w, kindAddresses, head.BytesOrPanic(), recipients)
	if err != nil {
		return fmt.Errorf("seal addresses: %w", err)
	}
	for i := range sorted {
		a := &sorted[i]
		if a.NationalNumber.IsZero() || i > 0 && a.NationalNumber == sorted[i-1].NationalNumber {
			return fmt.Errorf("seal addresses: address %d: no national number, or one that another has too", i)
		}
		var r cryptobyte.Builder
		addUint40(&r, a.NationalNumber.Uint64())
		for _, line := range a.lines() {
			if !validText([]byte(line), 0, MaxAddressLine) {
				return fmt.Errorf("seal addresses: address %d: a line that is no text of at most %d bytes", i, MaxAddressLine)
			}
			addString8(&r, line)
		}
		if err := s.record(r.BytesOrPanic()); err != nil {
			return fmt.Errorf("seal addresses: %w", err)
		}
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("seal addresses: %w", err)
	}
	return nil
}

// OpenAddresses reads a sealed file of addresses. Its errors are those of Open.
func OpenAddresses(r io.Reader, id age.Identity, want Binding) (*Addresses, error) {
	plain, err := unseal(r, id)
	if err != nil {
		return nil, fmt.Errorf("open addresses: %w", err)
	}
	a, err := readAddresses(plain, want)
	if err != nil {
		return nil, fmt.Errorf("open addresses: %w", err)
	}
	return a, nil
}

// readAddresses reads a decrypted file of addresses.
func readAddresses(plain io.Reader, want Binding) (*Addresses, error) {
	s, header, err := newStreamReader(plain, kindAddresses)
	if err != nil {
		return nil, err
	}
	h := cryptobyte.String(header)
	if err := readBinding(&h, want); err != nil {
		return nil, err
	}
	var count uint32
	if !h.ReadUint32(&count) || !h.Empty() || count > ledger.MaxElectors {
		return nil, fmt.Errorf("%w: its header", ErrMalformed)
	}
	a := &Addresses{starts: []uint32{0}}
	err = s.records(func(rest *cryptobyte.String) error { return a.read(rest, int(count)) })
	if err == nil && len(a.numbers) != int(count) {
		err = fmt.Errorf("%w: %d addresses where its header says %d", ErrMalformed, len(a.numbers), count)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *Addresses) read(rest *cryptobyte.String, count int) error {
	i := len(a.numbers)
	if i == count {
		return fmt.Errorf("%w: more addresses than the %d of its header", ErrMalformed, count)
	}
	var national uint64
	if !readUint40(rest, &national) {
		return fmt.Errorf("%w: address %d: cut short", ErrMalformed, i)
	}
	n, err := ledger.NationalNumberOf(national)
	if err != nil || i > 0 && a.numbers[i-1].Compare(n) >= 0 {
		return fmt.Errorf("%w: address %d: no national number, or out of order", ErrMalformed, i)
	}
	for range 5 {
		var line cryptobyte.String
		if !rest.ReadUint8LengthPrefixed(&line) || !validText(line, 0, MaxAddressLine) {
			return fmt.Errorf("%w: address %d: a line that is no text", ErrMalformed, i)
		}
		a.text = append(append(a.text, byte(len(line))), line...)
	}
	a.numbers = append(a.numbers, n)
	a.starts = append(a.starts, uint32(len(a.text)))
	return nil
}

// Len is the number of addresses; 0 once closed.
func (a *Addresses) Len() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.numbers)
}

// Find is the address of the elector with this national number.
func (a *Addresses) Find(n ledger.NationalNumber) (Address, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	i, found := slices.BinarySearchFunc(a.numbers, n, ledger.NationalNumber.Compare)
	if !found {
		return Address{}, false
	}
	var lines [5]string
	text := a.text[a.starts[i]:a.starts[i+1]]
	for k := range lines {
		lines[k] = string(text[1 : 1+text[0]])
		text = text[1+text[0]:]
	}
	return Address{n, lines[0], lines[1], lines[2], lines[3], lines[4]}, true
}

// Close wipes the addresses from memory; afterwards none is found.
func (a *Addresses) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.numbers)
	clear(a.text)
	a.numbers, a.text, a.starts = nil, nil, nil
}
