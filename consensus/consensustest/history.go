package consensustest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Outcome is what a proposer was told.
type Outcome string

// The outcomes of an operation.
const (
	Answered Outcome = "answered" // it took effect between Call and Return, and this was the reply
	Unknown  Outcome = "unknown"  // it may have taken effect, or may yet, at any time after Call
	Refused  Outcome = "refused"  // nothing was proposed, and nothing may ever be seen of it
)

// Operation is a claim or a look as its proposer saw it, all its attempts with the same bytes together.
type Operation struct {
	Proposer     int
	Key, Who     string
	Look         bool
	Outcome      Outcome
	Reply        Standing      // if Answered
	Call, Return time.Duration // since the beginning of the day; Return only if Answered
}

// Command returns the bytes that were proposed.
func (o Operation) Command() []byte {
	if o.Look {
		return Look(o.Key, o.Who)
	}
	return Claim(o.Key, o.Who)
}

func (o Operation) String() string {
	what := string(o.Command())
	if o.Outcome != Answered {
		return fmt.Sprintf("%-40s from %-14s %s", what, o.Call, o.Outcome)
	}
	return fmt.Sprintf("%-40s from %-14s to %-14s: %s", what, o.Call, o.Return, o.Reply.Encode())
}

// History is the operations of one day. Any number of proposers add to it.
type History struct {
	mu         sync.Mutex
	operations []Operation
}

// Add records an operation that has ended, or was given up.
func (h *History) Add(o Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, o)
}

// Operations returns what was recorded.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.operations)
}

// Commands returns the bytes of all operations with an outcome.
func (h *History) Commands(outcome Outcome) [][]byte {
	var all [][]byte
	for _, o := range h.Operations() {
		if o.Outcome == outcome {
			all = append(all, o.Command())
		}
	}
	return all
}

// Linearizable says whether there is an order of all operations, each at one instant between its call and its return, in
// which every answer is right; those whose outcome is unknown may stand anywhere after their call, or nowhere. It returns
// the first key for which there is none. It starts timers: it is called outside a synctest bubble, or it never gives up.
func (h *History) Linearizable(within time.Duration) error {
	keys := map[string][]Operation{}
	for _, o := range h.Operations() {
		if o.Outcome == Answered || o.Outcome == Unknown && !o.Look {
			keys[o.Key] = append(keys[o.Key], o)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		list := make([]porcupine.Operation, 0, len(keys[key]))
		for _, o := range keys[key] {
			p := porcupine.Operation{ClientId: o.Proposer, Input: o, Call: int64(o.Call), Return: int64(o.Return)}
			if o.Outcome == Unknown {
				p.Return = math.MaxInt64
			}
			list = append(list, p)
		}
		switch porcupine.CheckOperationsTimeout(claimModel, list, within) {
		case porcupine.Illegal:
			return fmt.Errorf("key %s: no order explains these answers:\n%s", key, told(keys[key]))
		case porcupine.Unknown:
			return fmt.Errorf("key %s: %d operations were not judged within %s", key, len(list), within)
		}
	}
	return nil
}

func told(operations []Operation) string {
	slices.SortFunc(operations, func(a, b Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range operations {
		fmt.Fprintf(&b, "  %s\n", o)
	}
	return b.String()
}

// claimModel is one key: its state is how it stands. An operation of unknown outcome never ends for the checker, so that it
// can be put behind all others, where its effect is not seen.
var claimModel = porcupine.Model{
	Init: func() any { return Standing{Holder: Nobody} },
	Step: func(state, input, _ any) (bool, any) {
		o, after := input.(Operation), state.(Standing)
		if !o.Look {
			after.Claims++
			if after.Holder == Nobody {
				after.Holder = o.Who
			}
		}
		return o.Outcome == Unknown || after == o.Reply, after
	},
}

// Absent returns an error naming the first of the commands that some replica has applied: those that were refused.
func Absent(replicas map[string][]Applied, refused [][]byte) error {
	never := map[string]bool{}
	for _, c := range refused {
		never[string(c)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(replicas)) {
		for _, a := range replicas[name] {
			if never[string(a.Command)] {
				return fmt.Errorf("command %.40q was refused and is applied: replica %s, index %d", a.Command, name, a.Index)
			}
		}
	}
	return nil
}
