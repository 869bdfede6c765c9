package consensus

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"pointage/consensus/consensustest"
)

func smallSnapshots(cfg *Config) {
	cfg.Snapshots = Snapshots{Interval: time.Second, Threshold: 50, Trailing: 10}
}

func TestStateAheadOfTheSnapshotIsNotRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, smallSnapshots)
		c.start(c.peers...)
		c.proposeMany("m0", "x", 300)
		<-time.After(10 * time.Second)
		c.proposeMany("m0", "y", 5)
		c.level(5 * time.Second)
		c.stop(c.peers...)
		c.start(c.peers...)
		c.propose("m1", "after")
		c.level(5 * time.Second)
		for _, p := range c.peers {
			if _, restores, snapshots := c.machines[p].Counts(); restores != 0 || snapshots == 0 {
				t.Errorf("%s: restored %d times from %d snapshots, want 0 from some", p, restores, snapshots)
			}
		}
		c.end()
	})
}

// A power cut takes what the machine had not fsync'ed: its state is behind the newest snapshot, whose entries the log may
// not hold any more.
func TestStateBehindTheSnapshotIsRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, smallSnapshots)
		c.start(c.peers...)
		c.proposeMany("m0", "x", 300)
		<-time.After(10 * time.Second)
		c.proposeMany("m0", "y", 5)
		c.level(5 * time.Second)
		c.stop(c.peers...)
		c.machines["m1"].Forget(20)
		c.start(c.peers...)
		c.propose("m1", "after")
		c.level(5 * time.Second)
		if _, restores, _ := c.machines["m1"].Counts(); restores != 1 {
			t.Errorf("restored %d times, want once", restores)
		}
		if n := len(c.machines["m1"].Log()); n != 306 {
			t.Errorf("%d commands after the restart, want 306", n)
		}
		c.end()
	})
}

func TestStartSkipsASnapshotThatIsNotNewer(t *testing.T) {
	s := memoryStores()
	m := consensustest.NewMachine()
	if skip, err := s.restorable(m); skip || err != nil {
		t.Errorf("without a snapshot: %t, %v", skip, err)
	}
	sink, err := s.snaps.Create(1, 10, 1, raft.Configuration{}, 1, nil)
	if err == nil {
		err = sink.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for applied, want := range map[uint64]bool{0: false, 9: false, 10: true, 11: true} {
		n := consensustest.NewMachine()
		if applied > 0 {
			n.Apply(applied, [][]byte{{1}})
		}
		if skip, err := s.restorable(n); skip != want || err != nil {
			t.Errorf("machine at %d, snapshot at 10: skip %t, %v", applied, skip, err)
		}
	}
	if skip, err := s.restorable(nil); skip || err != nil {
		t.Errorf("a machine without an index: %t, %v", skip, err)
	}
	s.gap = 12
	if _, err := s.restorable(m); !isOneOf(err, ErrDamaged) {
		t.Errorf("entry 11 is missing: %v, want ErrDamaged", err)
	}
}

// forgetful hides a machine's index: it is one that does not survive restarts.
type forgetful struct{ m *consensustest.Machine }

func (f forgetful) Apply(first uint64, commands [][]byte) [][]byte { return f.m.Apply(first, commands) }
func (f forgetful) Snapshot(w io.Writer) error                     { return f.m.Snapshot(w) }
func (f forgetful) Restore(r io.Reader) error                      { return f.m.Restore(r) }

func TestMachineWithoutAnIndexIsRestoredAtEveryStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1, 0, smallSnapshots)
		for round := range 3 {
			m := consensustest.NewMachine()
			g, err := startOver(c.configOf("m0").withDefaults(), c.network.Host("m0"), forgetful{m}, c.stores["m0"])
			if err != nil {
				t.Fatal(err)
			}
			c.groups["m0"], c.machines["m0"] = g, m
			c.proposeMany("m0", fmt.Sprintf("round-%d", round), 100)
			<-time.After(5 * time.Second)
			if n := len(m.Log()); n != 100*(round+1) {
				t.Errorf("round %d: %d commands, want %d", round, n, 100*(round+1))
			}
			c.stop("m0")
		}
		c.end()
	})
}

// recorder notes the runs that it is given.
type recorder struct {
	runs [][2]uint64
}

func (r *recorder) Apply(first uint64, commands [][]byte) [][]byte {
	r.runs = append(r.runs, [2]uint64{first, first + uint64(len(commands)) - 1})
	replies := make([][]byte, len(commands))
	for i := range replies {
		replies[i] = commands[i]
	}
	return replies
}
func (r *recorder) Snapshot(io.Writer) error { return nil }
func (r *recorder) Restore(io.Reader) error  { return nil }

func TestCommandsComeInRunsOfConsecutiveIndexes(t *testing.T) {
	r := &recorder{}
	m := newMachine(r, func() bool { return false })
	var batch []*raft.Log
	for _, e := range []struct {
		index uint64
		kind  raft.LogType
	}{{3, raft.LogCommand}, {4, raft.LogCommand}, {6, raft.LogCommand}, {7, raft.LogConfiguration}, {8, raft.LogCommand}, {9, raft.LogCommand}, {10, raft.LogConfiguration}} {
		batch = append(batch, &raft.Log{Index: e.index, Type: e.kind, Data: fmt.Append(nil, e.index)})
	}
	answers := m.ApplyBatch(batch)
	if want := [][2]uint64{{3, 4}, {6, 6}, {8, 9}}; !slices.Equal(r.runs, want) {
		t.Errorf("runs %v, want %v", r.runs, want)
	}
	for i, e := range batch {
		reply, _ := answers[i].([]byte)
		if e.Type == raft.LogCommand && !bytes.Equal(reply, e.Data) || e.Type != raft.LogCommand && answers[i] != nil {
			t.Errorf("answer to %d is %q", e.Index, answers[i])
		}
	}
	if m.given.Load() != 9 {
		t.Errorf("given up to %d, want 9", m.given.Load())
	}
}

func TestRestoreRefusesWhatIsNoSnapshot(t *testing.T) {
	m := newMachine(&recorder{}, func() bool { return false })
	for _, b := range []string{"", "ptgsnap1", "ptgsnap2\x00\x00\x00\x00\x00\x00\x00\x01", "12345678901234567890"} {
		if err := m.Restore(io.NopCloser(bytes.NewReader([]byte(b)))); err == nil {
			t.Errorf("%q was restored", b)
		}
	}
}
