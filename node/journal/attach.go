package journal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"pointage/ledger"
)

// errGone is the fault of a medium that is no longer at its place.
var errGone = errors.New("it is no longer there")

// Look looks whether the media that count are still at their places, without writing. One that is
// not is given up, before a record would have found out; fewer than two stop the journal.
func (j *Journal) Look() {
	for _, m := range j.good() {
		h, problem := j.opt.lookAt(m)
		if problem == nil && h.set == m.seal.set && h.member == m.member {
			continue
		}
		if m.fail(errGone) {
			j.mediumFailed(m)
		}
	}
}

// lookAt reads the header at a medium's place.
func (o *Options) lookAt(m *medium) (*header, *MediumError) {
	at := *o
	at.Media[m.place] = Medium{Path: m.path, Hardware: m.hardware}
	return at.readHeader(m.place)
}

// Attach takes up a medium of the set that was away or had failed. It is read before it is
// written, while appends go on: set, member, generation and hardware, then its records. What only it
// holds and nobody was told of becomes durable and is listed as an orphan; then it is levelled and
// counts again. A medium that counts already stays as it is.
//
// A *MediumError names the medium that does not count and the way out. A *ForkError says that it
// holds another history of this bureau: it was not written, Findings has the evidence, and the
// bureau goes on without it. A journal that has stopped takes nothing up (ErrStopped): the other
// two may be at work elsewhere, and only a new opening decides.
func (j *Journal) Attach(ctx context.Context, at Medium) error {
	if err := j.changes(ctx, func() error { return j.attach(ctx, at) }); err != nil {
		return fmt.Errorf("attach medium: %w", err)
	}
	return nil
}

// changes runs one change of the media at a time.
func (j *Journal) changes(ctx context.Context, change func() error) error {
	select {
	case j.changing <- struct{}{}:
	case <-j.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-j.changing }()
	j.Look()
	if err := j.Err(); err != nil {
		return err
	}
	return change()
}

func (j *Journal) attach(ctx context.Context, at Medium) error {
	good := j.good()
	for _, m := range good {
		if filepath.Clean(at.Path) == filepath.Clean(m.path) {
			return nil
		}
	}
	if len(good) == members {
		return &MediumError{Place: -1, Path: at.Path, Problem: Surplus}
	}
	place, err := j.vacate(ctx, good)
	if err != nil {
		return err
	}
	o := j.opt
	o.Media[place] = at
	m, problem := j.returned(&o, place, good)
	if problem != nil {
		j.setAbsent(problem)
		return problem
	}
	s, err := j.snapshot(ctx)
	if err == nil {
		err = j.takeUp(ctx, m, s)
		j.do(context.WithoutCancel(ctx), func() error { j.since = nil; return nil })
	}
	if err != nil {
		if problem := (*MediumError)(nil); errors.As(err, &problem) && problem.Place == place {
			j.setAbsent(problem)
		}
		return errors.Join(err, m.letGo())
	}
	return j.listOrphans(ctx, s)
}

// vacate takes the medium that has failed off, if there is one, and says which place is free. The
// old medium's goroutine must have ended: a write that hung could otherwise still fall
// into what is now read and levelled.
func (j *Journal) vacate(ctx context.Context, good []*medium) (place int, err error) {
	taken := [members]bool{}
	for _, m := range good {
		taken[m.place] = true
	}
	place = slices.Index(taken[:], false)
	for _, m := range j.written() {
		if m.failure() == nil {
			continue
		}
		m.endWhenLevel()
		select {
		case <-m.ended:
		case <-ctx.Done():
			return 0, fmt.Errorf("%v: its last write has not come back, take it out and put it in again: %w", m.status().Fault, ctx.Err())
		}
		j.takeOff(m, &MediumError{Place: place, Path: m.path, Problem: Failed, Err: m.failure()})
	}
	return place, nil
}

// takeOff removes a medium from those that are attached.
func (j *Journal) takeOff(m *medium, why *MediumError) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.media = slices.DeleteFunc(slices.Clone(j.media), func(x *medium) bool { return x == m })
	j.absent = append(slices.Clone(j.absent), why)
}

// setAbsent says why the medium at the free place does not count.
func (j *Journal) setAbsent(why *MediumError) {
	j.opt.Logger.Warn("journal: a medium is not taken up", "err", why)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.absent = []*MediumError{why} // two count, so there is one such place
	if why.Problem != Absent {
		j.find(Finding{Kind: NotCounted, Member: why.Place, What: why.Error()})
	}
}

// find is called with mu held. The same thing is found once.
func (j *Journal) find(found ...Finding) {
	for _, f := range found {
		if !slices.ContainsFunc(j.findings, func(x Finding) bool { return x.Kind == f.Kind && x.Member == f.Member && x.What == f.What }) {
			j.findings = append(j.findings, f)
		}
	}
}

// returned opens the medium at a place if it is one of the set that is missing.
func (j *Journal) returned(o *Options, place int, good []*medium) (*medium, *MediumError) {
	h, problem := o.readHeader(place)
	if problem != nil {
		return nil, problem
	}
	fail := func(p Problem, detail string) (*medium, *MediumError) {
		return nil, &MediumError{Place: place, Path: o.Media[place].Path, Problem: p, Detail: detail}
	}
	if !j.claim.takes(h) {
		return fail(j.claim.outside(h))
	}
	if slices.ContainsFunc(good, func(m *medium) bool { return m.member == h.member }) {
		return fail(Twin, fmt.Sprintf("member %d", h.member))
	}
	m := o.medium(place, h)
	return m, m.open(o)
}

// letGo closes a medium that was not taken up.
func (m *medium) letGo() error {
	if m.f == nil {
		return nil
	}
	return m.f.Close()
}

// listOrphans states the tails that taking a medium up has found.
func (j *Journal) listOrphans(ctx context.Context, s *snapshot) error {
	var bodies []ledger.Body
	for i := range s.orphans {
		bodies = append(bodies, &s.orphans[i])
	}
	for some := range slices.Chunk(bodies, ledger.MaxStatements) {
		if _, err := j.Append(ctx, some...); err != nil {
			return err
		}
	}
	return nil
}
