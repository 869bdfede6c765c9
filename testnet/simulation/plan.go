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
	"pointage/testnet/links"
	"pointage/tools/prepare/preparation"
)

// Plan is what to simulate.
type Plan struct {
	// Commune is Saint-Josse-ten-Noode, or that of Election, when it is 0.
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
	// Networks puts every bureau's process in a network namespace, behind a school's, a carrier's or a symmetric NAT,
	// and the principal bureau, which relays, in the open. It needs root on Linux.
	Networks bool
	// Weather is the delay and the loss on every cable between bureaux.
	Weather links.Weather
	// Anchor and AnchorKey name a foreign witness; empty for the reference ADELE.
	Anchor, AnchorKey string
	// Out gets summary.json, export/<INS>/ and logs.
	Out string
	// Processes runs every bureau as an operating-system process.
	Processes bool
	// Program is the bureaux' built program, for Processes; empty builds it.
	Program string
	// PrepareOnly stops after the preparation.
	PrepareOnly bool
	// ByHand plays no day: the bureaux are served unopened, for whoever sits down at their screens.
	ByHand bool
	// Serve, when set, is given the day's summary and where the bureaux are; they stay up
	// until the context ends.
	Serve func(*Summary, []Served)
	// Live receives what happens, as it happens.
	Live Live
	// Text receives plain lines for people.
	Text io.Writer
}

// Live is shown the day's progress; its methods may be called by many goroutines.
type Live interface {
	// Progress is what is done before the poll and after it, stage by stage.
	Progress(p Progress)
	// Sample is the day, several times a second from the opening to the verdict.
	Sample(s Sample)
}

// Progress is how far a stage is, or the poll.
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
	// Stage, when set, is what is done before or after the poll: Done of Of, 0 for unknown.
	Stage    string
	Done, Of uint64
}

// Served is where one bureau's interface answers, and the file of the secret that its acts need; where its screens
// are, the president's passphrase, and convocation numbers of electors of its own who have not come.
type Served struct {
	Bureau              ledger.BureauNumber
	URL, Secret         string
	Screens, Passphrase string
	Try                 []string
}

// Limits of a plan.
const (
	maxBureaux  = 120
	minElectors = 10
	maxDay      = 24 * time.Hour
)

// defaultCommune is Saint-Josse-ten-Noode.
const defaultCommune = ledger.Commune(21014)

// Check completes a plan and says what is wrong with it.
func (p *Plan) Check() error {
	if p.Commune == 0 && p.Election == "" {
		p.Commune = defaultCommune
	}
	var c preparation.Commune
	if p.Commune != 0 {
		var err error
		if c, err = preparation.FindCommune(p.Commune); err != nil {
			return fmt.Errorf("--commune: %w", err)
		}
	}
	if p.Register == "" && p.Election == "" {
		if p.Electors == 0 {
			p.Electors = c.Electors
		}
		if p.Bureaux == 0 {
			p.Bureaux = c.Bureaux
		}
	}
	if p.Networks {
		if err := p.checkNetworks(); err != nil {
			return err
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
	case !(p.Turnout >= 0 && p.Turnout <= 1): // nor NaN
		return fmt.Errorf("--turnout %v: 0 to 1", p.Turnout)
	case (p.Anchor == "") != (p.AnchorKey == ""):
		return errors.New("--anchor and --anchor-key go together")
	case p.Anchor != "" && preparation.CheckWitnessURL(p.Anchor) != nil:
		return fmt.Errorf("--anchor: %w", preparation.CheckWitnessURL(p.Anchor))
	case p.PrepareOnly && p.Serve != nil:
		return errors.New("--prepare-only starts no bureau that --serve could keep up: give one of them")
	case p.ByHand && p.Serve == nil:
		return errors.New("--by-hand plays no day: give --serve with it")
	case p.Program != "" && !p.Processes:
		return errors.New("--program is for --processes")
	case p.PrepareOnly && p.Election != "":
		return errors.New("--prepare-only makes an election, --election takes one: give one of them")
	case p.Out == "":
		return errors.New("--out must name a directory")
	}
	if p.AnchorKey != "" {
		if _, err := ledger.ParseCosignerVKey(p.AnchorKey); err != nil {
			return fmt.Errorf("--anchor-key: %w", err)
		}
	}
	for i, s := range p.Faults {
		if s.needs != nil {
			if err := s.needs(p); err != nil {
				return fmt.Errorf("--faults: %s %w", s.Name, err)
			}
		}
		for _, before := range p.Faults[:i] {
			if s.Name == before.Name {
				return fmt.Errorf("--faults names %s twice", s.Name)
			}
		}
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
	// Promises are all that were looked at, in the verdict's order.
	Promises []Promise `json:"-"`
}

// Promise is one of those that a day is judged by.
type Promise struct {
	Name string
	// Asked: the faults that were played leave the assumptions standing that it rests on.
	Asked bool
	Held  bool
	// Seen is what was found when it was not held.
	Seen string
}
