package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// listState is what is known of a commune's list; it names nobody.
type listState struct {
	Uploaded time.Time `json:"uploaded"`
	Electors int       `json:"electors"` // not struck off
	Version  int       `json:"version"`  // acts on the list
	Digest   string    `json:"digest"`   // of the upload, keyed
}

func (rg *Region) listState(c ledger.Commune) (*listState, error) {
	raw, err := rg.st.get(communeKeyed('s', c))
	if err != nil || raw == nil {
		return nil, err
	}
	var s listState
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read state of a list: %w", err)
	}
	return &s, nil
}

func putListState(b *pebble.Batch, c ledger.Commune, s *listState) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write state of a list: %w", err)
	}
	return b.Set(communeKeyed('s', c), raw, nil)
}

// parseList reads a commune's list, all its bad rows in one pass.
func (l *communeLedger) parseList(raw []byte) ([]*elector, *outcome) {
	var all []*elector
	byNumber, byConvocation, names := map[string]int{}, map[string]int{}, map[int]string{}
	t := csvTable{columns: listColumns, required: len(listColumns), maxRows: ledger.MaxElectors}
	bad, out := t.read(raw, func(line int, get []string) error {
		e := &elector{}
		if err := e.fill(l, get); err != nil {
			return err
		}
		if first := byNumber[e.NationalNumber]; first > 0 {
			if names[first] != e.Surname+", "+e.FirstNames {
				return fmt.Errorf("national_number: the same as on line %d, there under another name: find out whose it is", first)
			}
			return fmt.Errorf("national_number: the same as on line %d", first)
		}
		if first := byConvocation[e.ConvocationNumber]; first > 0 {
			return fmt.Errorf("convocation_number: the same as on line %d", first)
		}
		byNumber[e.NationalNumber], byConvocation[e.ConvocationNumber], names[line] = line, line, e.Surname+", "+e.FirstNames
		all = append(all, e)
		return nil
	})
	switch {
	case out != nil:
		return nil, out
	case len(bad) > 0:
		return nil, refuseRows(bad)
	case len(all) == 0:
		return nil, refuse(http.StatusUnprocessableEntity, "empty", "the list names nobody")
	}
	return all, nil
}

// A ListAnswer is what the commune hears of its upload.
type ListAnswer struct {
	Electors int  `json:"electors"`
	Known    bool `json:"known,omitempty"` // the same list was there already
}

// uploadList is PUT /communes/{ins}/list: the whole list, or nothing. The same list again changes
// nothing; another one replaces it with ?replace=yes, until the poll has begun in the ledger, with a trace for whom
// it adds, strikes off or changes; marks and members stay:
// after the upload a commune makes its changes here (decree, art. 2 §3).
func (rg *Region) uploadList(c *call) (*outcome, error) {
	raw, out := c.body(MaxListUpload)
	if out != nil {
		return out, nil
	}
	l := rg.communes[c.commune]
	all, out := l.parseList(raw)
	if out != nil {
		return out, nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	c.lock()
	state, err := rg.listState(c.commune)
	if err != nil {
		return nil, err
	}
	digest := key.digestOf(raw)
	version := 0
	if state != nil {
		version = state.Version
		if state.Digest == digest && version == 1 {
			out := answerJSON(http.StatusOK, ListAnswer{state.Electors, true})
			out.content, out.why = digest, "known"
			return out, nil
		}
		if c.r.URL.Query().Get("replace") != "yes" || rg.begun(l) {
			return refuse(http.StatusConflict, "list is there",
				"the commune's list is here: make changes one by one; before the poll the whole is replaced with ?replace=yes"), nil
		}
	}
	out = answerJSON(http.StatusCreated, ListAnswer{len(all), false})
	out.content, out.count = digest, len(all)
	r := &replacement{l: l}
	if state != nil {
		var bad []BadRow
		if r, bad, err = rg.replace(c.commune, c.who.actor(), all); err != nil {
			return nil, err
		}
		if len(bad) > 0 {
			return refuseRows(bad), nil
		}
		out.why = "replaced"
		for _, e := range r.changed {
			out.subjects = append(out.subjects, key.subjectOf(e.number()))
		}
	}
	out.change = func(b *pebble.Batch) error {
		if err := r.write(b, key, all); err != nil {
			return err
		}
		return putListState(b, c.commune, &listState{rg.now().UTC().Truncate(time.Second), len(all), version + 1, digest})
	}
	return out, nil
}

// readList is GET /communes/{ins}/list.
func (rg *Region) readList(c *call) (*outcome, error) {
	all, err := rg.listed(c.commune, func(*elector) bool { return true })
	if err != nil {
		return nil, err
	}
	rows := make([][]string, len(all))
	for i, e := range all {
		rows[i] = e.row()
	}
	return answerCSV(listColumns, rows), nil
}

// copyList is GET /communes/{ins}/copy: the list for depositors of lists and candidates, without
// any number of an elector.
func (rg *Region) copyList(c *call) (*outcome, error) {
	all, err := rg.listed(c.commune, func(*elector) bool { return true })
	if err != nil {
		return nil, err
	}
	rows := make([][]string, len(all))
	for i, e := range all {
		rows[i] = e.row()[1:9]
	}
	return answerCSV(listColumns[1:9], rows), nil
}

// A Find is what somebody looks for: one of the three.
type Find struct {
	NationalNumber    string `json:"national_number,omitempty"`
	ConvocationNumber string `json:"convocation_number,omitempty"`
	Surname           string `json:"surname,omitempty"` // its beginning, 2 letters at least
}

// findElector is POST /communes/{ins}/find; what is looked for never stands in an address.
func (rg *Region) findElector(c *call) (*outcome, error) {
	var ask Find
	if out := c.json(&ask); out != nil {
		return out, nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	found, err := rg.find(c.commune, key, &ask)
	if errors.Is(err, errAsk) {
		return refuse(http.StatusBadRequest, "malformed", err.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	out := answerJSON(http.StatusOK, found)
	out.count = len(found)
	for _, e := range found {
		out.subjects = append(out.subjects, key.subjectOf(e.number()))
	}
	return out, nil
}

var errAsk = errors.New("look for one of national_number, convocation_number, surname (2 letters at least), as it is written")

func (rg *Region) find(c ledger.Commune, key *communeKey, ask *Find) ([]*elector, error) {
	switch {
	case ask.NationalNumber != "" && ask.ConvocationNumber == "" && ask.Surname == "":
		n, err := ledger.ParseNationalNumber(ask.NationalNumber)
		if err != nil {
			return nil, errAsk
		}
		return rg.foundAt(c, key.place(n))
	case ask.ConvocationNumber != "" && ask.NationalNumber == "" && ask.Surname == "":
		n, err := ledger.ParseConvocationNumber(ask.ConvocationNumber, rg.communes[c].method)
		if err != nil {
			return nil, errAsk
		}
		place, err := rg.st.get(communeKeyed('n', c, key.convocationPlace(n)...))
		if err != nil || place == nil {
			return []*elector{}, err
		}
		return rg.foundAt(c, place)
	case len(ask.Surname) >= 2 && ask.NationalNumber == "" && ask.ConvocationNumber == "":
		want := strings.ToLower(ask.Surname)
		all, err := rg.listed(c, func(e *elector) bool { return strings.HasPrefix(strings.ToLower(e.Surname), want) })
		return append([]*elector{}, all[:min(len(all), MaxFound)]...), err
	}
	return nil, errAsk
}

func (rg *Region) foundAt(c ledger.Commune, place []byte) ([]*elector, error) {
	e, err := rg.electorAt(c, place)
	if err != nil || e == nil {
		return []*elector{}, err
	}
	return []*elector{e}, nil
}

// ownRecord is GET /record: the elector verifies his own data, and nobody else's.
func (rg *Region) ownRecord(c *call) (*outcome, error) {
	c.commune = c.who.communes[0]
	e, err := rg.electorAt(c.commune, c.who.subject)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return refuse(http.StatusNotFound, "no such elector", "you are not on the commune's list any more"), nil
	}
	key, err := rg.vault.of(c.commune)
	if err != nil {
		return nil, err
	}
	out := answerJSON(http.StatusOK, e)
	out.subjects, out.count = []string{key.subjectOf(e.number())}, 1
	return out, nil
}
