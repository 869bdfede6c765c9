package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// A snapshot file begins with this and with the index of the last command that the machine had been given when its turn
// came, 8 bytes big endian; the machine's own bytes follow.
const (
	snapshotMagic  = "ptgsnap1"
	snapshotHeader = len(snapshotMagic) + 8
)

// machine gives committed entries to the state machine in the terms of its contract. Raft calls it from one goroutine.
type machine struct {
	sm      StateMachine
	indexed Indexed     // nil if the machine doesn't survive restarts
	halted  func() bool // true once what Raft hands over may be wrong

	given atomic.Uint64 // index of the last command that the machine holds
}

func newMachine(sm StateMachine, halted func() bool) *machine {
	m := &machine{sm: sm, halted: halted}
	if indexed, ok := sm.(Indexed); ok {
		m.indexed = indexed
		m.given.Store(indexed.Applied())
	}
	return m
}

// errHalted is the answer to commands that were not given to the machine.
var errHalted = errors.New("machine halted")

// Apply is part of raft.FSM; Raft calls ApplyBatch instead.
func (m *machine) Apply(entry *raft.Log) any { return m.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch hands commands over in runs of consecutive indexes. The answers are replies ([]byte), or errHalted.
func (m *machine) ApplyBatch(entries []*raft.Log) []any {
	answers := make([]any, len(entries))
	if m.halted() {
		for i := range answers {
			answers[i] = errHalted
		}
		return answers
	}
	commands := make([][]byte, 0, len(entries))
	for i := 0; i < len(entries); {
		if entries[i].Type != raft.LogCommand {
			i++
			continue
		}
		first := entries[i].Index
		commands = commands[:0]
		start := i
		for ; i < len(entries) && entries[i].Type == raft.LogCommand && entries[i].Index == first+uint64(i-start); i++ {
			commands = append(commands, entries[i].Data)
		}
		replies := m.sm.Apply(first, commands)
		if len(replies) != len(commands) {
			panic(fmt.Sprintf("consensus: %d replies to %d commands", len(replies), len(commands)))
		}
		for j, reply := range replies {
			if len(reply) > MaxReply {
				panic(fmt.Sprintf("consensus: reply of %d bytes to command %d, more than %d", len(reply), first+uint64(j), MaxReply))
			}
			answers[start+j] = reply
		}
		m.given.Store(max(m.given.Load(), first+uint64(len(commands))-1))
	}
	return answers
}

// Snapshot only notes the index: the machine writes its state later, beside Apply, and may then be further. Whoever
// restores it is given the commands after the noted index again and skips those it holds.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.halted() {
		return nil, errHalted
	}
	return &snapshot{machine: m, index: m.given.Load()}, nil
}

// Restore replaces the machine's state, unless it is as new as the snapshot.
func (m *machine) Restore(source io.ReadCloser) error {
	defer source.Close()
	var head [snapshotHeader]byte
	if _, err := io.ReadFull(source, head[:]); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return fmt.Errorf("read snapshot: begins with %q, not %q", head[:len(snapshotMagic)], snapshotMagic)
	}
	index := binary.BigEndian.Uint64(head[len(snapshotMagic):])
	if m.indexed == nil || m.indexed.Applied() < index {
		if err := m.sm.Restore(source); err != nil {
			return fmt.Errorf("restore snapshot at %d: %w", index, err)
		}
	}
	m.given.Store(max(m.given.Load(), index))
	return nil
}

// snapshot is one snapshot to be written.
type snapshot struct {
	machine *machine
	index   uint64
}

// Persist writes the snapshot. A crash leaves a directory that the snapshot store ignores.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	head := binary.BigEndian.AppendUint64([]byte(snapshotMagic), s.index)
	_, err := sink.Write(head)
	if err == nil {
		err = s.machine.sm.Snapshot(sink)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// Release is part of raft.FSMSnapshot; nothing is held.
func (s *snapshot) Release() {}
