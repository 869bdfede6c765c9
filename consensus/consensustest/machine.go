package consensustest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// Machine is a state machine that remembers the commands it was given. It is a consensus.StateMachine and a
// consensus.Indexed; the value outlives the group that it is started with, as a durable state would. A command given again
// is not applied again. The reply to a command is the index, in decimal, at which it was first applied.
type Machine struct {
	// Slow, when set before use, is how long each call of Apply takes.
	Slow time.Duration
	// Defect, when set before use, is what is wrong with it.
	Defect Defect

	mu        sync.Mutex
	log       []Applied
	first     map[string]uint64
	applied   uint64
	restores  int
	given     int
	snapshots int
}

// Defect is a way in which a machine can break its contract, for tests that must notice it.
type Defect string

// The defects.
const (
	// SkipsCommands: every skippedOf-th command is counted as applied and isn't.
	SkipsCommands Defect = "skips commands"
	// AppliesAgain: a command that is proposed again takes effect again.
	AppliesAgain Defect = "applies again"
)

const skippedOf = 40

// NewMachine returns an empty one.
func NewMachine() *Machine { return &Machine{first: map[string]uint64{}} }

// Apply is part of consensus.StateMachine.
func (m *Machine) Apply(first uint64, commands [][]byte) [][]byte {
	if m.Slow > 0 {
		time.Sleep(m.Slow)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	replies := make([][]byte, len(commands))
	for i, c := range commands {
		m.given++
		index := first + uint64(i)
		if index <= m.applied {
			continue
		}
		m.applied = index
		if m.Defect == SkipsCommands && index%skippedOf == 0 {
			replies[i] = fmt.Append(nil, index)
			continue
		}
		if m.first[string(c)] == 0 {
			m.first[string(c)] = index
			m.log = append(m.log, Applied{index, slices.Clone(c)})
		}
		replies[i] = fmt.Append(nil, m.first[string(c)])
	}
	return replies
}

// Applied is part of consensus.Indexed.
func (m *Machine) Applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}

// Log returns what was applied, in order.
func (m *Machine) Log() []Applied {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

// Len returns how many commands were applied.
func (m *Machine) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.log)
}

// Counts returns how many commands were given, applied or not, and how often the state was restored and written.
func (m *Machine) Counts() (given, restores, snapshots int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.given, m.restores, m.snapshots
}

// Forget drops what was applied after an index, as a power cut does to a state that is not fsync'ed.
func (m *Machine) Forget(after uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = min(m.applied, after)
	for len(m.log) > 0 && m.log[len(m.log)-1].Index > after {
		last := m.log[len(m.log)-1]
		delete(m.first, string(last.Command))
		m.log = m.log[:len(m.log)-1]
	}
}

// clone returns a machine of its own with the same state.
func (m *Machine) clone() *Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Machine{
		Slow: m.Slow, Defect: m.Defect, log: slices.Clone(m.log), first: maps.Clone(m.first), applied: m.applied,
		restores: m.restores, given: m.given, snapshots: m.snapshots,
	}
}

// Snapshot is part of consensus.StateMachine.
func (m *Machine) Snapshot(w io.Writer) error {
	m.mu.Lock()
	log, applied := slices.Clone(m.log), m.applied
	m.snapshots++
	m.mu.Unlock()
	b := binary.AppendUvarint(nil, applied)
	b = binary.AppendUvarint(b, uint64(len(log)))
	for _, a := range log {
		b = binary.AppendUvarint(b, a.Index)
		b = binary.AppendUvarint(b, uint64(len(a.Command)))
		b = append(b, a.Command...)
	}
	_, err := w.Write(b)
	return err
}

// Restore is part of consensus.StateMachine.
func (m *Machine) Restore(source io.Reader) error {
	r := bufio.NewReader(source)
	applied, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	var log []Applied
	first := map[string]uint64{}
	for range n {
		index, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		c := make([]byte, size)
		if _, err := io.ReadFull(r, c); err != nil {
			return err
		}
		log = append(log, Applied{index, c})
		first[string(c)] = index
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log, m.first, m.applied = log, first, applied
	m.restores++
	return nil
}
