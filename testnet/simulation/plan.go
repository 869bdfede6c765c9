// Package simulation plays one commune's polling day on this machine: real bureaux, real
// links, synthetic electors, faults on demand, and a verdict that trusts only what the
// desks were told and what an expert can verify.
package simulation

import (
	"errors"
	"fmt"
	"io"
	"time"

	"pointage/ledger"
	"pointage/tools/prepare/preparation"
)

// Plan is what to simulate.
type Plan struct {
	Commune ledger.Commune
	// Bureaux and Electors; 0 takes the commune's estimate, or what Register
	// and Election say.
	Bureaux, Electors int
	// Register is a CSV list of electors, empty for synthetic ones.
	Register string
	// Election is a directory prepared before, empty to prepare one in Out.
	Election string
	// Day is the wall time of the compressed poll.
	Day time.Duration
	// Turnout is the share of electors who come, 0 to 1.
	Turnout float64
	// Seed replays arrivals, choices and faults; it never enters a key.
	Seed uint64
	// Faults are the scenarios to play.
	Faults []Scenario
	// Anchor and AnchorKey name a foreign witness; empty for the reference ADELE.
	Anchor, AnchorKey string
	// Out gets summary.json, export/<INS>/ and logs.
	Out string
	// Processes runs every bureau as an operating-system process.
	Processes bool
	// PrepareOnly stops after the preparation.
	PrepareOnly bool
	// Serve keeps the bureaux up after the day until the context ends.
	Serve bool
	// Live receives what happens, as it happens.
	Live Live
	// Text receives plain lines for people.
	Text io.Writer
}

// Live is shown the day's progress; its methods may be called by many goroutines.
type Live interface {
	Progress(p Progress)
}

// Progress is the day at one moment.
type Progress struct {
	// Came of Expected electors are through.
	Came, Expected int
	CheckIns       int
	Refused        int
	Leader         ledger.BureauNumber
	// CutOff are the bureaux that a fault holds away from the others.
	CutOff   []ledger.BureauNumber
	Anchored uint64
	Fault    string
}

// Limits of a plan.
const (
	maxBureaux  = 120
	minElectors = 10
	maxDay      = 24 * time.Hour
)

// Check completes a plan and says what is wrong with it.
func (p *Plan) Check() error {
	c, err := preparation.FindCommune(p.Commune)
	if err != nil {
		return err
	}
	if p.Register == "" && p.Election == "" {
		if p.Electors == 0 {
			p.Electors = c.Electors
		}
		if p.Bureaux == 0 {
			p.Bureaux = c.Bureaux
		}
	}
	switch {
	case p.Bureaux < 0 || p.Bureaux > maxBureaux:
		return fmt.Errorf("--bureaux %d: 1 to %d", p.Bureaux, maxBureaux)
	case p.Electors < 0 || p.Electors > ledger.MaxElectors:
		return fmt.Errorf("--electors %d: at most %d in one commune", p.Electors, ledger.MaxElectors)
	case p.Electors > 0 && p.Electors < max(minElectors, p.Bureaux):
		return fmt.Errorf("--electors %d: at least %d, and one a bureau", p.Electors, minElectors)
	case p.Day < time.Second || p.Day > maxDay:
		return fmt.Errorf("--day %v: 1s to %v", p.Day, maxDay)
	case p.Turnout < 0 || p.Turnout > 1:
		return fmt.Errorf("--turnout %v: 0 to 1", p.Turnout)
	case (p.Anchor == "") != (p.AnchorKey == ""):
		return errors.New("--anchor and --anchor-key go together")
	case p.PrepareOnly && p.Election != "":
		return errors.New("--prepare-only makes an election, --election takes one: give one of them")
	case p.Out == "":
		return errors.New("--out must name a directory")
	}
	return nil
}

// Summary is summary.json.
type Summary struct {
	Seed                     uint64         `json:"seed"`
	Commune                  ledger.Commune `json:"commune"`
	Bureaux                  int            `json:"bureaux"`
	Electors                 int            `json:"electors"`
	CheckIns                 int            `json:"check_ins"`
	AwayCheckIns             int            `json:"away_check_ins"`
	Proxies                  int            `json:"proxies"`
	SecondAttemptsRefused    int            `json:"second_attempts_refused"`
	DoubleAdmissions         int            `json:"double_admissions"`
	DoubleAdmissionsReported int            `json:"double_admissions_reported"`
	AcknowledgedLost         int            `json:"acknowledged_lost"`
	HomeRefused              int            `json:"home_refused"`
	NeverAdmitted            int            `json:"never_admitted"`
	LeaderChanges            uint64         `json:"leader_changes"`
	LongestWaitMillis        int64          `json:"longest_wait_ms"`
	LongestHomeWaitMillis    int64          `json:"longest_home_wait_ms"`
	AnchoredSize             uint64         `json:"anchored_size"`
	LedgerSize               uint64         `json:"ledger_size"`
	LedgerHead               string         `json:"ledger_head"`
	Root                     string         `json:"root"`
	Verified                 bool           `json:"verified"`
	TookSeconds              float64        `json:"took_seconds"`
	Faults                   []string       `json:"faults"`
	// Broken names the promises that were not held; empty when all were.
	Broken []string `json:"broken"`
}
