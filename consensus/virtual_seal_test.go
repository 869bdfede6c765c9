package consensus

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"sync/atomic"

	"pointage/consensus/consensustest"
)

var errSeal = errors.New("the seal does not hold")

// seals are the Answers of a machine on a faulted day: a sum over command and reply stands for a signature. A machine that
// lies as the leader answers what comes into its head, under a seal that doesn't hold, or says nothing.
type seals struct {
	peer     string
	lies     atomic.Bool
	believes bool // a mutant: takes every answer
	told     atomic.Int64
}

const sealLength = 16

func seal(peer string, command, reply []byte) []byte {
	h := sha256.New()
	h.Write([]byte(peer))
	h.Write([]byte{0})
	h.Write(command)
	h.Write([]byte{0})
	h.Write(reply)
	return h.Sum(nil)[:sealLength]
}

func (s *seals) Seal(command, reply []byte) ([]byte, bool) {
	if !s.lies.Load() {
		return append(bytes.Clone(reply), seal(s.peer, command, reply)...), true
	}
	if s.told.Add(1)%8 == 0 {
		return nil, false
	}
	lie := consensustest.Standing{Holder: s.peer, Claims: 1000}.Encode()
	return append(lie, seal(s.peer, []byte("another command"), lie)...), true
}

func (s *seals) Open(leader string, command, sealed []byte) ([]byte, error) {
	if len(sealed) < sealLength {
		return nil, errSeal
	}
	reply, sum := sealed[:len(sealed)-sealLength], sealed[len(sealed)-sealLength:]
	if !s.believes && !bytes.Equal(sum, seal(leader, command, reply)) {
		return nil, errSeal
	}
	return reply, nil
}

// lying lets a machine lie whenever it leads.
func (f drawing) lying() []event {
	peer := f.peer()
	set := func(on bool) func(*day) {
		return func(d *day) { d.node(peer).seals.lies.Store(on) }
	}
	return []event{{f.at, set(true)}, {f.until, set(false)}}
}
