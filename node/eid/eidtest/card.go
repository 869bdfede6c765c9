package eidtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// The files of a card by their paths.
const (
	Identity  = "3F00DF014031"
	Signature = "3F00DF014032"
	Address   = "3F00DF014033"
	Photo     = "3F00DF014035"
	ChipKey   = "3F00DF014040"
	Register  = "3F00DF00503C"
)

// Answers to reset of the two applets; both speak T=0.
var (
	atr18 = []byte{0x3B, 0x7F, 0x96, 0x00, 0x00, 0x80, 0x31, 0x80, 0x65, 0xB0, 0x85, 0x04, 0x01, 0x20, 0x12, 0x0F, 0xFF, 0x82, 0x90, 0x00}
	atr17 = []byte{0x3B, 0x98, 0x13, 0x40, 0x0A, 0xA5, 0x03, 0x01, 0x01, 0x01, 0xAD, 0x13, 0x11}
)

// Card is a simulated card. Its fields are set before it is put into a reader; what it is asked is counted under mu.
type Card struct {
	// ATR is its answer to reset.
	ATR []byte
	// Files are what can be read, by path.
	Files map[string][]byte
	// Key is the chip's own; nil for an applet without, or a copy without.
	Key *ecdsa.PrivateKey
	// Delay is how long it takes over each command. After that many commands, PullAfter (0 for never), it is gone.
	Delay     time.Duration
	PullAfter int
	// Unselected needs its application to be selected by name first.
	Unselected bool
	// Block speaks T=1, where a command may have data and an expected length, and is answered at once.
	Block bool

	mu       sync.Mutex
	current  []byte
	answer   []byte
	selected bool
	asked    int
	opened   []string
}

// ErrGone is the error of a card that was pulled out.
var ErrGone = errors.New("the simulated card was pulled out")

// copyOf is the same files in another chip.
func (c *Card) copyOf() *Card {
	d := &Card{ATR: slices.Clone(c.ATR), Files: map[string][]byte{}, Key: c.Key, Delay: c.Delay}
	for path, file := range c.Files {
		d.Files[path] = slices.Clone(file)
	}
	return d
}

// Twin is the same card a second time, as good as the first.
func (c *Card) Twin() *Card { return c.copyOf() }

// WithoutKey is a copy on a chip that can't sign.
func (c *Card) WithoutKey() *Card {
	d := c.copyOf()
	d.Key = nil
	return d
}

// WithWrongKey is a copy on a chip that signs with a key of its own.
func (c *Card) WithWrongKey() (*Card, error) {
	d := c.copyOf()
	var err error
	if d.Key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return nil, fmt.Errorf("simulate a copy: %w", err)
	}
	return d, nil
}

// With is the card with a text in its identity file replaced by one of the same length, as a forger without the
// National Register's key would.
func (c *Card) With(old, forged string) *Card {
	if len(old) != len(forged) || !bytes.Contains(c.Files[Identity], []byte(old)) {
		panic(fmt.Sprintf("a forgery of %d bytes for %d that must be in the file", len(forged), len(old)))
	}
	d := c.copyOf()
	d.Files[Identity] = bytes.Replace(d.Files[Identity], []byte(old), []byte(forged), 1)
	return d
}

// Foreign is a card of another kind: it answers, and has none of the files.
func Foreign() *Card {
	return &Card{ATR: []byte{0x3B, 0x65, 0x00, 0x00, 0x9C, 0x11, 0x01, 0x01, 0x03}, Files: map[string][]byte{}}
}

// Opened is the files that were selected, each once, in order of their paths.
func (c *Card) Opened() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(c.opened)))
}

// T0 is what genuine cards of both applets speak.
func (c *Card) T0() bool { return !c.Block }

// Transmit answers a command without any reader between.
func (c *Card) Transmit(command []byte) ([]byte, error) {
	if c.Delay > 0 {
		<-time.After(c.Delay)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked++; c.PullAfter > 0 && c.asked > c.PullAfter {
		return nil, ErrGone
	}
	return c.command(command), nil
}

func (c *Card) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.answer, c.selected = nil, nil, false
}

func status(sw uint16) []byte { return []byte{byte(sw >> 8), byte(sw)} }

// command answers one command, as the applet's reference manual says.
func (c *Card) command(a []byte) []byte {
	if len(a) < 5 {
		return status(0x6700)
	}
	if a[0] != 0 {
		return status(0x6E00)
	}
	switch a[1] {
	case 0xA4:
		return c.choose(a)
	case 0xB0:
		return c.readBinary(int(a[2])<<8|int(a[3]), int(a[4]))
	case 0x88:
		return c.authenticate(a)
	case 0xC0:
		if c.answer == nil || int(a[4]) != len(c.answer) {
			return status(0x6985)
		}
		out := append(c.answer, 0x90, 0x00)
		c.answer = nil
		return out
	}
	return status(0x6D00)
}

// choose is SELECT FILE by path or by name.
func (c *Card) choose(a []byte) []byte {
	if len(a) != 5+int(a[4]) || a[3] != 0x0C {
		return status(0x6A87)
	}
	if a[2] == 0x04 {
		c.selected = len(c.Files) > 0
		if !c.selected {
			return status(0x6A82)
		}
		return status(0x9000)
	}
	path := fmt.Sprintf("%X", a[5:])
	file, ok := c.Files[path]
	if a[2] != 0x08 || !ok || c.Unselected && !c.selected {
		return status(0x6A82)
	}
	c.current, c.opened = file, append(c.opened, path)
	return status(0x9000)
}

func (c *Card) readBinary(offset, le int) []byte {
	if c.current == nil {
		return status(0x6986)
	}
	if le == 0 {
		le = 256
	}
	left := len(c.current) - offset
	switch {
	case left <= 0:
		return status(0x6B00)
	case le > left:
		return status(0x6C00 | uint16(left))
	}
	return append(slices.Clone(c.current[offset:offset+le]), 0x90, 0x00)
}

// authenticate is INTERNAL AUTHENTICATE with the basic key; under T=0 the answer is fetched with GET RESPONSE.
func (c *Card) authenticate(a []byte) []byte {
	if c.Key == nil {
		return status(0x6A88)
	}
	if c.Block {
		if a[len(a)-1] != 2*48 {
			return status(0x6700)
		}
		a = a[:len(a)-1]
	}
	if a[2] != 0x02 || a[3] != 0x81 || len(a) != 7+48 || a[4] != 50 || a[5] != 0x94 || a[6] != 48 {
		return status(0x6A80)
	}
	r, s, err := ecdsa.Sign(rand.Reader, c.Key, a[7:])
	if err != nil {
		return status(0x6400)
	}
	c.answer = append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
	if c.Block {
		return append(c.answer, 0x90, 0x00)
	}
	return status(0x6100 | uint16(len(c.answer)))
}

// Paths is the card's files by path, in order.
func (c *Card) Paths() string {
	return strings.Join(slices.Sorted(maps.Keys(c.Files)), " ")
}
