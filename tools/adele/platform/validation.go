package platform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// The Region's nineteen communes have the INS codes from firstCommune to lastCommune; all of them
// must have been validated before anything is destroyed, whether this platform served them or not
// (decree, art. 16).
const (
	firstCommune ledger.Commune = 21001
	lastCommune  ledger.Commune = 21019
)

// dayForm is how days are written: 2030-12-01.
const dayForm = "2006-01-02"

// parseDay reads a day in its one form.
func parseDay(text string) (time.Time, error) {
	t, err := time.Parse(dayForm, text)
	if err != nil {
		return t, fmt.Errorf("%.20q is no day: write it as 2030-12-01", text)
	}
	return t, nil
}

// A Validation is the juridictional college's word on one commune's election.
type Validation struct {
	Commune ledger.Commune `json:"commune"`
	// Validated is the day on which it was declared valid, Final the first on which no appeal
	// against that is possible any more.
	Validated string `json:"validated"`
	Final     string `json:"final"`
}

// A Settlement is the public prosecutor's word that his list of absentees is drawn up (art. 11 §5).
type Settlement struct {
	DrawnUp string `json:"drawn_up"`
}

var settlementKey = []byte{regionPrefix, 'p'}

// validate is PUT /validations/{commune}.
func (rg *Region) validate(c *call) (*outcome, error) {
	n, err := strconv.ParseUint(c.r.PathValue("commune"), 10, 32)
	ins := ledger.Commune(n)
	if err != nil || ins < firstCommune || ins > lastCommune {
		return refuse(http.StatusNotFound, "no such commune", "the Region has no such commune"), nil
	}
	var v Validation
	if out := c.json(&v); out != nil {
		return out, nil
	}
	validated, err1 := parseDay(v.Validated)
	final, err2 := parseDay(v.Final)
	for _, err := range []error{err1, err2} {
		if err != nil {
			return refuse(http.StatusBadRequest, "malformed", err.Error()), nil
		}
	}
	if final.Before(validated) || validated.After(rg.now()) || v.Commune != ins {
		return refuse(http.StatusBadRequest, "malformed", "an election is final from the day it was validated at the earliest, which does not lie ahead; name its commune twice"), nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	c.commune = ins
	out := answerJSON(http.StatusOK, v)
	out.content = fmt.Sprintf("validated %s, final %s", v.Validated, v.Final)
	out.change = func(b *pebble.Batch) error { return b.Set(communeKeyed('v', ins), raw, nil) }
	return out, nil
}

// settleAbsentees is PUT /settlement.
func (rg *Region) settleAbsentees(c *call) (*outcome, error) {
	var s Settlement
	if out := c.json(&s); out != nil {
		return out, nil
	}
	day, err := parseDay(s.DrawnUp)
	if err != nil || day.After(rg.now()) {
		return refuse(http.StatusBadRequest, "malformed", "drawn_up is the day, not one ahead, on which the list was drawn up: 2030-12-01"), nil
	}
	out := answerJSON(http.StatusOK, s)
	out.content = "drawn up " + s.DrawnUp
	out.change = func(b *pebble.Batch) error { return b.Set(settlementKey, []byte(s.DrawnUp), nil) }
	return out, nil
}

// A legalState is what destruction rests on.
type legalState struct {
	Validations []Validation     `json:"validations"`
	Missing     []ledger.Commune `json:"missing,omitempty"`  // not validated
	DrawnUp     string           `json:"drawn_up,omitempty"` // the prosecutor's list
	// Earliest is the first day on which destruction is lawful, "" while something is missing.
	Earliest string `json:"earliest,omitempty"`
}

func (rg *Region) legal() (*legalState, error) {
	s := &legalState{Validations: []Validation{}}
	for ins := firstCommune; ins <= lastCommune; ins++ {
		raw, err := rg.st.get(communeKeyed('v', ins))
		if err != nil {
			return nil, err
		}
		if raw == nil {
			s.Missing = append(s.Missing, ins)
			continue
		}
		var v Validation
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("read validation of %d: %w", ins, err)
		}
		s.Validations = append(s.Validations, v)
	}
	drawn, err := rg.st.get(settlementKey)
	if err != nil {
		return nil, err
	}
	s.DrawnUp = string(drawn)
	if len(s.Missing) == 0 && s.DrawnUp != "" {
		s.Earliest = s.DrawnUp // days in this form compare as texts
		for _, v := range s.Validations {
			s.Earliest = max(s.Earliest, v.Final)
		}
	}
	return s, nil
}
