package platform

import (
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// writeTokenKey is PUT /communes/{ins}/token-key: K, in 64 hexadecimal digits, which tells who an
// elector of the ledger is. Only a key whose tokens are those of the commune's roll is taken; it
// lies sealed under the commune's key, and dies with it.
func (rg *Region) writeTokenKey(c *call) (*outcome, error) {
	raw, out := c.body(MaxSmall)
	if out != nil {
		return out, nil
	}
	defer clear(raw)
	k, err := hex.DecodeString(string(trimLine(raw)))
	if err != nil || len(k) != 32 {
		return refuse(http.StatusBadRequest, "malformed", "the key is 64 hexadecimal digits"), nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	c.lock()
	fits, err := rg.fitsRoll(c.commune, [32]byte(k))
	if err != nil {
		return nil, err
	}
	if !fits {
		return refuse(http.StatusUnprocessableEntity, "another key", "the commune's electors have other tokens on the roll: upload its list first, and give this election's key"), nil
	}
	out = &outcome{status: http.StatusNoContent}
	out.change = func(b *pebble.Batch) error {
		at := communeKeyed('t', c.commune)
		return b.Set(at, key.lock(at, k), nil)
	}
	return out, nil
}

func trimLine(raw []byte) []byte {
	for len(raw) > 0 && (raw[len(raw)-1] == '\n' || raw[len(raw)-1] == '\r') {
		raw = raw[:len(raw)-1]
	}
	return raw
}

var errEnough = errors.New("enough")

// fitsRoll says whether an elector of the list stands on the roll under the key; who was added
// after the roll was made does not.
func (rg *Region) fitsRoll(c ledger.Commune, k [32]byte) (fits bool, err error) {
	group := rg.communes[c].group
	err = rg.electors(c, func(e *elector) error {
		if _, fits = group.Home(ledger.Token(k, e.number())); fits {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return fits, err
}

// tokenKey is K of a commune, nil when nobody has brought it.
func (rg *Region) tokenKey(c ledger.Commune) (*[32]byte, error) {
	key, err := rg.vault.of(c)
	if err != nil {
		return nil, err
	}
	at := communeKeyed('t', c)
	sealed, err := rg.st.get(at)
	if err != nil || sealed == nil {
		return nil, err
	}
	raw, err := key.unlock(at, sealed)
	if err != nil {
		return nil, err
	}
	k := [32]byte(raw)
	return &k, nil
}

// attendance gives the electors of a commune who voted, or who did not, by its ledger as far as
// it is here.
func (rg *Region) attendance(c ledger.Commune, voted bool) ([]*elector, *outcome, error) {
	k, err := rg.tokenKey(c)
	if err != nil {
		return nil, nil, err
	}
	if k == nil {
		return nil, refuse(http.StatusConflict, "no token key", "the key of the commune's tokens is not here yet"), nil
	}
	l := rg.communes[c]
	l.mu.Lock()
	defer l.mu.Unlock()
	view := rg.view(l)
	if ledger.ReadHead(view).Size == 0 {
		return nil, refuse(http.StatusConflict, "no ledger", "the commune's ledger is not here yet"), nil
	}
	came := map[ledger.ElectorToken]bool{}
	ledger.RangeAdmissions(view, func(x ledger.Right, _ []ledger.LiveAdmission) bool {
		if x.Kind == ledger.Admit {
			came[x.Elector] = true
		}
		return true
	})
	all, err := rg.listed(c, func(e *elector) bool { return came[ledger.Token(*k, e.number())] == voted })
	return all, nil, err
}

// checkIns is GET /communes/{ins}/check-ins: the list that served the check-in, without
// addresses: who voted.
func (rg *Region) checkIns(c *call) (*outcome, error) { return rg.attendanceList(c, true, false) }

// absentElectors is GET /communes/{ins}/absent-electors, without addresses.
func (rg *Region) absentElectors(c *call) (*outcome, error) {
	return rg.attendanceList(c, false, false)
}

// absentAddresses is GET /communes/{ins}/absent-electors/addresses: what the principal bureau
// extracts (decree, art. 11 §2).
func (rg *Region) absentAddresses(c *call) (*outcome, error) {
	return rg.attendanceList(c, false, true)
}

func (rg *Region) attendanceList(c *call, voted, addresses bool) (*outcome, error) {
	if !voted && rg.now().UnixMilli() < int64(rg.manifest.Closes) {
		return refuse(http.StatusConflict, "poll open", "nobody is absent before the poll has closed (decree, article 11 § 2)"), nil
	}
	all, out, err := rg.attendance(c.commune, voted)
	if out != nil || err != nil {
		return out, err
	}
	header := []string{"national_number", "surname", "first_names"}
	if addresses {
		header = listColumns[:8]
	}
	rows := make([][]string, len(all))
	for i, e := range all {
		rows[i] = e.row()[:len(header)]
	}
	return answerCSV(header, rows), nil
}
