package preparation

import (
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
)

// dayForm is how days are written: 2030-12-01.
const dayForm = "2006-01-02"

func parseDay(flag, text string) (time.Time, error) {
	t, err := time.Parse(dayForm, text)
	if err != nil {
		return t, wrongUse("--%s: give a day, as 2030-12-01", flag)
	}
	return t, nil
}

// validation is the juridictional college's word on one commune's election.
type validation struct {
	validated string // the day on which it was declared valid
	final     string // the first day on which no appeal is possible any more
}

// validations are the last word on each commune.
func (c *Custody) validations() map[ledger.Commune]validation {
	out := map[ledger.Commune]validation{}
	for _, s := range c.statements {
		if s.Act != actValidated {
			continue
		}
		for _, fact := range s.all("commune") {
			words := strings.Fields(fact)
			ins, err := strconv.ParseUint(words[0], 10, 32)
			if err == nil && len(words) == 3 {
				out[ledger.Commune(ins)] = validation{words[1], words[2]}
			}
		}
	}
	return out
}

// drawnUp is the day on which the public prosecutor's list of absent electors was
// drawn up, "" before that.
func (c *Custody) drawnUp() string {
	day := ""
	for _, s := range c.statements {
		if s.Act == actSettled {
			day = s.fact("drawn-up")
		}
	}
	return day
}

// Lawful says why personal data may not be destroyed yet: all nineteen communes of the
// Region must be finally validated, whether this election was theirs or not (decree,
// article 16), and the prosecutor's list drawn up (article 11 §5). The day is that of
// UTC, which begins in Brussels an hour or two late, never early.
func (c *Custody) Lawful(now time.Time) error {
	if closed := c.due.Add(-CustodyHours * time.Hour); now.Before(closed) {
		return refused(whyEarly, "nothing is destroyed: the poll closes at %s", closed.Format(time.RFC3339))
	}
	valid := c.validations()
	var missing []string
	earliest := c.drawnUp()
	for _, commune := range Communes {
		v, ok := valid[commune.INS]
		if !ok {
			missing = append(missing, strconv.Itoa(int(commune.INS)))
			continue
		}
		earliest = max(earliest, v.final) // days in this form compare as texts
	}
	switch {
	case len(missing) > 0:
		return refused(whyEarly, "nothing is destroyed: the elections of %d of the nineteen communes are not declared valid yet: %s", len(missing), strings.Join(missing, " "))
	case c.drawnUp() == "":
		return refused(whyEarly, "nothing is destroyed: the public prosecutor has not drawn up the list of absent electors yet; record it with prepare settle")
	case now.UTC().Format(dayForm) < earliest:
		return refused(whyEarly, "nothing is destroyed: an appeal is possible until then, come again on %s", earliest)
	}
	return nil
}
