package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"pointage/ledger"
)

// appending is what one caller wants of the writer: statements or a note to be durable, or an
// act between two records.
type appending struct {
	statements []ledger.Statement
	exact      []ledger.Instant
	// size of the encoded statements with their lengths, in bytes.
	size int
	note *note
	act  func() error
	// taken is set once: by the writer that will answer, or by a caller who goes away.
	taken atomic.Bool
	// done gets the writer's answer; it has room for it.
	done chan appended
}

type appended struct {
	durable Durable
	err     error
}

func (j *Journal) appending(bodies []ledger.Body) (*appending, error) {
	a := &appending{done: make(chan appended, 1)}
	now := j.opt.Now()
	for _, b := range bodies {
		s := ledger.NewStatement(now, b)
		enc, err := s.Encode()
		if err != nil {
			return nil, err
		}
		a.statements, a.exact, a.size = append(a.statements, s), append(a.exact, now), a.size+2+len(enc)
	}
	if len(bodies) == 0 || len(bodies) > ledger.MaxStatements || a.size > maxStatementBytes {
		return nil, fmt.Errorf("append %d statements of %d bytes: 1 to %d, at most %d bytes", len(bodies), a.size, ledger.MaxStatements, maxStatementBytes)
	}
	return a, nil
}

// Append makes statements durable, in one batch and in their order, all or none. While the
// journal writes, more callers gather: their statements share the next batch's signature and
// fsync. Statements that name electors get a rounded time; the exact one stays on the media.
//
// After an error nothing has been shown or sent, but the statements may have reached a
// medium, when ctx ended during the write or the journal stopped (ErrStopped): then they
// stand in the chain, at once or after the next opening.
func (j *Journal) Append(ctx context.Context, bodies ...ledger.Body) (Durable, error) {
	a, err := j.appending(bodies)
	if err != nil {
		return Durable{}, err
	}
	return j.submit(ctx, a)
}

// SetNote makes a note durable; its value is the key's until the next. Keys have 1 to 255
// bytes, values at most 4 KiB, and there are at most 256 keys; those that begin with "journal/" are
// the journal's own.
func (j *Journal) SetNote(ctx context.Context, key string, value []byte) error {
	if len(key) == 0 || len(key) > maxNoteKey || len(value) > maxNote || strings.HasPrefix(key, ownNotes) {
		return fmt.Errorf("note of %d bytes under a key of %d: at most %d under 1 to %d, not beginning with %q", len(value), len(key), maxNote, maxNoteKey, ownNotes)
	}
	_, err := j.submit(ctx, &appending{note: &note{key: key, value: append([]byte(nil), value...)}, done: make(chan appended, 1)})
	return err
}

func (j *Journal) submit(ctx context.Context, a *appending) (Durable, error) {
	if err := errors.Join(ctx.Err(), j.Err()); err != nil {
		return Durable{}, err
	}
	select {
	case j.queue <- a:
	case <-j.closing:
		return Durable{}, ErrClosed
	case <-ctx.Done():
		return Durable{}, ctx.Err()
	}
	select {
	case r := <-a.done:
		return r.durable, r.err
	case <-ctx.Done():
		// An act that has begun is waited for: the caller goes on with what it changed.
		if a.taken.CompareAndSwap(false, true) || a.act == nil {
			return Durable{}, ctx.Err()
		}
		r := <-a.done
		return r.durable, r.err
	case <-j.ended:
	}
	select {
	case r := <-a.done:
		return r.durable, r.err
	default: // it came too late for the writer
		return Durable{}, ErrClosed
	}
}

// do runs an act on the writer's goroutine, between two records; it may use what the writer
// owns. When do returns the act is over, or will not run.
func (j *Journal) do(ctx context.Context, act func() error) error {
	_, err := j.submit(ctx, &appending{act: act, done: make(chan appended, 1)})
	return err
}

// write is the writer: it takes all that waits, signs once, and waits for two media.
func (j *Journal) write() {
	defer close(j.ended)
	var held *appending
	for {
		a := held
		held = nil
		if a == nil {
			select {
			case a = <-j.queue:
			case <-j.closing:
				return
			}
			if !a.taken.CompareAndSwap(false, true) {
				continue
			}
		}
		if a.note != nil {
			a.done <- appended{err: j.writeNote(a.note)}
			continue
		}
		if a.act != nil {
			a.done <- appended{err: a.act()}
			continue
		}
		j.pace()
		var group []*appending
		group, held = j.gather(a)
		b, err := j.writeBatch(group)
		first := 0
		for _, a := range group {
			r := appended{err: err}
			if err == nil {
				r.durable = Durable{Batch: b, First: first, Count: len(a.statements)}
			}
			first += len(a.statements)
			a.done <- r
		}
	}
}

// gather takes what waits as long as it fits into one batch; held is the first that
// does not.
func (j *Journal) gather(a *appending) (group []*appending, held *appending) {
	group = []*appending{a}
	count, size := len(a.statements), a.size
	for {
		select {
		case a := <-j.queue:
			if !a.taken.CompareAndSwap(false, true) {
				continue
			}
			if a.note != nil || a.act != nil || count+len(a.statements) > ledger.MaxStatements || size+a.size > maxStatementBytes {
				return group, a
			}
			group, count, size = append(group, a), count+len(a.statements), size+a.size
		default:
			return group, nil
		}
	}
}

func (j *Journal) writeBatch(group []*appending) (*ledger.Batch, error) {
	var all []ledger.Statement
	var r recorded
	for _, a := range group {
		all, r.exact = append(all, a.statements...), append(r.exact, a.exact...)
	}
	b, err := ledger.Sign(j.opt.Key, j.opt.Group, j.author, j.Point(), all)
	if err != nil {
		return nil, err
	}
	r.batch = b
	plain := encodeBatchRecord(r)
	at, err := j.commit(plain)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.since.add(plain, len(j.chain))
	j.statements, j.bytes = j.statements+uint64(len(all)), j.bytes+int64(frameLen(plain))
	j.point = ledger.Point{Next: b.Header.Next(), Previous: b.Header.Identity()}
	j.chain = append(j.chain, entry{at: at, kept: &r})
	if n := len(j.chain) - 1 - maxKept; n >= 0 {
		j.chain[n].kept = nil
	}
	close(j.grown)
	j.grown = make(chan struct{})
	return b, nil
}

func (j *Journal) writeNote(n *note) error {
	j.mu.Lock()
	_, known := j.notes[n.key]
	full := !known && len(j.notes) >= maxNotes
	j.serial++
	n.round, n.serial = j.round, j.serial
	j.mu.Unlock()
	if full {
		return fmt.Errorf("note under a new key: there are %d keys, at most %d", maxNotes, maxNotes)
	}
	plain := n.encode()
	if _, err := j.commit(plain); err != nil {
		return err
	}
	j.since.add(plain, -1)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.notes[n.key] = *n
	return nil
}

// commit gives a record to every good medium and returns when two have fsync'ed it, with
// where it stands. One record is under way at a time: what a crash leaves on one
// medium alone is the chain's last batch.
func (j *Journal) commit(plain []byte) (at spans, err error) {
	all, err := j.commitAll(plain)
	if err != nil {
		return at, err
	}
	return all[0], nil
}

// commitAll is commit of several records under one fsync, of which none rests on another.
func (j *Journal) commitAll(plains ...[]byte) (at []spans, err error) {
	if err := j.Err(); err != nil {
		return nil, err
	}
	at = make([]spans, len(plains))
	acks := make(chan error, members)
	waiting := 0
	for _, m := range j.written() {
		taken := true
		for i, plain := range plains {
			var n nonce
			if err := j.draw(&n); err != nil {
				return nil, j.halt(err)
			}
			var done chan<- error
			if i == len(plains)-1 {
				done = acks
			}
			off := m.end
			if taken = m.enqueue(plain, n, done); !taken {
				break
			}
			at[i][m.member] = span{off, int32(frameLen(plain))}
		}
		if taken {
			waiting++
		}
	}
	for good := 0; good < quorum; {
		if good+waiting < quorum {
			return nil, j.halt(j.faults())
		}
		err := <-acks
		waiting--
		if err == nil {
			good++
		}
	}
	return at, nil
}

// written are the attached media, those that have failed among them.
func (j *Journal) written() []*medium {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.media
}

// good are the media that count.
func (j *Journal) good() (good []*medium) {
	for _, m := range j.written() {
		if m.failure() == nil {
			good = append(good, m)
		}
	}
	return good
}

// mediumFailed reports a medium that is no longer written, and stops the journal when fewer
// than two are left.
func (j *Journal) mediumFailed(m *medium) {
	j.opt.Logger.Error("journal: a medium has failed", "member", m.member, "err", m.status().Fault)
	if len(j.good()) < quorum {
		j.halt(j.faults())
	}
}

// faults says of each medium that is not written why, in one line.
func (j *Journal) faults() error {
	j.mu.Lock()
	media, absent := j.media, j.absent
	j.mu.Unlock()
	var all faults
	for _, e := range absent {
		all = append(all, e)
	}
	for _, m := range media {
		if fault := m.status().Fault; fault != nil {
			all = append(all, fault)
		}
	}
	return all
}

// halt stops the journal for good.
func (j *Journal) halt(cause error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = fmt.Errorf("%w (%w)", ErrStopped, cause)
		close(j.failed)
	}
	return j.err
}

// Close ends the writing and levels the media. It returns the faults that media
// had meanwhile; those of before are in Status. Appends that still waited get ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	again := j.closed
	j.closed = true
	j.mu.Unlock()
	if again {
		return nil
	}
	close(j.closing)
	<-j.ended
	j.changing <- struct{}{} // whoever takes a medium up hears ErrClosed and ends
	if err := j.detach(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// detach levels the media and lets go of them.
func (j *Journal) detach() error {
	failed := map[*medium]bool{}
	media := j.written()
	for _, m := range media {
		failed[m] = m.failure() != nil
		m.endWhenLevel()
	}
	j.writers.Wait()
	var errs []error
	for _, m := range media {
		if !failed[m] {
			errs = append(errs, m.status().Fault, m.closing)
		}
	}
	return errors.Join(errs...)
}
