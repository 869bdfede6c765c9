package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pointage/ledger"
)

// appending is what one caller wants durable: statements, or a note.
type appending struct {
	statements []ledger.Statement
	exact      []ledger.Instant
	size       int
	key        string
	value      []byte
	done       chan appended
}

type appended struct {
	durable Durable
	err     error
}

// Append makes statements durable, in one batch and in their order. While the journal is
// busy more callers gather: their statements share the next batch's signature and fsync.
// After an error the statements may have become durable all the same if ctx ended it;
// otherwise they are not, or the journal has stopped.
func (j *Journal) Append(ctx context.Context, bodies ...ledger.Body) (Durable, error) {
	a := &appending{done: make(chan appended, 1)}
	now := j.opt.Now()
	for _, b := range bodies {
		s := ledger.NewStatement(now, b)
		enc, err := s.Encode()
		if err != nil {
			return Durable{}, err
		}
		a.statements, a.exact, a.size = append(a.statements, s), append(a.exact, now), a.size+2+len(enc)
	}
	if len(bodies) == 0 || len(bodies) > ledger.MaxStatements || a.size > maxStatementBytes {
		return Durable{}, fmt.Errorf("append %d statements of %d bytes: at most %d and %d", len(bodies), a.size, ledger.MaxStatements, maxStatementBytes)
	}
	return j.submit(ctx, a)
}

// maxStatementBytes is what the statements of one batch may take, with room for the header.
const maxStatementBytes = ledger.MaxBatch - 512

// SetNote makes a note durable: the newest value of a key wins.
func (j *Journal) SetNote(ctx context.Context, key string, value []byte) error {
	if len(key) == 0 || len(key) > maxNoteKey || len(value) > maxNote {
		return fmt.Errorf("note of %d bytes under a key of %d: at most %d and %d", len(value), len(key), maxNote, maxNoteKey)
	}
	_, err := j.submit(ctx, &appending{key: key, value: append([]byte{}, value...), done: make(chan appended, 1)})
	return err
}

func (j *Journal) submit(ctx context.Context, a *appending) (Durable, error) {
	if err := ctx.Err(); err != nil {
		return Durable{}, err
	}
	select {
	case j.queue <- a:
	case <-j.failed:
		return Durable{}, j.Err()
	case <-j.closed:
		return Durable{}, ErrClosed
	case <-ctx.Done():
		return Durable{}, ctx.Err()
	}
	select {
	case r := <-a.done:
		return r.durable, r.err
	case <-j.ended:
		select {
		case r := <-a.done:
			return r.durable, r.err
		default:
			return Durable{}, ErrClosed
		}
	case <-ctx.Done():
		return Durable{}, ctx.Err()
	}
}

// write is the writer: it takes all that waits, signs once, and writes every medium.
func (j *Journal) write() {
	defer close(j.ended)
	var held *appending
	for {
		a := held
		held = nil
		if a == nil {
			select {
			case a = <-j.queue:
			case <-j.closed:
				j.drain()
				return
			}
		}
		if a.key != "" {
			a.done <- appended{err: j.writeNote(a.key, a.value)}
			continue
		}
		j.pace()
		group := []*appending{a}
		group, held = j.gather(group)
		j.writeBatch(group)
	}
}

// Pacing: while the reader of Next has a batch on its way and another one waiting, what is
// signed now could only wait behind them. So it gathers instead, and shares a signature, an
// fsync and a place in the group with what comes meanwhile.
const (
	// paceFrom is how many batches the reader must have before it is waited for; paceTo is
	// how many show that it is far behind (no group answers): then nobody waits for it.
	paceFrom, paceTo = 2, 8
	// maxPace bounds the wait.
	maxPace = 10 * time.Millisecond
)

// pace waits for the reader while that costs nobody anything.
func (j *Journal) pace() {
	var timeout <-chan time.Time
	for {
		j.mu.Lock()
		waiting, moved := len(j.batches), j.moved
		j.mu.Unlock()
		if waiting < paceFrom || waiting > paceTo {
			return
		}
		if timeout == nil {
			timeout = time.After(maxPace)
		}
		select {
		case <-moved:
		case <-timeout:
			return
		case <-j.closed:
			return
		}
	}
}

// drain answers whoever came as the journal closed.
func (j *Journal) drain() {
	for {
		select {
		case a := <-j.queue:
			a.done <- appended{err: ErrClosed}
		default:
			return
		}
	}
}

// gather takes what waits as long as it fits into one batch; held is the first that
// does not.
func (j *Journal) gather(group []*appending) (_ []*appending, held *appending) {
	count, size := len(group[0].statements), group[0].size
	for {
		select {
		case a := <-j.queue:
			if a.key != "" || count+len(a.statements) > ledger.MaxStatements || size+a.size > maxStatementBytes {
				return group, a
			}
			group, count, size = append(group, a), count+len(a.statements), size+a.size
		default:
			return group, nil
		}
	}
}

func (j *Journal) writeBatch(group []*appending) {
	var r recorded
	var all []ledger.Statement
	for _, a := range group {
		all, r.exact = append(all, a.statements...), append(r.exact, a.exact...)
	}
	b, err := ledger.Sign(j.opt.Key, j.opt.Group, j.author, j.Point(), all)
	if err == nil {
		r.batch = b
		err = j.durable(encodeBatchRecord(r))
	}
	if err == nil {
		j.mu.Lock()
		j.at = ledger.Point{Next: b.Header.Next(), Previous: b.Header.Identity()}
		j.batches = append(j.batches, r)
		close(j.grown)
		j.grown = make(chan struct{})
		j.mu.Unlock()
	}
	first := 0
	for _, a := range group {
		if err != nil {
			a.done <- appended{err: err}
			continue
		}
		a.done <- appended{durable: Durable{Batch: b, First: first, Count: len(a.statements)}}
		first += len(a.statements)
	}
}

func (j *Journal) writeNote(key string, value []byte) error {
	j.mu.Lock()
	n := note{version: j.notes[key].version + 1, value: value}
	j.mu.Unlock()
	if err := j.durable(encodeNoteRecord(key, n)); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.notes[key] = n
	return nil
}

// durable seals a record and returns when two media have fsync'ed it. The third goes on
// behind. With fewer than two good ones the journal stops.
func (j *Journal) durable(plain []byte) error {
	if err := j.Err(); err != nil {
		return err
	}
	rec, err := j.seal.seal(plain)
	if err != nil {
		return j.halt(err)
	}
	acks := make(chan error, len(j.media))
	for _, m := range j.media {
		m.queue <- writing{rec, acks}
	}
	good, faults := 0, []error(nil)
	for range j.media {
		if err := <-acks; err != nil {
			faults = append(faults, err)
			j.opt.Logger.Error("a medium can't be written", "err", err)
			if len(j.media)-len(faults) < quorum {
				return j.halt(errors.Join(faults...))
			}
			continue
		}
		if good++; good == quorum {
			return nil
		}
	}
	return j.halt(errors.Join(faults...))
}

// halt stops the journal for good: a machine with fewer than two media stops at once.
func (j *Journal) halt(cause error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = fmt.Errorf("%w (%w)", ErrStopped, cause)
		close(j.failed)
	}
	return j.err
}

// Close ends the writing and levels the media: all that were written have all records.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return nil
	}
	j.closing = true
	j.mu.Unlock()
	close(j.closed)
	<-j.ended
	return j.detach()
}

func (j *Journal) detach() error {
	var errs []error
	for _, m := range j.media {
		close(m.queue)
		m.done.Wait()
		errs = append(errs, m.f.Close())
	}
	return errors.Join(errs...)
}
