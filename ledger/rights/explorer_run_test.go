package rights

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

// result is what an exploration found.
type result struct {
	places, moves int
	// complete: every place within the bounds was seen.
	complete  bool
	violation string
	trace     []string
}

type visited struct {
	from int
	by   move
}

// explore visits every place within the bounds, nearest first, until an invariant is
// broken.
func (x *explorer) explore() (r result) {
	first := x.start()
	number := map[place]int{first: 0}
	queue, how := []place{first}, []visited{{from: -1}}
	for at := 0; at < len(queue); at++ {
		if r.violation = x.check(queue[at]); r.violation != "" {
			r.trace = x.trace(how, at)
			break
		}
		if len(queue) > x.maxPlaces {
			r.places = len(queue)
			return r
		}
		x.moves(queue[at], func(m move, q place) {
			r.moves++
			if _, known := number[q]; !known {
				number[q] = len(queue)
				queue, how = append(queue, q), append(how, visited{at, m})
			}
		})
	}
	r.places, r.complete = len(queue), r.violation == ""
	return r
}

func (x *explorer) trace(how []visited, at int) (out []string) {
	for ; how[at].from >= 0; at = how[at].from {
		out = append([]string{x.describe(how[at].by)}, out...)
	}
	return out
}

func (x *explorer) describe(m move) string {
	if m.crash {
		return fmt.Sprintf("bureau %d crashes (durable %b)", m.bureau+1, m.arg)
	}
	s := fmt.Sprintf("bureau %d %s", m.bureau+1, kindNames[m.kind])
	switch m.kind {
	case doRequest:
		s += fmt.Sprintf(" %d", m.arg)
	case doRelease, doDeny, doReturn:
		was := x.said.values[m.arg]
		s += fmt.Sprintf(" (%v %d)", was.body.Kind(), was.id.Sequence)
	}
	return s
}

// check says which promise is broken, empty for none.
func (x *explorer) check(p place) string {
	for e := range x.electors {
		lights, holders := 0, 0
		for b := range bureaux {
			c := p.cells[e][b]
			lights += int(c.lights)
			switch x.states.values[c.state].Record.State {
			case ledger.Own, ledger.Admitted, ledger.Held:
				holders++
			}
			if why := x.checkCell(p, e, b); why != "" && !x.onlyLights {
				return fmt.Sprintf("elector %d, bureau %d: %s", e, b+1, why)
			}
		}
		if lights > 1 {
			return fmt.Sprintf("S1: elector %d got %d ballots", e, lights)
		}
		if x.onlyLights {
			continue
		}
		if holders > 1 {
			return fmt.Sprintf("the right of elector %d lies at %d bureaux", e, holders)
		}
		if !x.wayOn(p, e) {
			return fmt.Sprintf("L3: elector %d is stuck", e)
		}
	}
	return ""
}

func (x *explorer) checkCell(p place, e, b int) string {
	c := p.cells[e][b]
	s := x.states.values[c.state]
	durable := x.states.values[x.recover(e, b, p.opened[b], c.chain)]
	switch {
	case durable.Record != s.Record:
		return fmt.Sprintf("says %+v, its chain %+v", s.Record, durable.Record)
	case c.lights > 0 && durable.Record.State != ledger.Admitted:
		return "a ballot was handed over that a restart would not know of"
	case c.lights > 0 && !s.Handed:
		return "a ballot was handed over that could be taken for not handed over"
	case s.Record.State == ledger.Held && s.Pending == nil && s.Desk == Idle && !x.justStarted(p, e, b):
		return "a right is held that nobody waits for"
	}
	return ""
}

// justStarted: after a restart the driver returns what is held (Leave).
func (x *explorer) justStarted(p place, e, b int) bool {
	c := p.cells[e][b]
	return c.state == x.recover(e, b, p.opened[b], c.chain)
}

// full takes the wider bounds too: minutes, and some gigabytes.
var full = flag.Bool("full", false, "explore within wider bounds")

// The bounds of the explorations, each complete.
var (
	narrow = []bounds{
		{electors: 1, releases: 2, crashes: 1},
		{electors: 1, releases: 2, voids: 1, annulments: 1},
		{electors: 1, releases: 1, crashes: 1, voids: 1, annulments: 1},
		{electors: 2, releases: 1, crashes: 1},
	}
	wide = []bounds{
		{electors: 1, releases: 1, crashes: 2, voids: 1, annulments: 1},
		{electors: 1, releases: 2, crashes: 1, voids: 1, annulments: 1},
		{electors: 1, releases: 3, crashes: 1, voids: 1},
	}
)

func TestEveryReachableStateKeepsThePromises(t *testing.T) {
	all := narrow
	if *full {
		all = append(slices.Clone(narrow), wide...)
	}
	total := 0
	for _, b := range all {
		b.maxPlaces = 20_000_000
		name := fmt.Sprintf("%d electors, %d releases, %d crashes, %d voids, %d annulments", b.electors, b.releases, b.crashes, b.voids, b.annulments)
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			x := newExplorer(t, b)
			r := x.explore()
			total += r.places
			t.Logf("%d states, %d moves, %d steps of the protocol, %v", r.places, r.moves, len(x.memo), time.Since(began).Round(time.Millisecond))
			if r.violation != "" || !r.complete {
				t.Fatalf("%s (complete: %v) after\n  %s", r.violation, r.complete, strings.Join(r.trace, "\n  "))
			}
		})
	}
	t.Logf("%d states in all", total)
}
