package web

import (
	"fmt"
	"strconv"
	"strings"

	"pointage/ledger"
	"pointage/ledger/proxies"
	"pointage/node/daybook"
)

// dashboardPage is what the principal bureau and its deputy watch.
var dashboardPage = page{
	name: "dashboard", who: president, nav: true, unlisted: func(s *Server) bool { return !leads(s) },
	show: showDashboard, acts: map[string]act{"custody": recordCustody},
}

func leads(s *Server) bool {
	f := s.bureau.Facts()
	return f.Bureau == f.Principal || f.Bureau == f.Deputy
}

type dashboardData struct {
	daybook.Dashboard
	// Elsewhere: this bureau is neither the principal one nor its deputy.
	Elsewhere bool
	Share     proxies.Share
	Age       int
	// Ranges are the parts of the list of keys, of which Keys is one; a commune that fits on one page has none.
	Ranges []keyRange
}

// keysShown is how many keys the page lists at a time: those of 20 bureaux.
const keysShown = 40

// keyRange is a part of the list of keys: from which one on, of which bureaux, and whether it is shown.
type keyRange struct {
	At          int
	First, Last ledger.BureauNumber
	Shown       bool
}

// At is where the part that is shown begins.
func (d dashboardData) At() int {
	for _, r := range d.Ranges {
		if r.Shown {
			return r.At
		}
	}
	return 0
}

// part keeps the keys from one on, and says which other parts there are.
func (d *dashboardData) part(from int) {
	all := d.Keys
	if from < 0 || from >= len(all) {
		from = 0
	}
	from -= from % keysShown
	for i := 0; i < len(all) && len(all) > keysShown; i += keysShown {
		d.Ranges = append(d.Ranges, keyRange{i, all[i].Bureau, all[min(i+keysShown, len(all))-1].Bureau, i == from})
	}
	d.Keys = all[from:min(from+keysShown, len(all))]
}

// Evidence says that something irregular was found.
func (d dashboardData) Evidence() bool {
	return d.Forks+d.Equivocations+d.Alarms > 0 || d.RolledBack || d.LeftOut || d.LedgerDiffers
}

// StateKey names a bureau's state, StepKey where a key is.
func (dashboardData) StateKey(s daybook.State) string { return stateKey(s) }

// StateMark is a state's sign.
func (dashboardData) StateMark(s daybook.State) string { return stateMarks[s] }

// StepKey names where a key is.
func (dashboardData) StepKey(s daybook.CustodyStep) string { return stepKey(s) }

// Gap is the larger gap of a bureau's last count.
func (dashboardData) Gap(t *daybook.Tally) int { return gapOf(t) }

func stepKey(s daybook.CustodyStep) string { return fmt.Sprintf("dashboard.step-%d", s) }

func showDashboard(v *visit) (any, error) {
	d, why, err := v.bureau.Dashboard(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := dashboardData{
		Dashboard: d, Elsewhere: why != daybook.Recorded, Share: shareOf(d.Proxies, d.CheckIns), Age: int(d.AnchorAgeSeconds),
	}
	from, err := strconv.Atoi(v.r.URL.Query().Get("keys"))
	if err != nil {
		from = 0
	}
	out.part(from)
	return out, nil
}

func recordCustody(v *visit) (reply, error) {
	which, err := v.field("hand", maxChoice) // "<bureau>-<1 or 2>-<step>"
	if err != nil {
		return reply{}, err
	}
	var bureau, key uint16
	var step uint8
	if n, err := fmt.Sscanf(strings.ReplaceAll(which, "-", " "), "%d %d %d", &bureau, &key, &step); err != nil || n != 3 {
		return v.told(daybook.KeyUnknown, "")
	}
	why, err := v.bureau.RecordCustody(v.r.Context(), daybook.Handing{
		Bureau: ledger.BureauNumber(bureau), Key: int(key), Step: daybook.CustodyStep(step), To: v.who.Code,
	})
	if err != nil {
		return reply{}, err
	}
	from, _, err := v.typed("keys", 16) // the part of the list that is shown
	if err != nil {
		return reply{}, err
	}
	if why == daybook.Recorded { // the row itself says so, where the eye is
		return reply{to: fmt.Sprintf("/dashboard?keys=%d#key-%d-%d", from, bureau, key)}, nil
	}
	return v.told(why, "")
}
