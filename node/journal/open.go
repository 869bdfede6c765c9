package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"pointage/ledger"
)

// Open reads all attached media, writes the union of their records back, and opens a new
// session; it returns when the session's first batch is durable. It needs two media of the
// newest generation that it sees; a *TooFewError names those that don't count and what
// to do, ErrGap says that the third one is needed, and a *ForkError that there was a clone.
//
// Its caller sees to it that one program at a time has the media open.
func Open(o Options) (*Journal, error) {
	j, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
}

func open(o Options) (*Journal, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	j := &Journal{
		opt: o, author: ledger.Author{Bureau: o.Bureau, Incarnation: o.Incarnation},
		queue: make(chan *appending, maxWaiting), closing: make(chan struct{}), ended: make(chan struct{}),
		failed: make(chan struct{}), grown: make(chan struct{}),
	}
	if err := j.mount(); err != nil {
		return nil, err
	}
	u, err := j.read()
	if err != nil {
		return nil, errors.Join(err, j.closeFiles())
	}
	h, err := u.history()
	if err != nil {
		return nil, errors.Join(err, j.closeFiles())
	}
	mask := j.mask() // of those that were read, also when one can't be written
	if err := j.level(u); err != nil {
		return nil, errors.Join(err, j.closeFiles())
	}
	j.adopt(u, h)
	for _, m := range j.media {
		m.onFault = j.mediumFailed
		j.writers.Go(m.run)
	}
	if err := j.begin(u, h, mask); err != nil {
		return nil, errors.Join(err, j.detach())
	}
	for _, f := range j.findings {
		o.Logger.Warn("journal: opening found something", "kind", f.Kind.String(), "member", f.Member, "what", f.What)
	}
	go j.write()
	return j, nil
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, m := range j.media {
		errs = append(errs, m.f.Close())
	}
	return errors.Join(errs...)
}

func (j *Journal) mask() (mask uint8) {
	for _, m := range j.media {
		mask |= 1 << m.member
	}
	return mask
}

// leaveOut takes a medium off, closes it, and says why.
func (j *Journal) leaveOut(m *medium, problem Problem, cause error) {
	j.media = slices.DeleteFunc(j.media, func(x *medium) bool { return x == m })
	if err := m.f.Close(); err != nil {
		cause = errors.Join(cause, err)
	}
	j.notCounted(&MediumError{Place: m.place, Path: m.path, Problem: problem, Err: cause})
}

func (j *Journal) notCounted(e *MediumError) {
	j.absent = append(j.absent, e)
	if e.Problem != Absent {
		j.findings = append(j.findings, Finding{Kind: NotCounted, Member: e.Place, What: e.Error()})
	}
}

// enough is a *TooFewError when fewer than two media are left.
func (j *Journal) enough() error {
	if len(j.media) < quorum {
		return &TooFewError{len(j.media), j.absent}
	}
	return nil
}

// mount picks the media that count and opens their records.
func (j *Journal) mount() error {
	var found []*medium
	for i, at := range j.opt.Media {
		h, problem := j.opt.readHeader(i)
		if problem != nil {
			j.notCounted(problem)
			continue
		}
		found = append(found, &medium{place: i, member: h.member, path: at.Path, header: h, wake: make(chan struct{}, 1)})
	}
	for _, m := range j.choose(found) {
		name := filepath.Join(m.path, recordsFile)
		f, err := j.opt.files.Open(name, toWrite)
		if err != nil { // under a write protection it can still be read
			f, err = j.opt.files.Open(name, toRead)
		}
		if err != nil {
			problem := &MediumError{Place: m.place, Path: m.path, Problem: Unreadable, Err: err}
			if errors.Is(err, fs.ErrNotExist) {
				problem.Problem, problem.Detail = Damaged, "its records are gone"
			}
			j.notCounted(problem)
			continue
		}
		m.f, m.seal = f, newSealer(j.opt.JournalKey, m.header.set)
		j.media = append(j.media, m)
	}
	if err := j.enough(); err != nil {
		return errors.Join(err, j.closeFiles())
	}
	slices.SortFunc(j.media, func(a, b *medium) int { return a.member - b.member })
	j.generation = j.media[0].header.generation
	return nil
}

// choose takes the set that has the most members of its newest generation, the first when
// there are two such; the others' media don't count.
func (j *Journal) choose(found []*medium) (chosen []*medium) {
	newest := map[[16]byte]uint32{}
	for _, m := range found {
		newest[m.header.set] = max(newest[m.header.set], m.header.generation)
	}
	current := func(m *medium) bool { return m.header.generation == newest[m.header.set] }
	var set [16]byte
	most := 0
	for _, m := range found {
		n := 0
		for _, x := range found {
			if current(x) && x.header.set == m.header.set {
				n++
			}
		}
		if n > most {
			set, most = m.header.set, n
		}
	}
	for _, m := range found {
		problem := &MediumError{Place: m.place, Path: m.path}
		switch {
		case m.header.set != set:
			problem.Problem = OtherSet
		case !current(m):
			problem.Problem, problem.Detail = OldGeneration, fmt.Sprintf("generation %d, the newest is %d", m.header.generation, newest[set])
		case slices.ContainsFunc(found, func(x *medium) bool {
			return x != m && x.header.set == set && current(x) && (x.member == m.member || x.header.hardware != m.header.hardware)
		}):
			problem.Problem, problem.Detail = Twin, fmt.Sprintf("member %d", m.member)
		default:
			chosen = append(chosen, m)
			continue
		}
		j.notCounted(problem)
	}
	return chosen
}

// read takes the union of what the media hold. A medium that can't be read to its end is
// left out whole, as if absent.
func (j *Journal) read() (*union, error) {
	for {
		u := newUnion(&j.opt)
		found, m, err := j.scan(u)
		if m == nil {
			j.findings = append(j.findings, found...)
			return u, nil
		}
		problem := Unreadable
		if errors.Is(err, errRecord) {
			problem = Damaged
		}
		j.leaveOut(m, problem, err)
		if err := j.enough(); err != nil {
			return nil, err
		}
	}
}

// scan reads all media into the union; bad is the first that can't be read.
func (j *Journal) scan(u *union) (found []Finding, bad *medium, err error) {
	for _, m := range j.media {
		s, err := m.scan(u)
		if err != nil {
			return nil, m, err
		}
		m.end, m.number, found = s.end, s.number, append(found, s.found...)
	}
	return found, nil, nil
}

// level makes every medium hold the union, before anything else, and fsyncs each: what was
// read may have been in the machine's memory only.
func (j *Journal) level(u *union) error {
	all := slices.Clone(j.media)
	var failed []*medium
	faults := map[*medium]error{}
	for _, m := range all {
		if err := j.levelOne(m, all, u); err != nil {
			failed, faults[m] = append(failed, m), err
		}
	}
	// Only now: the others may have been levelled from a medium that can't be written.
	for _, m := range failed {
		j.leaveOut(m, Unwritable, faults[m])
	}
	return j.enough()
}

// levelOne writes on a medium what only others hold. Torn bytes go first: a crash before the
// fsync leaves them, or nothing, or part of a record, which is torn again.
func (j *Journal) levelOne(m *medium, all []*medium, u *union) error {
	size, err := m.f.Size()
	if err == nil && size > m.end {
		err = m.f.Truncate(m.end)
	}
	if err != nil {
		return err
	}
	var buf []byte
	start, missing := m.end, 0
	at, number := m.end, m.number
	for _, h := range u.order {
		if h.at[m.member].n > 0 {
			continue
		}
		plain, err := readAny(all, h.at)
		if err != nil {
			return err
		}
		var n nonce
		if err := j.draw(&n); err != nil {
			return err
		}
		buf = m.seal.appendFrame(buf, number, n, plain)
		h.at[m.member].off, h.at[m.member].n = at, int32(frameLen(plain))
		at, number, missing = at+int64(frameLen(plain)), number+1, missing+1
		if len(buf) >= maxWrite {
			if _, err := m.f.WriteAt(buf, start); err != nil {
				return err
			}
			buf, start = buf[:0], at
		}
	}
	if len(buf) > 0 {
		if _, err := m.f.WriteAt(buf, start); err != nil {
			return err
		}
	}
	if err := m.f.Sync(); err != nil {
		return err
	}
	m.end, m.number, m.synced = at, number, at
	if missing > 0 {
		j.findings = append(j.findings, Finding{Kind: Levelled, Member: m.member, What: fmt.Sprintf("%d records were written on it that only the others had", missing)})
	}
	return nil
}

// readAny reads a record from whichever medium can give it.
func readAny(media []*medium, at spans) ([]byte, error) {
	var errs []error
	for _, m := range media {
		if s := at[m.member]; s.n > 0 {
			plain, err := m.read(s.off, s.n)
			if err == nil {
				return plain, nil
			}
			errs = append(errs, err)
		}
	}
	if errs == nil {
		panic("a record of the union stands on no medium")
	}
	return nil, errors.Join(errs...)
}

func (j *Journal) draw(n *nonce) error {
	if _, err := io.ReadFull(j.opt.Random, n[:]); err != nil {
		return fmt.Errorf("draw nonce: %w", err)
	}
	return nil
}

// adopt takes over what opening decided; nothing is concurrent yet.
func (j *Journal) adopt(u *union, h *history) {
	for _, n := range h.chain {
		j.chain = append(j.chain, entry{at: n.held.at})
	}
	for _, n := range h.off {
		j.off = append(j.off, entry{at: n.held.at})
	}
	j.notes, j.round = u.notes, u.newest+1
	j.findings = append(j.findings, h.found...)
}

// begin draws the session and makes its round durable, then its first batch: in this order,
// so that no other session with a batch ever has the same round (union.history).
func (j *Journal) begin(u *union, h *history, mask uint8) error {
	id := &j.author.Session
	if _, err := io.ReadFull(j.opt.Random, id[:]); err != nil {
		return fmt.Errorf("draw session: %w", err)
	}
	if _, known := u.rounds[*id]; known {
		return fmt.Errorf("session %x was drawn a second time: the machine's random numbers can't be trusted", *id)
	}
	if _, err := j.commit(round{j.round, *id}.encode()); err != nil {
		return err
	}
	opened := &ledger.SessionOpened{Generation: j.generation, Media: mask, Unfenced: j.opt.Unfenced}
	if len(h.chain) > 0 {
		head := h.chain[len(h.chain)-1].head()
		opened.Continues, j.point.Previous = &head, head.Hash
	}
	bodies := []ledger.Body{opened}
	for i := range h.unlisted {
		bodies = append(bodies, &h.unlisted[i])
	}
	for some := range slices.Chunk(bodies, ledger.MaxStatements) {
		a, err := j.appending(some)
		if err != nil {
			return err
		}
		if _, err := j.writeBatch([]*appending{a}); err != nil {
			return err
		}
	}
	return nil
}
