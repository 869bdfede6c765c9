package platform

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Verdict is what the witness found about one submission.
type Verdict string

// The verdicts, with the answer that each gets from add-checkpoint.
const (
	Cosigned     Verdict = "cosigned"       // 200
	Malformed    Verdict = "malformed"      // 400
	Unsigned     Verdict = "not signed"     // 403
	Unknown      Verdict = "unknown origin" // 404
	Stale        Verdict = "stale"          // 409 with the size known here
	Fork         Verdict = "fork"           // 409: this size is cosigned with another root
	Inconsistent Verdict = "inconsistent"   // 422
	Throttled    Verdict = "throttled"      // 429
	Full         Verdict = "full"           // 507
)

// A Record is one submission as it was shown, with what became of it.
type Record struct {
	Sequence uint64    `json:"sequence"` // per log, or among the unsigned
	Received time.Time `json:"received"` // by the platform's clock, UTC
	Origin   string    `json:"origin"`
	Verdict  Verdict   `json:"verdict"`
	Status   int       `json:"status"` // of the answer
	Reason   string    `json:"reason,omitempty"`
	Size     int64     `json:"size"`  // of the checkpoint, if it could be read
	Known    int64     `json:"known"` // the size that was known here before
	// Body is the whole submission; of a cosigned one, its checkpoint with the log's
	// signature and the witness's cosignature.
	Body []byte `json:"body"`
}

// An answer goes back to the submitter. Nothing is answered before what it rests on is
// on disk.
type answer struct {
	verdict Verdict
	status  int
	reason  string
	line    string // Cosigned
	size    int64  // Stale
}

// add judges one submission: the order of the checks is that of C2SP tlog-witness.
// An error is a fault of the storage.
func (s *Server) add(body []byte) (answer, error) {
	sub, err := parseSubmission(body)
	if err != nil {
		return s.refuseUnsigned("", body, answer{verdict: Malformed, status: http.StatusBadRequest, reason: err.Error()})
	}
	origin := originOf(sub.note)
	l, ok := s.logs[origin]
	if !ok {
		return s.refuseUnsigned(origin, body, answer{verdict: Unknown, status: http.StatusNotFound, reason: "this witness does not know the origin"})
	}
	n, err := note.Open(sub.note, l.verifiers)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return s.refuseUnsigned(origin, body, answer{verdict: Unsigned, status: http.StatusForbidden, reason: "no valid signature of this log"})
	case err != nil:
		return s.refuseUnsigned(origin, body, answer{verdict: Malformed, status: http.StatusBadRequest, reason: err.Error()})
	}
	cp, malformed := parseCheckpoint(n.Text)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return answer{}, l.broken
	}
	a, err := s.judge(l, sub, n, cp, malformed, body)
	if err != nil {
		// What is in memory may differ from the disk now.
		l.broken = err
	}
	return a, err
}

// judge decides on a checkpoint that the log has signed, and records it. The caller
// holds l.mu.
func (s *Server) judge(l *watchedLog, sub submission, n *note.Note, cp checkpoint, malformed error, body []byte) (answer, error) {
	mark, err := s.storage.get(textKey(l.origin, n.Text))
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	pace := &l.news
	if mark != nil {
		pace = &l.repeats
	}
	if !pace.take(now) {
		return answer{verdict: Throttled, status: http.StatusTooManyRequests, reason: "too many submissions for this log: try again in a second"}, nil
	}
	a := answer{verdict: Malformed, status: http.StatusBadRequest}
	if malformed != nil {
		a.reason = malformed.Error()
	} else if a, err = s.check(l, sub, cp); err != nil {
		return answer{}, err
	}
	if a.verdict == Cosigned {
		return s.cosign(l, n, cp, now, mark)
	}
	return a, s.keepRefused(l, n.Text, cp, now, mark, a, body)
}

// check compares the checkpoint with what was cosigned before.
func (s *Server) check(l *watchedLog, sub submission, cp checkpoint) (answer, error) {
	known := &l.state
	inconsistent := answer{verdict: Inconsistent, status: http.StatusUnprocessableEntity, reason: "the consistency proof does not hold"}
	switch {
	case sub.old > cp.size:
		return answer{verdict: Malformed, status: http.StatusBadRequest, reason: "old is larger than the checkpoint's size"}, nil
	case sub.old != known.Size:
		a := answer{verdict: Stale, status: http.StatusConflict, size: known.Size}
		// The answer stays the size; that this is no delay but a second history
		// belongs into the record.
		other, err := s.otherRoot(l.origin, cp)
		if err == nil && other {
			a.verdict = Fork
		}
		return a, err
	case known.Known && cp.size == known.Size && cp.root != known.Root:
		return answer{verdict: Fork, status: http.StatusConflict, size: -1, reason: "this size was cosigned with another root"}, nil
	case sub.old == 0:
		if len(sub.proof) > 0 || cp.size == 0 && cp.root != emptyRoot {
			return inconsistent, nil
		}
	default:
		if err := tlog.CheckTree(sub.proof, cp.size, cp.root, known.Size, known.Root); err != nil {
			return inconsistent, nil
		}
	}
	return answer{verdict: Cosigned}, nil
}

// otherRoot says whether cp's size was cosigned here with another root.
func (s *Server) otherRoot(origin string, cp checkpoint) (bool, error) {
	root, err := s.storage.get(numberedKey('i', origin, uint64(cp.size)))
	if err != nil {
		return false, err
	}
	return root != nil && tlog.Hash(root) != cp.root, nil
}

// cosign signs, writes, and only then hands out the signature. A crash before the write
// leaves a signature that nobody has seen; one after it, a size that the log learns
// from a 409 and submits again.
func (s *Server) cosign(l *watchedLog, n *note.Note, cp checkpoint, now time.Time, mark []byte) (answer, error) {
	state := l.state
	fresh := mark == nil || mark[0] != weight(Cosigned)
	if fresh && state.Cosigned >= MaxCosignedPerLog {
		s.log.Error("log is full: nothing more is cosigned", "origin", l.origin, "cosigned", state.Cosigned)
		return answer{verdict: Full, status: http.StatusInsufficientStorage, reason: "this log has used up its room here"}, nil
	}
	seconds := now.Unix()
	if behind := time.Duration(state.Time-seconds) * time.Second; behind > 0 {
		if behind > MaxClockStep {
			s.log.Error("clock stands behind the last cosignature: set it right", "origin", l.origin, "behind", behind)
			return answer{verdict: Throttled, status: http.StatusServiceUnavailable, reason: "the witness's clock is wrong: try again later"}, nil
		}
		seconds = state.Time
	}
	line := s.key.line(n.Text, time.Unix(seconds, 0))
	signed := []byte(n.Text + "\n" + verifiedLines(n) + line)

	known := state.Size
	state.Known, state.Size, state.Root, state.Time, state.Note = true, cp.size, cp.root, seconds, signed
	batch := s.storage.db.NewBatch()
	defer batch.Close()
	if fresh {
		record := Record{
			Received: now.UTC(), Verdict: Cosigned, Status: http.StatusOK, Size: cp.size, Known: known, Body: signed,
		}
		state.Cosigned++
		if err := addRecord(batch, l.origin, &state, record); err != nil {
			return answer{}, err
		}
		if err := errors.Join(
			batch.Set(textKey(l.origin, n.Text), []byte{weight(Cosigned)}, nil),
			batch.Set(numberedKey('i', l.origin, uint64(cp.size)), cp.root[:], nil),
		); err != nil {
			return answer{}, fmt.Errorf("write indexes: %w", err)
		}
	}
	if err := commit(batch, l.origin, state); err != nil {
		return answer{}, err
	}
	l.state = state
	s.log.Debug("checkpoint cosigned", "origin", l.origin, "size", cp.size)
	return answer{verdict: Cosigned, status: http.StatusOK, line: line}, nil
}

// keepRefused writes the evidence down, the same text once for each weight that it gains:
// anybody can send a log's checkpoint again, with a wrong proof, for ever.
func (s *Server) keepRefused(l *watchedLog, text string, cp checkpoint, now time.Time, mark []byte, a answer, body []byte) error {
	if a.verdict != Stale {
		s.log.Warn("checkpoint refused", "origin", l.origin, "size", cp.size, "verdict", string(a.verdict), "status", a.status)
	}
	if mark != nil && mark[0] >= weight(a.verdict) {
		return nil
	}
	if l.state.Refused >= MaxRefusedPerLog {
		l.unkept++
		return nil
	}
	state := l.state
	state.Refused++
	if a.verdict == Fork {
		state.Forks++
	}
	record := Record{
		Received: now.UTC(), Verdict: a.verdict, Status: a.status, Reason: a.reason, Size: cp.size, Known: state.Size, Body: body,
	}
	batch := s.storage.db.NewBatch()
	defer batch.Close()
	if err := addRecord(batch, l.origin, &state, record); err != nil {
		return err
	}
	if err := batch.Set(textKey(l.origin, text), []byte{weight(a.verdict)}, nil); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := commit(batch, l.origin, state); err != nil {
		return err
	}
	l.state = state
	return nil
}

func addRecord(batch *pebble.Batch, origin string, state *logState, r Record) error {
	r.Origin, r.Sequence = origin, state.Next
	state.Next++
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if err := batch.Set(numberedKey('c', origin, r.Sequence), raw, nil); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

func commit(batch *pebble.Batch, origin string, state logState) error {
	raw, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := batch.Set(logKey('s', origin), raw, nil); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// refuseUnsigned keeps a submission that no known log has signed, as long as there are
// not too many of them, and gives a back.
func (s *Server) refuseUnsigned(origin string, body []byte, a answer) (answer, error) {
	u := &s.unsigned
	u.mu.Lock()
	defer u.mu.Unlock()
	now := s.now()
	if !u.pace.take(now) {
		u.unkept++
		return a, nil
	}
	if len(origin) > MaxOrigin {
		origin = ""
	}
	raw, err := json.Marshal(Record{
		Sequence: u.next, Received: now.UTC(), Origin: origin, Verdict: a.verdict, Status: a.status, Reason: a.reason, Body: body,
	})
	if err != nil {
		return answer{}, fmt.Errorf("encode record: %w", err)
	}
	batch := s.storage.db.NewBatch()
	defer batch.Close()
	if err := batch.Set(unsignedKey(u.next), raw, nil); err != nil {
		return answer{}, fmt.Errorf("write record: %w", err)
	}
	if u.next >= MaxUnsigned {
		if err := batch.Delete(unsignedKey(u.next-MaxUnsigned), nil); err != nil {
			return answer{}, fmt.Errorf("drop record: %w", err)
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return answer{}, fmt.Errorf("commit: %w", err)
	}
	u.next++
	return a, nil
}

// verifiedLines are the signature lines of the log itself, in their canonical form.
func verifiedLines(n *note.Note) string {
	var lines string
	for _, sig := range n.Sigs {
		b64 := sig.Base64
		if raw, err := base64.StdEncoding.DecodeString(b64); err == nil {
			b64 = base64.StdEncoding.EncodeToString(raw)
		}
		lines += "— " + sig.Name + " " + b64 + "\n"
	}
	return lines
}
