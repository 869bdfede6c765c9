package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// errReplaced ends the writing of a medium whose place another one has.
var errReplaced = errors.New("it was replaced")

// replacement is the change of one medium.
type replacement struct {
	member    int
	next      claim
	survivors []*medium
	// old is the medium that is replaced, nil when it is not attached.
	old *medium
	// m is the new one; it holds all records before the survivors hear of it.
	m *medium
	// u and h say where the records stand on it.
	u *union
	h *history
}

// Replace gives a member's place in the set to a blank medium: that of a broken or lost key, or,
// with both keys at work, that of the disk of a spare machine. The other two must be at work.
// Appends go on but for the moment in which the headers are written.
//
// The new medium gets a copy of all records. Then generation n+1, which names it, is made durable
// on one survivor and on the other; then it gets its own header. A crash before the first leaves the
// old set, one after it leaves the new one without its third medium, which Replace takes
// up again. The replaced medium never counts again.
//
// A *MediumError names the medium and the way out, a *TooFewError the survivor that is missing.
// After an error the set is as it was or of generation n+1 without its third; ErrStopped says that
// the survivors may differ, which the next opening mends.
func (j *Journal) Replace(ctx context.Context, member int, by Medium) error {
	if err := j.changes(ctx, func() error { return j.replace(ctx, member, by) }); err != nil {
		return fmt.Errorf("replace medium %d: %w", member, err)
	}
	return nil
}

func (j *Journal) replace(ctx context.Context, member int, by Medium) error {
	r := &replacement{member: member, next: j.claim}
	taken := [members]bool{}
	for _, m := range j.written() {
		switch {
		case m.member == member:
			r.old = m
		case m.failure() == nil:
			r.survivors, taken[m.place] = append(r.survivors, m), true
		}
	}
	if member < 0 || member >= members {
		return fmt.Errorf("the members are 0, 1 and 2")
	}
	if len(r.survivors) < quorum {
		return &TooFewError{len(r.survivors), j.problems()}
	}
	o, place := j.opt, slices.Index(taken[:], false)
	o.Media[place] = by
	if problem := j.prepare(&o, r, place); problem != nil {
		return problem
	}
	err := j.copyTo(ctx, &o, r)
	if err == nil {
		err = j.do(ctx, func() error { return j.swap(r) })
	}
	j.do(context.WithoutCancel(ctx), func() error { j.since = nil; return nil })
	if err != nil {
		return errors.Join(err, r.m.letGo())
	}
	j.opt.Logger.Info("journal: a medium was replaced", "member", member, "generation", r.next.generation)
	return nil
}

// problems says of each place that does not count why.
func (j *Journal) problems() (out []*MediumError) {
	j.mu.Lock()
	media := j.media
	out = slices.Clone(j.absent)
	j.mu.Unlock()
	for _, m := range media {
		if err := m.failure(); err != nil {
			out = append(out, &MediumError{Place: m.place, Path: m.path, Problem: Failed, Err: err})
		}
	}
	return out
}

// prepare looks at the new medium and makes the next generation's claim.
func (j *Journal) prepare(o *Options, r *replacement, place int) error {
	by := o.Media[place]
	fail := func(p Problem) error { return &MediumError{Place: place, Path: by.Path, Problem: p} }
	for _, m := range r.survivors {
		if by.Path != "" && filepath.Clean(by.Path) == filepath.Clean(m.path) {
			return fail(Formerly)
		}
	}
	if _, problem := o.used(place); problem != nil {
		return problem
	}
	if len(by.Hardware) > maxHardware {
		return fmt.Errorf("hardware identity of %d bytes, at most %d", len(by.Hardware), maxHardware)
	}
	hardware := by.Hardware
	if hardware == "" {
		var err error
		if hardware, err = o.drawHardware(); err != nil {
			return err
		}
	}
	if slices.Contains(j.claim.hardware[:], hardware) {
		return fail(Formerly)
	}
	r.next.generation++
	r.next.hardware[r.member] = hardware
	r.m = o.medium(place, r.next.header(r.member, o.binding()))
	r.m.seal = newSealer(o.JournalKey, r.next.set)
	return nil
}

// copyTo writes all that the survivors hold on the new medium. A crash leaves files without a
// header, which never count; the next Replace writes over them.
func (j *Journal) copyTo(ctx context.Context, o *Options, r *replacement) error {
	s, err := j.snapshot(ctx)
	if err != nil {
		return err
	}
	// What the old one holds has the same member number, and would pass for the new one's.
	s.sources = slices.DeleteFunc(s.sources, func(m *medium) bool { return m.member == r.member })
	u, _, err := j.unite(s, nil)
	if err != nil {
		return err
	}
	r.u = u
	if r.h, err = u.historyOf(s.head); err != nil {
		return err
	}
	m := r.m
	if err := o.leftOver(m, u); err != nil {
		return err
	}
	unwritable := func(err error) error {
		return &MediumError{Place: m.place, Path: m.path, Problem: Unwritable, Err: err}
	}
	name := filepath.Join(m.path, recordsFile)
	if m.f, err = o.files.Open(name+".new", toMake); err != nil {
		return unwritable(err)
	}
	if err := m.f.Truncate(0); err != nil {
		return unwritable(err)
	}
	if _, err := j.levelOne(m, append(slices.Clone(s.sources), m), u); err != nil {
		return unwritable(err)
	}
	if err := o.files.Rename(name+".new", name); err != nil {
		return unwritable(err)
	}
	if o.Media[m.place].Hardware == "" {
		err = replace(o.files, filepath.Join(m.path, hardwareFile), []byte(r.next.hardware[r.member]))
	} else {
		err = o.files.SyncDir(m.path)
	}
	if err != nil {
		return unwritable(err)
	}
	// Most of what the survivors are behind is written before the writer waits for it.
	return flush(ctx, r.survivors)
}

// leftOver refuses a medium with records but no header, unless a replacement that was cut has left
// them: then some open, and the set has all that do.
func (o *Options) leftOver(m *medium, u *union) error {
	f, err := o.files.Open(filepath.Join(m.path, recordsFile), toRead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	problem := &MediumError{Place: m.place, Path: m.path, Problem: Unreadable, Err: err}
	if err != nil {
		return problem
	}
	there := newUnion(o)
	s, err := (&medium{member: m.member, seal: m.seal, f: f}).scan(there)
	if err = errors.Join(err, f.Close()); err != nil {
		problem.Err = err
		return problem
	}
	known := s.size == 0 || len(there.records) > 0
	for sum := range there.records {
		known = known && u.records[sum] != nil
	}
	if !known {
		problem.Problem = Occupied
		return problem
	}
	return nil
}

// swap changes the generation, on the writer's goroutine: no record is under way. First the
// survivors and the new medium hold everything that is durable, so that any two of the three do.
func (j *Journal) swap(r *replacement) error {
	gathered := j.since
	j.since = nil
	if err := j.Err(); err != nil {
		return err
	}
	jobs, late, err := j.late(r.m, gathered)
	if err != nil {
		return err
	}
	if err := flush(context.Background(), r.survivors); err != nil {
		return err
	}
	m := r.m
	problem := &MediumError{Place: m.place, Path: m.path, Problem: Unwritable}
	if problem.Err = m.write(jobs, m.synced); problem.Err != nil {
		return problem
	}
	m.queued(jobs)
	m.wrote(jobs, nil, 0)
	if err := j.turn(r); err != nil {
		return err
	}
	problem.Err = replace(j.opt.files, filepath.Join(m.path, headerFile), m.header.encode(j.opt.JournalKey))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stands(m, r.u, r.h, gathered, late)
	if problem.Err != nil {
		j.absent = []*MediumError{problem}
		return problem
	}
	j.start(m)
	return nil
}

// turn makes the next generation durable on the survivors and lets go of the old medium. One
// survivor alone in the new generation can only go on together with the other: so when that one fails
// the journal stops, although the old medium might still be there.
func (j *Journal) turn(r *replacement) error {
	for i, s := range r.survivors {
		h := r.next.header(s.member, s.header.binding)
		err := replace(j.opt.files, filepath.Join(s.path, headerFile), h.encode(j.opt.JournalKey))
		if err == nil {
			continue
		}
		if s.fail(err) {
			j.mediumFailed(s)
		}
		if i > 0 {
			j.halt(j.faults())
		}
		if stopped := j.Err(); stopped != nil {
			return stopped
		}
		return s.status().Fault
	}
	for _, s := range r.survivors {
		s.header = r.next.header(s.member, s.header.binding)
	}
	j.claim = r.next
	if r.old != nil {
		j.takeOff(r.old, &MediumError{Place: r.old.place, Path: r.old.path, Problem: OldGeneration})
		r.old.fail(errReplaced)
		r.old.endWhenLevel()
	}
	return nil
}
