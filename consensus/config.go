package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a group. Those that a Config can lower or raise say so.
const (
	// MaxVoting is the largest number of members that count for a majority; the rest receive.
	MaxVoting = 7
	// MaxMembers is the largest membership list.
	MaxMembers = 512
	// DefaultMaxCommand is the largest command in bytes when Config.MaxCommand is 0.
	DefaultMaxCommand = 64 << 10
	// MaxReply is the largest reply of a StateMachine, in bytes.
	MaxReply = 32 << 10
	// MaxSeal is how many bytes Answers.Seal may add to a reply.
	MaxSeal = 1 << 10
	// MaxInFlight and MaxInFlightPerPeer bound the proposals that a leader has in hand, in all and from one machine
	// (itself included).
	MaxInFlight        = 4096
	MaxInFlightPerPeer = 1024
	// MaxInFlightBytes and MaxInFlightBytesPerPeer bound the bytes of their commands.
	MaxInFlightBytes        = 32 << 20
	MaxInFlightBytesPerPeer = 8 << 20

	maxCommandLimit = 1 << 20 // what Config.MaxCommand may ask for
	maxPeerID       = 128     // bytes of a peer ID
	maxAppend       = 128     // entries in one message to a follower, and in one batch for the machine
	logCache        = 512     // newest entries kept in memory for followers
	keptSnapshots   = 2
)

// Timing is when members give up on one another. The zero value asks for TimingFor the group's size.
type Timing struct {
	// Heartbeat is how long a member waits for the leader before it calls for another, and how long that call may take.
	Heartbeat time.Duration
	// Lease is how long a leader goes on without having heard a majority. At most Heartbeat.
	Lease time.Duration
	// Commit is after how long of silence the leader tells a follower the newest commit (at most twice as long).
	Commit time.Duration
}

// TimingFor returns the timing for a group of so many members: DESIGN.md, "Timing", has the measurements.
func TimingFor(members int) Timing {
	if members <= 25 {
		return Timing{Heartbeat: time.Second, Lease: 500 * time.Millisecond, Commit: 50 * time.Millisecond}
	}
	return Timing{Heartbeat: 1500 * time.Millisecond, Lease: 750 * time.Millisecond, Commit: 100 * time.Millisecond}
}

// Snapshots says when the log is cut short. Zero fields take the defaults.
type Snapshots struct {
	// Interval is how often the length of the log is looked at (at most twice as long). Default 2 minutes.
	Interval time.Duration
	// Threshold is how many entries after the last snapshot ask for the next. Default 50,000.
	Threshold uint64
	// Trailing is how many entries stay in the log behind a snapshot, for members that were away. Default 200,000: more
	// than a day of the largest commune, so that a member back in the evening is brought level entry by entry.
	Trailing uint64
}

// Config is one machine's part in a group. Members, Principal, Deputy and Timing are the same on every machine.
type Config struct {
	// Dir is the directory of the log, the snapshots and the store's identity. It is created; one process at a time.
	Dir string
	// Members is the whole list, this machine included; at most MaxVoting of them voting, at least one.
	Members []Member
	// Later are peers outside the first configuration that the leader lets in when they ask, as receivers: machines that
	// take another's place during the day. Such a machine lists itself here, and has a StoreNumber other than 0.
	Later []string
	// StoreNumber is the number of this machine's store: 0 for the first, a random one for any later one. With the peer ID
	// it is the server's identity, which is never used again with an empty store.
	StoreNumber uint64
	// Founder says that this machine begins the group alone: the first configuration has no other member, and the others
	// ask to be let in, each with a StoreNumber other than 0. It is voting in Members.
	Founder bool
	// StoreExisted says that the caller knows this store number to have been started before: an empty Dir is then
	// ErrStoreLost and not a first start.
	StoreExisted bool
	// Principal is the peer that leads whenever it is level, Deputy the one that does when the principal is away. Both
	// voting members; empty for none.
	Principal, Deputy string
	// Timing, Snapshots: zero for the defaults.
	Timing    Timing
	Snapshots Snapshots
	// ReplaceAfter is how long a voting member (never the principal) may be silent, or fail to advance, before a level
	// receiver takes its place. Default 60 s.
	ReplaceAfter time.Duration
	// StallLimit is how long one write of the log may take before a leader steps down. Default 2 s.
	StallLimit time.Duration
	// MaxCommand is the largest command in bytes, the same on every machine. Default DefaultMaxCommand, at most 1 MiB.
	MaxCommand int
	// Answers seals what this machine answers to others as the leader, and opens what it is answered; all machines have one
	// or none has. Nil sends replies as they are. A leader's own proposals need neither.
	Answers Answers
	// Logger receives what an operator should know. Nil for silence.
	Logger *slog.Logger
}

// ServerID is the name of one store of one machine in the group: the peer ID, a slash, the store's number.
func ServerID(peer string, storeNumber uint64) string {
	return peer + "/" + strconv.FormatUint(storeNumber, 10)
}

// peerOf returns the peer ID in a server ID.
func peerOf(serverID string) string {
	if i := strings.LastIndexByte(serverID, '/'); i >= 0 {
		return serverID[:i]
	}
	return serverID
}

// withDefaults returns the configuration with every zero field filled in.
func (c Config) withDefaults() Config {
	if c.Timing == (Timing{}) {
		c.Timing = TimingFor(len(c.Members))
	}
	if c.Snapshots.Interval == 0 {
		c.Snapshots.Interval = 2 * time.Minute
	}
	if c.Snapshots.Threshold == 0 {
		c.Snapshots.Threshold = 50_000
	}
	if c.Snapshots.Trailing == 0 {
		c.Snapshots.Trailing = 200_000
	}
	if c.ReplaceAfter == 0 {
		c.ReplaceAfter = time.Minute
	}
	if c.StallLimit == 0 {
		c.StallLimit = 2 * time.Second
	}
	if c.MaxCommand == 0 {
		c.MaxCommand = DefaultMaxCommand
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate refuses a configuration that no group can be started with; self is the network's own peer ID.
func (c Config) validate(self string) error {
	if len(c.Members) == 0 || len(c.Members) > MaxMembers {
		return fmt.Errorf("%d members: a group has 1 to %d", len(c.Members), MaxMembers)
	}
	seen := map[string]bool{}
	voting := 0
	for _, m := range c.Members {
		if m.Peer == "" || len(m.Peer) > maxPeerID || strings.ContainsAny(m.Peer, "/#") {
			return fmt.Errorf("peer ID %q: 1 to %d bytes without '/' or '#'", m.Peer, maxPeerID)
		}
		if seen[m.Peer] {
			return fmt.Errorf("peer %s is twice in the list of members", m.Peer)
		}
		seen[m.Peer] = true
		if m.Voting {
			voting++
		}
	}
	if voting == 0 || voting > MaxVoting {
		return fmt.Errorf("%d voting members: a group has 1 to %d", voting, MaxVoting)
	}
	for _, peer := range c.Later {
		if peer == "" || len(peer) > maxPeerID || seen[peer] || strings.ContainsAny(peer, "/#") {
			return fmt.Errorf("peer ID %q among the later ones: 1 to %d bytes, and no member's", peer, maxPeerID)
		}
	}
	if slices.Contains(c.Later, self) && c.StoreNumber == 0 {
		return fmt.Errorf("this machine, %s, is a later one: its store has a number", self)
	}
	if !seen[self] && !slices.Contains(c.Later, self) {
		return fmt.Errorf("this machine, %s, is not in the list of members", self)
	}
	for role, peer := range map[string]string{"principal": c.Principal, "deputy": c.Deputy} {
		if peer != "" && !slices.Contains(c.Members, Member{Peer: peer, Voting: true}) {
			return fmt.Errorf("the %s, %s, is not a voting member", role, peer)
		}
	}
	if c.MaxCommand < 1 || c.MaxCommand > maxCommandLimit {
		return fmt.Errorf("largest command of %d bytes: 1 to %d", c.MaxCommand, maxCommandLimit)
	}
	return c.Timing.validate()
}

func (t Timing) validate() error {
	if t.Heartbeat < 20*time.Millisecond || t.Lease < 10*time.Millisecond || t.Commit < time.Millisecond {
		return fmt.Errorf("timing %+v: a heartbeat of at least 20 ms, a lease of 10 ms, a commit of 1 ms", t)
	}
	if t.Lease > t.Heartbeat {
		return errors.New("timing: the lease is longer than the heartbeat")
	}
	return nil
}
