package consensustest

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Nobody is the reply to a Look at a key that has not been claimed.
const Nobody = "-"

// Claim returns the command by which who claims a key: the first claim that is applied has the key for ever. Claim and Look
// take words without spaces; who differs from command to command.
func Claim(key, who string) []byte { return fmt.Appendf(nil, "claim %s %s", key, who) }

// Look returns the command that asks who has a key.
func Look(key, who string) []byte { return fmt.Appendf(nil, "look %s %s", key, who) }

// Claims is a Machine whose commands are those of Claim and Look: insert if absent, the smallest machine on which two
// proposers can disagree. Its reply is the one who has the key after the command, or Nobody. A command that is proposed
// again changes nothing.
type Claims struct {
	*Machine

	mu     sync.Mutex // guards what follows, and is held while Machine changes
	holder map[string]string
}

// NewClaims returns an empty one.
func NewClaims() *Claims { return &Claims{Machine: NewMachine(), holder: map[string]string{}} }

// Apply is part of consensus.StateMachine.
func (c *Claims) Apply(first uint64, commands [][]byte) [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	replies := c.Machine.Apply(first, commands)
	for i, command := range commands {
		if replies[i] != nil { // not one that the machine holds already
			replies[i] = []byte(c.takeLocked(string(command)))
		}
	}
	return replies
}

// takeLocked returns who has a command's key once it is applied.
func (c *Claims) takeLocked(command string) string {
	words := strings.Split(command, " ")
	if len(words) != 3 {
		panic(fmt.Sprintf("consensustest: %q is neither a claim nor a look", command))
	}
	if c.holder[words[1]] == "" && words[0] == "claim" {
		c.holder[words[1]] = words[2]
	}
	return c.holderLocked(words[1])
}

func (c *Claims) holderLocked(key string) string {
	if who := c.holder[key]; who != "" {
		return who
	}
	return Nobody
}

// Holder returns who has a key on this machine, or Nobody: a local read, which may be old.
func (c *Claims) Holder(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holderLocked(key)
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
	c.holder = map[string]string{}
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
