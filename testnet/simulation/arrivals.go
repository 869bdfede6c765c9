package simulation

import (
	"math/rand/v2"
	"slices"
	"time"

	"pointage/ledger"
)

// arrivalsByHour is the share of those who come in each hour from 8:00 to 16:00, in percent: an
// estimate, for simulations only.
var arrivalsByHour = [8]int{12, 15, 17, 16, 11, 10, 10, 9}

// Shares of those who come; for simulations only.
const (
	// awayShare go to another bureau than their own.
	awayShare = 0.03
	// againShare come a second time, later, to any bureau.
	againShare = 0.01
	// twinShare are asked for at two bureaux at the same instant.
	twinShare = 0.005
)

// visitor is one elector's day.
type visitor struct {
	elector int
	home    ledger.BureauNumber
	// at is when he comes, from the opening on; to is where.
	at time.Duration
	to ledger.BureauNumber
	// twin is a bureau where his number is tried at the same instant, again one where
	// it is tried later; 0 for neither.
	twin, again ledger.BureauNumber
	againAt     time.Duration
	// byNational says how he is looked up.
	byNational bool
	// by is who votes for him at to; zero when he comes himself.
	by proxy
}

// visitors draws the day of a commune: who comes when, where, who tries twice, and who votes by
// another.
func visitors(seed uint64, homes []ledger.BureauNumber, bureaux []ledger.BureauNumber, turnout float64, day time.Duration) []visitor {
	r := rand.New(rand.NewPCG(seed, 0x706f696e74616765))
	other := func(not ledger.BureauNumber) ledger.BureauNumber {
		if len(bureaux) == 1 {
			return 0
		}
		for {
			if b := bureaux[r.IntN(len(bureaux))]; b != not {
				return b
			}
		}
	}
	var out []visitor
	for i, home := range homes {
		if r.Float64() >= turnout {
			continue
		}
		v := visitor{elector: i, home: home, to: home, at: arrival(r, day), byNational: r.IntN(2) == 0}
		switch x := r.Float64(); {
		case x < awayShare:
			v.to = max(other(home), 0)
			if v.to == 0 {
				v.to = home
			}
		case x < awayShare+twinShare:
			v.twin = other(home)
		case x < awayShare+twinShare+againShare:
			v.again = bureaux[r.IntN(len(bureaux))]
			v.againAt = v.at + time.Duration(r.Int64N(int64(day)/8))
		}
		out = append(out, v)
	}
	slices.SortStableFunc(out, func(a, b visitor) int { return int(a.at - b.at) })
	giveProxies(seed, out, bureaux)
	return out
}

// arrival draws a moment of the compressed day by the hourly shares.
func arrival(r *rand.Rand, day time.Duration) time.Duration {
	x := r.IntN(100)
	for hour, share := range arrivalsByHour {
		if x < share {
			return time.Duration((float64(hour) + r.Float64()) / float64(len(arrivalsByHour)) * float64(day))
		}
		x -= share
	}
	return day
}
