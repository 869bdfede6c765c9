package platform

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"pointage/ledger"
)

// communeLedger is what the platform knows of one commune: the rules of its ledger, and where its
// copy stands.
type communeLedger struct {
	ins    ledger.Commune
	method ledger.Modulo97
	names  [2]string
	group  *ledger.Group

	mu         sync.Mutex // the ledger's copy is read and added to by one call at a time
	generation uint32
}

// openLedger makes the rules of a commune from the manifest and its roll.
func (rg *Region) openLedger(c ledger.Commune, roll []byte) (*communeLedger, error) {
	r, err := ledger.DecodeRoll(roll)
	if err != nil {
		return nil, err
	}
	m, err := rg.manifest.Commune(c)
	if err != nil {
		return nil, err
	}
	l := &communeLedger{ins: c, method: ledger.Modulo97(rg.manifest.Modulo97), names: [2]string{m.NameFR, m.NameNL}}
	if l.group, err = rg.manifest.Group(manifestHash(rg.file), c, r); err != nil {
		return nil, err
	}
	raw, err := rg.st.get(ledgerKey('m', c))
	if err == nil && raw != nil {
		l.generation = binary.BigEndian.Uint32(raw)
	}
	return l, err
}

// isNamed says whether a text is the commune's French or Dutch name; case, accents, hyphens and
// spaces do not matter, as when the list was prepared.
func (l *communeLedger) isNamed(text string) bool {
	t := plainName(text)
	return t != "" && (t == plainName(l.names[0]) || t == plainName(l.names[1]))
}

// plainName is a name's letters, small and without accents.
func plainName(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(text))
}

func (rg *Region) view(l *communeLedger) *ledgerView {
	return newLedgerView(rg.st, l.ins, l.generation)
}

// held is how many entries of an epoch are here.
func (rg *Region) held(c ledger.Commune, epoch uint8) (uint64, error) {
	raw, err := rg.st.get(ledgerKey('z', c, epoch))
	if err != nil || raw == nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(raw), nil
}

func (rg *Region) entryAt(c ledger.Commune, epoch uint8, n uint64) ([]byte, error) {
	raw, err := rg.st.get(ledgerKey('e', c, be64(ledger.Reference(epoch, n))...))
	if err == nil && raw == nil {
		err = fmt.Errorf("%s is missing", ledger.EntryName(ledger.Reference(epoch, n)))
	}
	return raw, err
}
