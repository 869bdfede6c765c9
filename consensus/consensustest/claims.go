package consensustest

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Nobody holds a key that has not been claimed.
const Nobody = "-"

// Claim returns the command by which who claims a key: the first claim that is applied has the key for ever. Claim and Look
// take words without spaces; who differs from command to command.
func Claim(key, who string) []byte { return fmt.Appendf(nil, "claim %s %s", key, who) }

// Look returns the command that asks who has a key.
func Look(key, who string) []byte { return fmt.Appendf(nil, "look %s %s", key, who) }

// Standing is what a Claims knows of a key, and its reply to a command.
type Standing struct {
	Holder string // who has the key, or Nobody
	// Claims is how many different claims have been applied: in the reply to a claim up to that one, which hears the same
	// again when it is proposed again.
	Claims int
}

// Encode is the reply's form.
func (s Standing) Encode() []byte { return fmt.Appendf(nil, "%s %d", s.Holder, s.Claims) }

// DecodeStanding reads what Encode writes.
func DecodeStanding(in []byte) (s Standing, err error) {
	if _, err = fmt.Sscanf(string(in), "%s %d", &s.Holder, &s.Claims); err != nil {
		return Standing{}, fmt.Errorf("decode standing %.40q: %w", in, err)
	}
	return s, nil
}

// Claims is a Machine whose commands are those of Claim and Look: insert if absent, with a count, the smallest machine on
// which two proposers can disagree and a command can be applied twice. A command that is proposed again changes nothing.
type Claims struct {
	*Machine

	mu      sync.Mutex // guards what follows, and is held while Machine changes
	holder  map[string]string
	count   map[string]int
	ordinal map[string]int // of a claim, by its command
}

// NewClaims returns an empty one.
func NewClaims() *Claims {
	c := &Claims{Machine: NewMachine()}
	c.rebuildLocked()
	return c
}

// Apply is part of consensus.StateMachine.
func (c *Claims) Apply(first uint64, commands [][]byte) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	replies := c.Machine.Apply(first, commands)
	for i, command := range commands {
		if replies[i] != nil { // not one that the machine holds already
			replies[i] = c.takeLocked(string(command)).Encode()
		}
	}
	return replies
}

// takeLocked returns how a command's key stands once it is applied.
func (c *Claims) takeLocked(command string) Standing {
	words := strings.Split(command, " ")
	if len(words) != 3 {
		panic(fmt.Sprintf("consensustest: %q is neither a claim nor a look", command))
	}
	key, claims := words[1], words[0] == "claim"
	if !claims {
		return c.standingLocked(key)
	}
	if c.ordinal[command] == 0 || c.Defect == AppliesAgain {
		c.count[key]++
		c.ordinal[command] = c.count[key]
	}
	if c.holder[key] == "" {
		c.holder[key] = words[2]
	}
	return Standing{c.holder[key], c.ordinal[command]}
}

func (c *Claims) standingLocked(key string) Standing {
	if who := c.holder[key]; who != "" {
		return Standing{who, c.count[key]}
	}
	return Standing{Holder: Nobody}
}

// Standing returns how a key stands on this machine: a local read, which may be old.
func (c *Claims) Standing(key string) Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standingLocked(key)
}

// Restore is part of consensus.StateMachine.
func (c *Claims) Restore(source io.Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Machine.Restore(source); err != nil {
		return err
	}
	c.rebuildLocked()
	return nil
}

func (c *Claims) rebuildLocked() {
	c.holder, c.count, c.ordinal = map[string]string{}, map[string]int{}, map[string]int{}
	for _, a := range c.Log() {
		c.takeLocked(string(a.Command))
	}
}

// AfterCrash returns the machine that a crash leaves behind: a state of its own, without what was applied after an index.
// The machine itself stays as it is, for whoever still runs on it.
func (c *Claims) AfterCrash(after uint64) *Claims {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := &Claims{Machine: c.clone()}
	left.Forget(after)
	left.rebuildLocked()
	return left
}
