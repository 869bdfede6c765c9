package simulation

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Connections are how the bureaux were connected, as their logs tell: each pair is seen from both its ends.
type Connections struct {
	// Direct, Straightened and Relayed count the ends: connected directly from the first, after a relay, and through a
	// relay to the last. Punched are the holes of which an end knows that it made one.
	Direct, Straightened, Relayed, Punched int
	// DirectTook and RelayedTook are how long the end that called sought its first connection, StraightTook how long it
	// went through the relay: medians, 0 for none.
	DirectTook, RelayedTook, StraightTook time.Duration
	// Lost counts connections that were in use and ended: faults, address changes, and relayed ones replaced.
	Lost int
}

var (
	connectedLine = regexp.MustCompile(`^time=(\S+) .*msg="member connected" .*peer=(\S+) .*relayed=(true|false) sought=(\S+)`)
	lostLine      = regexp.MustCompile(`msg="connection lost"`)
	punchedLine   = regexp.MustCompile(`msg="hole punched"`)
)

// end is one bureau's connection with one other.
type end struct {
	first, last bool // relayed
	began       time.Time
	straight    time.Duration
}

// readConnections reads the bureaux' logs.
func readConnections(dir string) (c Connections, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "bureau-*.log"))
	if err != nil {
		return c, err
	}
	var direct, relayed, straight []time.Duration
	for _, file := range files {
		ends := map[string]*end{}
		f, err := os.Open(file)
		if err != nil {
			return c, err
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			switch got := connectedLine.FindSubmatch(lines.Bytes()); {
			case got != nil:
				at, err1 := time.Parse(time.RFC3339Nano, string(got[1]))
				took, err2 := time.ParseDuration(string(got[4]))
				if err1 != nil || err2 != nil {
					continue
				}
				through := string(got[3]) == "true"
				e := ends[string(got[2])]
				if e == nil {
					e = &end{first: through, began: at}
					ends[string(got[2])] = e
					if through && took > 0 {
						relayed = append(relayed, took)
					} else if took > 0 {
						direct = append(direct, took)
					}
				}
				if e.last = through; e.first && !through && e.straight == 0 {
					e.straight = at.Sub(e.began)
					straight = append(straight, e.straight)
				}
			case lostLine.Match(lines.Bytes()):
				c.Lost++
			case punchedLine.Match(lines.Bytes()):
				c.Punched++
			}
		}
		err = lines.Err()
		f.Close()
		if err != nil {
			return c, err
		}
		for _, e := range ends {
			switch {
			case e.last:
				c.Relayed++
			case e.first:
				c.Straightened++
			default:
				c.Direct++
			}
		}
	}
	c.DirectTook, c.RelayedTook, c.StraightTook = median(direct), median(relayed), median(straight)
	return c, nil
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// sayConnections tells how the bureaux were connected.
func (d *day) sayConnections() error {
	c, err := readConnections(filepath.Join(d.plan.Out, "logs"))
	if err != nil {
		return err
	}
	d.say("connections, each seen from both ends: %d direct, %d through the relay first and then direct (%d by a hole punched), %d through the relay", c.Direct, c.Straightened, c.Punched, c.Relayed)
	d.say("median until connected: directly %v, through the relay %v; from there to a direct one %v; %d connections were lost in the day", c.DirectTook.Round(time.Millisecond), c.RelayedTook.Round(time.Millisecond), c.StraightTook.Round(time.Millisecond), c.Lost)
	return nil
}
