package web

import (
	"fmt"
	"slices"

	"pointage/ledger"
	"pointage/node/daybook"
)

// attendancePage is who serves as a member (decree art. 8 § 1).
var attendancePage = page{
	name: "attendance", who: president, nav: true, show: showAttendance,
	acts: map[string]act{"presence": recordPresence, "replace": replaceMember},
}

// memberFunctions are those that a member can have, in their order.
var memberFunctions = []string{"president", "deputy", "secretary", "assessor", "substitute"}

// presences are what can be said of a member.
var presences = []ledger.Presence{ledger.Active, ledger.NotRetained, ledger.Absent}

type attendanceData struct {
	Members   []daybook.Member
	Presences []ledger.Presence
	Functions []string
}

func showAttendance(v *visit) (any, error) {
	a, err := v.bureau.Attendance(v.r.Context())
	if err != nil {
		return nil, err
	}
	return attendanceData{a.Members, presences, memberFunctions}, nil
}

func presenceKey(p ledger.Presence) string { return fmt.Sprintf("attendance.presence-%d", p) }

func functionKey(f string) string { return "function." + f }

// PresenceKey names a presence.
func (attendanceData) PresenceKey(p ledger.Presence) string { return presenceKey(p) }

// Replaced is the number of the member in whose place somebody serves, 0 for nobody's.
func (attendanceData) Replaced(m daybook.Member) int { return max(0, *m.Replaces) }

// FunctionKey names a function.
func (attendanceData) FunctionKey(f string) string { return functionKey(f) }

func recordPresence(v *visit) (reply, error) {
	member, ok, err := v.typed("member", 16)
	if err != nil {
		return reply{}, err
	}
	p, known, err := v.typed("presence", 8)
	if err != nil {
		return reply{}, err
	}
	switch {
	case !ok:
		return v.told(daybook.NoSuchMember, "")
	case !known:
		return v.told(daybook.PresenceUnknown, "")
	}
	why, err := v.bureau.RecordAttendance(v.r.Context(), uint16(member), ledger.Presence(p))
	if err != nil {
		return reply{}, err
	}
	if why == daybook.Recorded && notHere(ledger.Presence(p)) {
		if err := v.gone(uint16(member)); err != nil {
			return reply{}, err
		}
	}
	if why == daybook.Recorded { // the row itself says so, where the eye is
		return reply{to: fmt.Sprintf("/attendance#member-%d", member)}, nil
	}
	return v.told(why, "")
}

func replaceMember(v *visit) (reply, error) {
	x := daybook.Replacement{By: "national"}
	var err error
	if x.Number, err = v.field("number", maxNumberField); err != nil {
		return reply{}, err
	}
	if x.Function, err = v.field("function", maxChoice); err != nil {
		return reply{}, err
	}
	if !slices.Contains(memberFunctions, x.Function) {
		return v.told(daybook.FunctionUnknown, "")
	}
	in, _, err := v.typed("for", 16) // empty for nobody's place
	if err != nil {
		return reply{}, err
	}
	x.For = uint16(in)
	_, why, err := v.bureau.Replace(v.r.Context(), x)
	if err != nil {
		return reply{}, err
	}
	return v.told(why, "acts.saved")
}
