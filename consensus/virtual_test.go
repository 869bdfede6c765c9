package consensus

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	daysFlag  = flag.Int("days", 3, "faulted days of 5 machines")
	largeFlag = flag.Int("largedays", 1, "faulted days of 25 machines")
	seedFlag  = flag.Uint64("seed", 1, "seed of the first day; each further day has the next")
	dayFlag   = flag.Duration("day", 4*time.Minute, "virtual time of a day until everything is healed")
)

// mutant is a way in which the group could be wrong; each must be noticed.
type mutant string

const (
	answersEarly     mutant = "acknowledges before it is committed"
	answersFollowing mutant = "a follower answers from its own state"
	answersLeading   mutant = "a leader answers from its own state before it has what was committed before it"
	losesSynced      mutant = "a disk loses an entry that it had fsync'ed"
	believesLies     mutant = "whatever a leader answers is believed"
	skipsApply       mutant = "one machine doesn't apply every command"
	appliesTwice     mutant = "what is proposed again takes effect again"
	emptyStore       mutant = "an empty store starts under the number of the one that was lost"
)

// small is the day of five machines: all voting, or three with two receivers to take their places.
func small(seed uint64) shape {
	s := shape{voting: 5, length: *dayFlag, fault: 6 * time.Second, pause: 3 * time.Second, proposers: 2}
	if seed%2 == 0 {
		s.voting, s.receivers = 3, 2
	}
	return s
}

func large(uint64) shape {
	return shape{voting: 7, receivers: 18, length: *dayFlag, fault: 4 * time.Second, pause: 15 * time.Second, proposers: 1}
}

// Days of real hashicorp/raft under this package's Group in virtual time, with the timing, forwarding, leadership and
// replacement of members of production. What is checked: judge, heal and within. The full bounds:
//
//	go test ./consensus -run TestFaultedDays -v -timeout 3h -days 500 -largedays 25 -day 30m
func TestFaultedDaysOfFiveMachines(t *testing.T) { faultedDays(t, *daysFlag, small) }

func TestFaultedDaysOfTwentyFiveMachines(t *testing.T) { faultedDays(t, *largeFlag, large) }

// playDay runs one day in a bubble of its own.
func playDay(t *testing.T, seed uint64, s shape) (d *day) {
	bubble := ""
	defer func() {
		if p := recover(); p != nil && !hungTransfer(p, bubble) {
			panic(p)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		bubble = bubbleOf(stacks(false))
		d = newDay(seed, s)
		d.run()
	})
	return d
}

// stacks are those of this goroutine, or of all.
func stacks(all bool) string {
	buf := make([]byte, 64<<20)
	return string(buf[:runtime.Stack(buf, all)])
}

// bubbleOf reads the bubble's name out of the first line of a goroutine's stack, "" for none.
func bubbleOf(stack string) string {
	head, _, _ := strings.Cut(stack, "\n")
	_, name, _ := strings.Cut(head, "synctest ")
	return strings.TrimSuffix(name, "]:")
}

// hungTransfer says whether a bubble ended as it should, but for what Raft's issue 696 leaves: the two goroutines of a
// transfer to a server whose replication has ended, which nothing outside Raft can end (DESIGN.md, leadership).
func hungTransfer(p any, bubble string) bool {
	if bubble == "" || !strings.Contains(fmt.Sprint(p), "main bubble goroutine has exited") {
		return false
	}
	hung := 0
	for g := range strings.SplitSeq(stacks(true), "\n\n") {
		switch {
		case bubbleOf(g) != bubble:
		case strings.Contains(g, "raft.(*Raft).leadershipTransfer("), strings.Contains(g, "raft.(*Raft).leaderLoop.func2("):
			hung++
		default:
			return false
		}
	}
	return hung > 0
}

func faultedDays(t *testing.T, days int, shaped func(uint64) shape) {
	began := time.Now()
	reports := make([]report, days)
	t.Run("day", func(t *testing.T) {
		for i := range days {
			seed := *seedFlag + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				d := playDay(t, seed, shaped(seed))
				if err := d.judge(); err != nil {
					t.Errorf("%v\nagain: go test ./consensus -run %s -v -days 1 -largedays 1 -day %s -seed %d -count 10", err, t.Name()[:len(t.Name())-len(fmt.Sprint("/day/", seed))], *dayFlag, seed)
				}
				reports[i] = d.report
			})
		}
	})
	var all report
	for _, r := range reports {
		all.add(r)
	}
	share := 100 * float64(all.unknown) / float64(max(1, all.operations))
	t.Logf("%d days (%s virtual), %.1f days a minute on %d cores: %d operations, %.2f %% unknown, %d refused; %d faults, %d crashes, %d lost stores, %d members demoted, %d changes of leader seen; after healing level within %s, the principal leads within %s",
		all.days, all.virtual, float64(all.days)/time.Since(began).Minutes(), runtime.GOMAXPROCS(0), all.operations, share, all.refused,
		all.faults, all.crashes, all.lostStores, all.demotions, all.leaders, all.level, all.leader)
	if share >= 10 {
		t.Errorf("%.1f %% of the outcomes are unknown, want less than 10", share)
	}
	if all.operations < int(15*all.virtual.Minutes()) {
		t.Errorf("%d operations: the faults left nothing to check", all.operations)
	}
}

// What the days are for must be noticed by them: each mutant is caught within a few.
func TestMutants(t *testing.T) {
	const enough = 40
	base := shape{voting: 3, length: time.Minute, fault: 4 * time.Second, pause: 400 * time.Millisecond, proposers: 2}
	for m, how := range map[mutant]struct {
		kinds []faultKind
		sign  string // in what is told
	}{
		answersEarly:     {[]faultKind{powerCut, isolation}, "acknowledged and is lost"},
		answersFollowing: {[]faultKind{roughness, isolation}, "no order explains"},
		answersLeading:   {[]faultKind{blackout, roughness}, "no order explains"},
		believesLies:     {[]faultKind{lies, isolation}, "no order explains"},
		skipsApply:       {[]faultKind{kill}, "replica"},
		appliesTwice:     {[]faultKind{blinks, roughness}, "no order explains"},
		losesSynced:      {[]faultKind{blackout}, "replica"},
		emptyStore:       {[]faultKind{ambush}, "replica"},
	} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			s := base
			s.mutant, s.kinds = m, how.kinds
			switch m {
			case emptyStore:
				s.fault = 40 * time.Second
			case answersLeading:
				s.impatient, s.proposers = true, 4
			}
			for seed := *seedFlag; seed < *seedFlag+enough; seed++ {
				if err := playDay(t, seed, s).judge(); err != nil && strings.Contains(err.Error(), how.sign) {
					t.Logf("on day %d: %.300s", seed, err.Error())
					return
				}
			}
			t.Errorf("not noticed in %d days", enough)
		})
	}
}
