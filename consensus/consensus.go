// Package consensus keeps one group of machines in agreement on a sequence of opaque commands, with the Raft protocol.
//
// A [Group] is one machine's part in it. The machine behind it, a [StateMachine], sees every committed command once, in
// the same order everywhere; [Group.Propose] puts a command in that order and returns what the leader's machine answered.
// The package knows nothing of what commands mean, and nothing of how machines reach one another: that is a [Network].
package consensus

import (
	"context"
	"errors"
	"io"
	"net"
)

// Protocols are the names under which a group listens on its Network.
const (
	ProtocolRaft    = "/pointage/raft/1"
	ProtocolPropose = "/pointage/propose/1"
)

// StateMachine is what the group replicates. Its methods are never called at the same time, but for Snapshot, which may
// run beside Apply.
type StateMachine interface {
	// Apply applies consecutive committed commands and returns one reply for each. The Raft index of commands[i] is
	// exactly first+i: where a no-op, a barrier or a change of the members stands between two commands, they come in two
	// calls. Indexes rise from call to call but for one case: after a restart the log is replayed from the last snapshot
	// on, so that the machine is given again what it already holds. It skips those (it stores its index itself, together
	// with their effects); their replies are thrown away and may be nil. A command can be committed twice, when its
	// proposer heard ErrUnknownOutcome and proposed the same bytes again: the machine recognises it.
	//
	// The byte slices belong to the log: the machine copies what it keeps and changes none. A reply is at most
	// [MaxReply] bytes. A machine that can't go on panics: a replica that guesses is worse than one that stops.
	Apply(first uint64, commands [][]byte) (replies [][]byte)

	// Snapshot writes the machine's whole state, with the index up to which it has applied. It runs beside Apply and must
	// be one point in time; which one between call and return is the machine's choice, as later commands are given to
	// whoever restores it and skipped by their index.
	Snapshot(io.Writer) error

	// Restore replaces the whole state by what Snapshot wrote, on this machine or another. If it is cut short, by an error
	// or by a crash, an Applied called later must report an index below the snapshot's, so that it is restored again.
	Restore(io.Reader) error
}

// Indexed is what a StateMachine adds when its state survives a restart by itself.
type Indexed interface {
	// Applied returns the Raft index of the last command in the machine's durable state, 0 for none. A snapshot that is
	// not newer is then not restored into it. A machine without this method is restored at every start.
	Applied() uint64
}

// Network joins the machines of one membership list. Every connection is authenticated and encrypted by the network, and
// every peer that it lets through is on the list.
type Network interface {
	// Self returns this machine's peer ID.
	Self() string
	// Dial opens a connection to a peer for one protocol. The context bounds the dialling, not the connection.
	Dial(ctx context.Context, peer, protocol string) (net.Conn, error)
	// Listen receives connections for one protocol; the RemoteAddr().String() of each is its peer ID. Close makes Accept
	// return an error and frees the protocol for another Listen.
	Listen(protocol string) (net.Listener, error)
}

// Answers is how a leader stands by what it answers to other machines, and how they judge what they are answered. Its
// methods are called from many goroutines at once. What the bytes mean, and what becomes of a leader whose answer is not
// accepted, is its own business.
type Answers interface {
	// Seal returns what this machine, as the leader, sends as the reply to another machine's command: at most [MaxSeal]
	// bytes more than the reply. False when it has no word for that reply: the asker hears ErrUnknownOutcome.
	Seal(command, reply []byte) (sealed []byte, ok bool)
	// Open returns the reply in what the leader sent for a command of this machine. An error says that the leader's answer
	// counts as none: Propose returns ErrUnknownOutcome, and the same bytes are proposed again.
	Open(leader string, command, sealed []byte) (reply []byte, err error)
}

// Member is one machine of the membership list.
type Member struct {
	Peer   string // peer ID
	Voting bool   // counts for a majority from the beginning on; the others receive
}

// What Propose answers instead of a reply. Each is wrapped with its cause: compare with errors.Is.
var (
	// ErrNoLeader says that the command was not taken: no leader is known, or the one known does not lead (any more), or
	// can't be reached. Nothing was proposed.
	ErrNoLeader = errors.New("no leader")
	// ErrUnknownOutcome says that the command was sent and that its fate is unknown: it may be committed already, later,
	// or never. The caller proposes the same bytes again, never others in their place.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrTooLarge says that the command exceeds Config.MaxCommand. Nothing was proposed.
	ErrTooLarge = errors.New("command too large")
	// ErrBusy says that the leader, or this machine, has as many proposals in hand as it takes. Nothing was proposed.
	ErrBusy = errors.New("too many proposals in flight")
	// ErrClosed says that this group was closed, or has stopped for good (Status names the fault). Nothing was proposed.
	ErrClosed = errors.New("group closed")
)

// What Start answers.
var (
	// ErrStoreLost says that a store that existed before is now empty. To start it again under the same number would
	// break promises that it gave to the others: the machine joins again under a new, random store number.
	ErrStoreLost = errors.New("store lost: start again with a new store number")
	// ErrWrongStore says that the directory holds the store of another server.
	ErrWrongStore = errors.New("directory holds the store of another server")
	// ErrDamaged says that the store can't be read, or that part of it is missing. The machine sets it aside and joins
	// again under a new store number.
	ErrDamaged = errors.New("store damaged: set it aside and start again with a new store number")
)
