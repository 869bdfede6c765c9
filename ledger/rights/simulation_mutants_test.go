package rights

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// simMutantDays bounds how many days a dropped rule may stay unnoticed, from simMutantFrom on, which is a day
// on which most are.
const (
	simMutantFrom = 5
	simMutantDays = 60
)

func simWild(dropped rules) simConfig {
	return simConfig{dropped: dropped, restless: simRestlessWild, fragile: simFragileWild, proxies: simProxiesWild, echo: simEchoWild, judged: dropped == 0, watch: -1}
}

// TestSimulatedDaysNoticeEveryDroppedRule: without any one of the rules some elector gets two
// ballots on one of a few small, wild days; with all of them nobody does on the same day.
func TestSimulatedDaysNoticeEveryDroppedRule(t *testing.T) {
	c := newSimCommune(t, simFewElectors)
	var mu sync.Mutex
	days := map[uint64]string{}
	ruled := func(seed uint64) string {
		mu.Lock()
		defer mu.Unlock()
		if _, known := days[seed]; !known {
			days[seed] = newSimDay(c, simWild(0), seed).run()
		}
		return days[seed]
	}
	for _, m := range []struct {
		name    string
		dropped rules
	}{
		{"R1 hand over before the record is durable", r1},
		{"R2 send a release before it is durable", r2},
		{"R3 forget which releases were returned", r3},
		{"R4 take any return", r4},
		{"R5 send a return before it is durable", r5},
		{"R6 reclaim by time-out", r6},
		{"R7 use a release to another bureau", r7},
		{"R8 admit at home in spite of a release", r8},
		{"R11 undo what was handed over", r11},
		{"R12 release again what is out", r12},
		{"R13 serve without reading the journal", r13},
		{"R14 admit on a release that is not held durably", r14},
		{"R15 believe any signature", r15},
		{"R16 return a right that was used", r16},
		{"R17 hand over while a void is under way", r17},
		{"Proxy without the holder's right", proxyBoth},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			for seed := uint64(simMutantFrom); seed < simMutantFrom+simMutantDays; seed++ {
				why := simUnruled(c, m.dropped, seed)
				if !strings.Contains(why, "S1") {
					if why != "" {
						t.Logf("seed %d: %s", seed, why)
					}
					continue
				}
				t.Logf("%s; day %d, %v", why, seed, time.Since(began).Round(time.Millisecond))
				if why := ruled(seed); why != "" {
					t.Errorf("with all rules: %s", why)
				}
				return
			}
			t.Errorf("not noticed in %d days", simMutantDays)
		})
	}
}

// simUnruled is a day without a rule. Where the bureaux' chains no longer make sense Step panics,
// which is not what is looked for.
func simUnruled(c *simCommune, dropped rules, seed uint64) (why string) {
	defer func() {
		if p := recover(); p != nil {
			why = fmt.Sprint("panic: ", p)
		}
	}()
	return newSimDay(c, simWild(dropped), seed).run()
}

// TestSimulatedDaysNoticeADriverThatFails: each promise beside S1 is seen to be broken when what it
// needs of the driver is left out.
func TestSimulatedDaysNoticeADriverThatFails(t *testing.T) {
	c := newSimCommune(t, simFewElectors)
	for _, m := range []struct {
		name     string
		sabotage simSabotage
		fault    simFault
		want     string
	}{
		{"L1 a barrier without an end", simPatient, simClean, "L1: "},
		{"L2 nothing is proposed again", simResigned, simClean, "L2: "},
		{"L3 nothing is sent again", simForgetful, simClean, "L3: "},
		{"S1 a restart knows one right of a proxy's two", simForgetsHolder, simClean, "S1: "},
		{"S3 the clone's chain is not read", simBlind, simCloned, "S3: of two ballots"},
		{"S3 a fork that the bureau did not make", simSlanderous, simClean, "S3: bureau 1 is accused, falsely"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= simMutantDays; seed++ {
				cfg := simWild(0)
				cfg.sabotage, cfg.fault = m.sabotage, m.fault
				d := newSimDay(c, cfg, seed)
				why := d.run()
				if strings.Contains(why, m.want) {
					if story := simStory(d); d.blamed >= 0 && (story == "" || strings.Contains(story, "not replay")) {
						t.Errorf("what is told of elector %d: %s", d.blamed, story)
					}
					t.Logf("%s; day %d", why, seed)
					return
				}
				if why != "" {
					t.Errorf("seed %d: %s", seed, why)
				}
			}
			t.Errorf("not noticed in %d days", simMutantDays)
		})
	}
}
