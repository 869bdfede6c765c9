package platform

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

// ErrTwoHistories means that one size has two roots under this witness's own signature.
var ErrTwoHistories = errors.New("the witness has signed two histories: keep both notes and call the college of experts")

// Learn takes up a checkpoint that this witness itself has cosigned, and that it may have
// forgotten: it was restored from a copy made before. The note carries the log's signature and the
// witness's. From then on nothing older or different is cosigned. The error says that the note is
// not one of this witness's, or that it contradicts what it knows, which is for people to look at.
//
// What nobody shows it again it can't know: between the copy and the loss it may have cosigned
// checkpoints after which it would now, if the log's signer lies, cosign a fork.
func (s *Server) Learn(signed []byte) (learned bool, err error) {
	l, ok := s.logs[originOf(signed)]
	if !ok {
		return false, fmt.Errorf("learn a checkpoint: unknown origin %.80q", originOf(signed))
	}
	own := ledger.CosignerKey(s.key.name, s.key.public())
	n, err := note.Open(signed, either{l.verifiers, own})
	if err != nil {
		return false, fmt.Errorf("learn a checkpoint of %s: %w", l.origin, err)
	}
	cp, err := parseCheckpoint(n.Text)
	if err != nil {
		return false, fmt.Errorf("learn a checkpoint of %s: %w", l.origin, err)
	}
	for _, sig := range n.Sigs {
		if sig.Name == own.Name() && sig.Hash == own.KeyHash() {
			raw, err := base64.StdEncoding.DecodeString(sig.Base64)
			if err != nil || len(raw) < 12 {
				return false, fmt.Errorf("learn a checkpoint of %s: a damaged signature", l.origin)
			}
			return s.learn(l, cp, n.Text, int64(binary.BigEndian.Uint64(raw[4:])), signed)
		}
	}
	return false, fmt.Errorf("learn a checkpoint of %s: this witness has not cosigned it", l.origin)
}

// public is the cosigner's public key.
func (c *cosigner) public() []byte { return c.key[32:] }

// either knows the log's keys and the witness's own.
type either struct {
	logs note.Verifiers
	own  note.Verifier
}

// Verifier implements note.Verifiers.
func (e either) Verifier(name string, hash uint32) (note.Verifier, error) {
	if name == e.own.Name() && hash == e.own.KeyHash() {
		return e.own, nil
	}
	return e.logs.Verifier(name, hash)
}

// learn raises the state to a checkpoint whose cosignature has been verified; text and signed
// become its record.
func (s *Server) learn(l *watchedLog, cp checkpoint, text string, seconds int64, signed []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	other, err := s.otherRoot(l.origin, cp)
	if err != nil {
		return false, err
	}
	if other {
		return false, fmt.Errorf("learn a checkpoint of %s: size %d: %w", l.origin, cp.size, ErrTwoHistories)
	}
	if l.state.Known && cp.size <= l.state.Size {
		return false, nil
	}
	state := l.state
	known := state.Size
	state.Known, state.Size, state.Root, state.Time, state.Note = true, cp.size, cp.root, max(state.Time, seconds), signed
	state.Cosigned++
	batch := s.storage.db.NewBatch()
	defer batch.Close()
	record := Record{Received: time.Unix(seconds, 0).UTC(), Verdict: Cosigned, Status: 200, Reason: "learned", Size: cp.size, Known: known, Body: signed}
	if err := addRecord(batch, l.origin, &state, record); err != nil {
		return false, err
	}
	if err := batch.Set(textKey(l.origin, text), []byte{weight(Cosigned)}, nil); err != nil {
		return false, fmt.Errorf("write indexes: %w", err)
	}
	if err := batch.Set(numberedKey('i', l.origin, uint64(cp.size)), cp.root[:], nil); err != nil {
		return false, fmt.Errorf("write indexes: %w", err)
	}
	if err := commit(batch, l.origin, state); err != nil {
		return false, err
	}
	l.state = state
	return true, nil
}

// learnAnchored takes up what an entry of a ledger says was cosigned here: after a restoration the
// communes' uploads tell the witness what it has forgotten.
func (rg *Region) learnAnchored(group *ledger.Group, a *ledger.Anchored) error {
	s := rg.server
	own := ledger.CosignerKey(s.key.name, s.key.public())
	origin := group.Origin(a.Epoch)
	l := s.logs[origin]
	cp := ledger.Checkpoint{Origin: origin, Size: a.Size, Root: a.Root}
	if l == nil || a.Witness != own.KeyHash() || !own.Verify([]byte(cp.Text()), append(be64(a.Cosigned), a.Signature[:]...)) {
		return nil
	}
	// Without the log's own line the note can't stand in an export: the record is the state alone.
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.Known && int64(a.Size) <= l.state.Size {
		return nil
	}
	state := l.state
	state.Known, state.Size, state.Root, state.Time = true, int64(a.Size), tlog.Hash(a.Root), max(state.Time, int64(a.Cosigned))
	batch := rg.st.db.NewBatch()
	defer batch.Close()
	if err := batch.Set(numberedKey('i', origin, a.Size), a.Root[:], nil); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := commit(batch, origin, state); err != nil {
		return err
	}
	l.state = state
	return nil
}
