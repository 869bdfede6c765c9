package links

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Weather is what every direction of every cable does to what passes. The zero Weather does nothing.
type Weather struct {
	// Least and Most bound how long a piece is on its way, one way; each piece draws its own. Bytes keep their order, as
	// TCP's do: a late piece holds up those behind it.
	Least, Most time.Duration
	// Loss is the share of the pieces that are lost, 0 to MaxLoss. TCP sends such a piece again: it comes a round trip
	// and resendAfter later, and holds up those behind it.
	Loss float64
}

// Limits of a Weather.
const (
	MaxDelay = 5 * time.Second
	MaxLoss  = 0.5
	// resendAfter is TCP's shortest wait before it sends again what was not acknowledged (Linux' TCP_RTO_MIN).
	resendAfter = 200 * time.Millisecond
	// maxOnTheWay is how many pieces of maxBuffer one direction of a connection has on its way: 2 MiB.
	maxOnTheWay = 64
)

// ParseDelay reads "40ms-160ms", or "40ms" for always that.
func ParseDelay(text string) (least, most time.Duration, err error) {
	from, to, both := strings.Cut(text, "-")
	if !both {
		to = from
	}
	least, err1 := time.ParseDuration(from)
	most, err2 := time.ParseDuration(to)
	if err1 != nil || err2 != nil || least < 0 || most < least || most > MaxDelay {
		return 0, 0, fmt.Errorf("%q: want a delay such as 80ms or 40ms-160ms, at most %v", text, MaxDelay)
	}
	return least, most, nil
}

// ParseLoss reads "1%" or "0.01".
func ParseLoss(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= MaxLoss) { // nor NaN
		return 0, fmt.Errorf("%q: want a share such as 1%% or 0.01, at most %v", text, MaxLoss)
	}
	return share, nil
}

// calm says that nothing is held up.
func (w Weather) calm() bool { return w.Most == 0 && w.Loss == 0 }

// Delay draws how long one piece is on its way.
func (w Weather) Delay() time.Duration {
	return w.Least + rand.N(w.Most-w.Least+1)
}

// Lost draws whether one piece is lost.
func (w Weather) Lost() bool { return w.Loss > 0 && rand.Float64() < w.Loss }

// held draws when a piece that leaves now arrives, over a line that sends again what was lost.
func (w Weather) held() time.Duration {
	d := w.Delay()
	for w.Lost() {
		d += w.Delay() + w.Delay() + resendAfter
	}
	return d
}

// piece is some bytes on their way.
type piece struct {
	bytes []byte
	due   time.Time
}

// delayed passes what comes in on to out when it is due, in order, until in is closed; false when out says
// stop before.
func delayed(in <-chan piece, out func([]byte) bool) bool {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p := range in {
		if wait := time.Until(p.due); wait > 0 {
			timer.Reset(wait)
			<-timer.C
		}
		if !out(p.bytes) {
			return false
		}
	}
	return true
}
