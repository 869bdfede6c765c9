package journal

import (
	"errors"
	"fmt"
	"slices"

	"pointage/ledger"
)

// History is what the media of one bureau and incarnation hold together, read without writing. It
// keeps their files open until Close.
type History struct {
	// Generation is the newest one that is there; Media has bit m set for each member m of it
	// that was read.
	Generation uint32
	Media      uint8
	// Problems are the places that don't count, and why. What can be read of them with the
	// bureau's keys was read all the same: a batch proves itself.
	Problems []*MediumError
	// Findings tell of tails beside the chain, of forks, of batches that are missing and of
	// damage. Their media are the indexes in Options.Media.
	Findings []Finding

	opt     *Options
	u       *union
	readers []*medium
	h       history
	missing error
}

// Read reads the media that are attached, one at least, and writes nothing: an incarnation's old
// media at a new one (Settle), or an isolated bureau's keys at the principal bureau in the evening. Of
// the options it needs Group, Bureau, Incarnation, JournalKey and Media.
//
// It refuses only when no medium can be read; each *MediumError says why. Media that hold two
// histories are read whole: Findings has the forks.
func Read(o Options) (*History, error) {
	h, err := read(o)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return h, nil
}

func read(o Options) (*History, error) {
	if err := o.places(); err != nil {
		return nil, err
	}
	h := &History{opt: &o}
	j := &Journal{opt: o} // to choose with
	var found []*medium
	for i := range o.Media {
		head, problem := o.readHeader(i)
		if problem != nil {
			j.notCounted(problem)
			continue
		}
		found = append(found, o.medium(i, head))
	}
	counted := j.choose(found)
	h.Generation, h.Problems = j.claim.generation, j.absent
	members := map[int]int{} // of those that count, by place
	for _, m := range counted {
		members[m.place] = m.member
	}
	for _, m := range found {
		m.member = m.place // two may be the same member; in the union each has its own number
		if problem := m.openFor(&o, toRead); problem != nil {
			h.Problems = append(h.Problems, problem)
			continue
		}
		h.readers = append(h.readers, m)
	}
	err := h.scan()
	if err == nil {
		err = h.order()
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	for _, m := range h.readers {
		if member, ok := members[m.place]; ok {
			h.Media |= 1 << member
		}
	}
	return h, nil
}

// scan reads all that can be read into one union.
func (h *History) scan() error {
	for len(h.readers) > 0 {
		h.u, h.Findings = newUnion(h.opt), nil
		var cause error
		bad := slices.IndexFunc(h.readers, func(m *medium) bool {
			s, err := m.scan(h.u)
			h.Findings, cause = append(h.Findings, s.found...), err
			m.synced = s.end
			return err != nil
		})
		if bad < 0 {
			return nil
		}
		m := h.readers[bad]
		problem := &MediumError{Place: m.place, Path: m.path, Problem: Unreadable, Err: errors.Join(cause, m.f.Close())}
		if errors.Is(cause, errRecord) {
			problem.Problem = Damaged
		}
		h.Problems, h.readers = append(h.Problems, problem), slices.Delete(h.readers, bad, bad+1)
	}
	var all faults
	for _, p := range h.Problems {
		all = append(all, p)
	}
	return fmt.Errorf("none of the bureau's media can be read: %w", all)
}

// order puts the batches in order. Where some are missing, the chain is that of those that have all
// before them, and the rest is beside it.
func (h *History) order() error {
	order, lost, err := h.u.link()
	if err != nil {
		return err
	}
	h.missing = gap(lost)
	if len(order) > 0 {
		h.h = *past(order, slices.MaxFunc(order, (*node).compare))
	}
	h.h.off = append(h.h.off, h.u.below(lost)...)
	if h.missing != nil {
		// What stood where batches are missing may explain how the others lie.
		for i := range h.h.found {
			h.h.found[i].Kind = Orphaned
		}
		h.h.found = append(h.h.found, h.doubles()...)
	}
	h.Findings = append(h.Findings, h.h.found...)
	for _, n := range lost {
		h.Findings = append(h.Findings, Finding{
			Kind: Missing, Member: -1,
			What: fmt.Sprintf("batches before statement %d of session %x are on none of the media", n.first, n.author.Session[:4]),
		})
	}
	return nil
}

// doubles are the places where one session signed two batches: a clone's doing whatever else is
// missing.
func (h *History) doubles() (forks []Finding) {
	type place struct {
		session  ledger.SessionID
		previous ledger.Hash
	}
	seen := map[place]*node{}
	for _, n := range append(slices.Clone(h.h.chain), h.h.off...) {
		at := place{n.author.Session, n.previous}
		first := seen[at]
		if first == nil {
			seen[at] = n
			continue
		}
		forks = append(forks, Finding{
			Kind: Forked, Member: -1, Tail: &ledger.Orphan{Head: n.head(), From: n.first}, Headers: [2][]byte{first.signed, n.signed},
			What: fmt.Sprintf("session %x has two batches at statement %d, on media %s and %s", n.author.Session[:4], n.first, first.held.at, n.held.at),
		})
	}
	return forks
}

// Complete is nil when the history is whole: two media of the newest generation were read, no
// batch is missing, and there is no fork. Otherwise one line says what is wanting.
func (h *History) Complete() error {
	if n := h.counted(); n < quorum {
		return &TooFewError{n, h.Problems}
	}
	if h.missing != nil {
		return h.missing
	}
	return h.h.fork()
}

func (h *History) counted() (n int) {
	for m := range members {
		n += int(h.Media>>m) & 1
	}
	return n
}

// Head is the chain's end, nil when there is no batch.
func (h *History) Head() *ledger.Head {
	if len(h.h.chain) == 0 {
		return nil
	}
	head := h.h.chain[len(h.h.chain)-1].head()
	return &head
}

// Replay calls f for the chain's batches in their order, with the exact times of their statements.
func (h *History) Replay(f func(b *ledger.Batch, exact []ledger.Instant) error) error {
	return h.each(h.h.chain, func(r recorded) error { return f(r.batch, r.exact) })
}

// Beside calls f for the batches that are not in the chain: orphans, forks, and those before
// which some are missing. A batch comes after the one that it goes on from, if that is there.
func (h *History) Beside(f func(b *ledger.Batch, exact []ledger.Instant) error) error {
	return h.each(h.h.off, func(r recorded) error { return f(r.batch, r.exact) })
}

// everything calls f for what an incarnation after this one takes over: what this one inherited,
// its chain, and what is beside it.
func (h *History) everything(f func(recorded) error) error {
	for _, x := range h.u.inherited {
		r, err := load(h.readers, x.held.at)
		if err == nil {
			err = f(r)
		}
		if err != nil {
			return err
		}
	}
	if err := h.each(h.h.chain, f); err != nil {
		return err
	}
	return h.each(h.h.off, f)
}

func (h *History) each(nodes []*node, f func(recorded) error) error {
	for _, n := range nodes {
		r, err := load(h.readers, n.held.at)
		if err == nil {
			err = f(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close closes the media's files.
func (h *History) Close() error {
	var errs []error
	for _, m := range h.readers {
		errs = append(errs, m.f.Close())
	}
	h.readers = nil
	return errors.Join(errs...)
}
