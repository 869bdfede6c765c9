package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pointage/ledger"
)

// since is what the writer makes durable while a medium is being read. A nil one keeps nothing.
type since struct {
	records []sinceRecord
	bytes   int64
}

type sinceRecord struct {
	plain []byte
	// batch is the index in the chain, -1 for a note.
	batch int
}

// maxSince is how many bytes of records wait for a medium that is being read.
const maxSince = maxBehind

func (s *since) add(plain []byte, batch int) {
	if s == nil || s.bytes > maxSince {
		return
	}
	s.records, s.bytes = append(s.records, sinceRecord{plain, batch}), s.bytes+int64(frameLen(plain))
}

// errOutrun is the fault of taking up a medium while very much is recorded.
var errOutrun = fmt.Errorf("the bureau recorded more than %d bytes while the medium was read: attach it again at a quieter moment", maxSince)

// snapshot is the journal at one moment between two records; from then on since gathers.
type snapshot struct {
	// sources are readers of media that held everything, each up to its limit.
	sources []*medium
	// batches is the chain's length, head its last batch.
	batches int
	head    ledger.Hash
	// orphans are what was found and not listed yet.
	orphans []ledger.Orphan
}

func (j *Journal) snapshot(ctx context.Context) (s *snapshot, err error) {
	err = j.do(ctx, func() error {
		s = &snapshot{batches: j.Behind(0), head: j.Point().Previous}
		for _, m := range j.good() {
			if m.level() { // two are: the last record was not durable before
				s.sources = append(s.sources, m.reader())
			}
		}
		if len(s.sources) == 0 {
			return fmt.Errorf("no medium holds everything yet: %w", j.faults())
		}
		j.since = new(since)
		return nil
	})
	return s, err
}

// flush waits until media hold all that they were given.
func flush(ctx context.Context, media []*medium) error {
	done := make(chan error, len(media))
	for _, m := range media {
		if !m.flush(done) {
			return m.status().Fault
		}
	}
	for range media {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("wait for the media at work: %w", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reader reads what the medium holds now while its goroutine goes on.
func (m *medium) reader() *medium {
	return &medium{place: m.place, member: m.member, path: m.path, seal: m.seal, f: m.f, limit: m.end}
}

// unite reads the sources and, unless it is nil, the medium m into one union. A source that can't
// be read is passed over as long as another one can.
func (j *Journal) unite(s *snapshot, m *medium) (u *union, found []Finding, err error) {
	var last error
	for len(s.sources) > 0 {
		u = newUnion(&j.opt)
		bad := slices.IndexFunc(s.sources, func(x *medium) bool {
			_, last = x.scan(u)
			return last != nil
		})
		if bad >= 0 {
			s.sources = slices.Delete(s.sources, bad, bad+1)
			continue
		}
		if m == nil {
			return u, nil, nil
		}
		r, err := m.scan(u)
		if err != nil {
			problem := Unreadable
			if errors.Is(err, errRecord) {
				problem = Damaged
			}
			return nil, nil, &MediumError{Place: m.place, Path: m.path, Problem: problem, Err: err}
		}
		m.end, m.number = r.end, r.number
		return u, r.found, nil
	}
	return nil, nil, fmt.Errorf("read the media at work: %w", last)
}

// takeUp reads a returned medium, levels it, and lets it count. Until levelOne it is only
// read; a crash after that leaves on it a part of what the others have.
func (j *Journal) takeUp(ctx context.Context, m *medium, s *snapshot) error {
	u, found, err := j.unite(s, m)
	if err != nil {
		return err
	}
	h, err := u.historyOf(s.head)
	if fork := (*ForkError)(nil); errors.As(err, &fork) {
		j.mu.Lock()
		j.find(fork.Forks...)
		j.mu.Unlock()
		j.setAbsent(&MediumError{Place: m.place, Path: m.path, Problem: OtherHistory})
	}
	if err != nil {
		return err
	}
	if u.newest > j.round {
		return &MediumError{Place: m.place, Path: m.path, Problem: Elsewhere}
	}
	if len(h.chain) != s.batches {
		panic(fmt.Sprintf("the chain has %d batches, the media at work gave %d", s.batches, len(h.chain)))
	}
	levelled, err := j.levelOne(m, append(slices.Clone(s.sources), m), u)
	if err == nil {
		found = append(found, levelled...)
		levelled, err = j.bringUp(m)
		found = append(found, levelled...)
	}
	if err != nil {
		return &MediumError{Place: m.place, Path: m.path, Problem: Unwritable, Err: err}
	}
	s.orphans = h.unlisted
	if err := j.do(ctx, func() error { return j.join(m, u, h) }); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.find(append(found, h.found...)...)
	j.opt.Logger.Info("journal: a medium was taken up", "member", m.member, "findings", len(found)+len(h.found))
	return nil
}

// join lets a levelled medium count, on the writer's goroutine. What only it has is made durable
// before, and what was recorded since it was read waits for it as behind any slow medium.
func (j *Journal) join(m *medium, u *union, h *history) error {
	gathered := j.since
	j.since = nil
	if err := j.Err(); err != nil {
		return err
	}
	for _, x := range u.order {
		if !x.at.only(m.member) {
			continue
		}
		plain, err := m.read(x.at[m.member].off, x.at[m.member].n)
		if err != nil {
			return &MediumError{Place: m.place, Path: m.path, Problem: Unreadable, Err: err}
		}
		at, err := j.commit(plain)
		if err != nil {
			return err
		}
		at[m.member] = x.at[m.member]
		x.at = at
	}
	jobs, late, err := j.late(m, gathered)
	if err != nil {
		return err
	}
	m.queued(jobs)
	m.queue = jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stands(m, u, h, gathered, late)
	for k, n := range u.notes {
		if old, ok := j.notes[k]; !ok || n.newer(&old) {
			j.notes[k] = n
		}
	}
	j.start(m)
	return nil
}

// late are the jobs that bring the medium from where it was read to the present, and where their
// records will stand.
func (j *Journal) late(m *medium, gathered *since) (jobs []job, at []int64, err error) {
	if gathered.bytes > maxSince {
		return nil, nil, errOutrun
	}
	end, number := m.end, m.number
	for _, r := range gathered.records {
		x := job{plain: r.plain, number: number, size: int64(frameLen(r.plain))}
		if err := j.draw(&x.nonce); err != nil {
			return nil, nil, err
		}
		jobs, at = append(jobs, x), append(at, end)
		end, number = end+x.size, number+1
	}
	return jobs, at, nil
}

// queued counts jobs in that enqueue did not see; run has not begun.
func (m *medium) queued(jobs []job) {
	for _, x := range jobs {
		m.end, m.number, m.waits = m.end+x.size, m.number+1, m.waits+x.size
	}
	m.signal()
}

// stands notes where the batches are on a medium that is taken up; mu is held.
func (j *Journal) stands(m *medium, u *union, h *history, gathered *since, late []int64) {
	for i, n := range h.chain {
		j.chain[i].at[m.member] = n.held.at[m.member]
	}
	for i, r := range gathered.records {
		if r.batch >= 0 {
			j.chain[r.batch].at[m.member] = span{late[i], int32(frameLen(r.plain))}
		}
	}
	j.off = nil
	for _, n := range h.off {
		j.off = append(j.off, entry{at: n.held.at})
	}
	j.inherit(u)
}

// start lets a medium's goroutine write it; mu is held.
func (j *Journal) start(m *medium) {
	m.onFault = j.mediumFailed
	j.media = append(slices.Clone(j.media), m)
	slices.SortFunc(j.media, byMember)
	j.absent = slices.DeleteFunc(slices.Clone(j.absent), func(e *MediumError) bool { return e.Place == m.place })
	j.writers.Go(m.run)
}

// only says whether the record stands on this member alone.
func (s spans) only(member int) bool {
	for m := range s {
		if (s[m].n > 0) != (m == member) {
			return false
		}
	}
	return true
}
