package minutes

import (
	"fmt"
	"time"

	"pointage/ledger"
)

// brussels is the instant on Brussels' clocks, with their distance from UTC. The rule is that of directive
// 2000/84/EC: summer time from the last Sunday of March to that of October, at 01:00 UTC. It is computed, since the
// zone files of two machines may differ.
func brussels(t ledger.Instant) time.Time {
	u := time.UnixMilli(int64(t)).UTC()
	name, hours := "CET", 1
	if from, to := lastSunday(u.Year(), time.March), lastSunday(u.Year(), time.October); !u.Before(from) && u.Before(to) {
		name, hours = "CEST", 2
	}
	return u.In(time.FixedZone(name, hours*3600))
}

// lastSunday is 01:00 UTC on the month's last Sunday; the month has 31 days.
func lastSunday(year int, month time.Month) time.Time {
	last := time.Date(year, month, 31, 1, 0, 0, 0, time.UTC)
	return last.AddDate(0, 0, -int(last.Weekday()))
}

// clock is the time of the day: 08:00:03 (UTC+2).
func clock(t ledger.Instant) string { return brussels(t).Format("15:04:05") + offset(t) }

// rounded is the time of a statement whose time is a multiple of five minutes.
func rounded(t ledger.Instant) string { return brussels(t).Format("15:04") + offset(t) }

// stamp is clock with the date: 13/10/2024 08:00:03 (UTC+2).
func stamp(t ledger.Instant) string { return date(t) + " " + clock(t) }

func date(t ledger.Instant) string { return brussels(t).Format("02/01/2006") }

func offset(t ledger.Instant) string {
	_, seconds := brussels(t).Zone()
	return fmt.Sprintf(" (UTC+%d)", seconds/3600)
}
