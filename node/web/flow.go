package web

import (
	"html/template"
	"strings"

	"pointage/ledger/proxies"
	"pointage/node/daybook"
)

// flowPage shows this bureau's check-ins by fifteen minutes and every bureau's load (R-P2).
var flowPage = page{name: "flow", who: assessor, nav: true, show: showFlow, acts: map[string]act{"queue": reportQueue}}

type flowData struct {
	daybook.Flow
	Chart template.HTML
	// CheckIns, Proxies and Most add up the quarters.
	CheckIns, Proxies, Most int
}

// StateKey names a bureau's state, StateMark is its sign: colour alone says nothing.
func (flowData) StateKey(s daybook.State) string { return stateKey(s) }

func stateKey(s daybook.State) string { return "state." + strings.ReplaceAll(string(s), " ", "-") }

// stateMarks are signs that differ without their colour.
var stateMarks = map[daybook.State]string{
	daybook.Linked: "●", daybook.CatchingUp: "◐", daybook.Alone: "○", daybook.Silent: "✕", daybook.Closed: "■", daybook.NotOpen: "□",
}

// StateMark is a state's sign.
func (flowData) StateMark(s daybook.State) string { return stateMarks[s] }

// ShareAlert says that a bureau's share of proxies is to be looked into.
func (flowData) ShareAlert(b daybook.Load) bool { return shareOf(b.Proxies, b.CheckIns).Alert() }

func shareOf(of, all int) proxies.Share { return proxies.Share{Proxies: of, CheckIns: all} }

func showFlow(v *visit) (any, error) {
	f, err := v.bureau.Flow(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := flowData{Flow: f}
	for _, q := range f.Quarters {
		out.CheckIns, out.Proxies, out.Most = out.CheckIns+q.CheckIns, out.Proxies+q.Proxies, max(out.Most, q.CheckIns)
	}
	title := v.lang.say("flow.chart-words", len(f.Quarters), out.CheckIns, out.Proxies, out.Most)
	out.Chart = chart(f.Quarters, title, func(q daybook.Quarter) string { return shortAt(q.From) })
	return out, nil
}

func reportQueue(v *visit) (reply, error) {
	n, ok, err := v.typed("waiting", 31)
	if err != nil {
		return reply{}, err
	}
	if !ok {
		return v.told(daybook.QueueTooLong, "")
	}
	why, err := v.bureau.ReportQueue(v.r.Context(), int(n))
	if err != nil {
		return reply{}, err
	}
	return v.told(why, "acts.saved")
}
