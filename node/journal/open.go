package journal

import (
	"errors"
	"fmt"
	"io"
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
		failed: make(chan struct{}), grown: make(chan struct{}), changing: make(chan struct{}, 1),
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
// read may have been in the machine's memory only. Then each is of the present generation.
func (j *Journal) level(u *union) error {
	all := slices.Clone(j.media)
	var failed []*medium
	faults := map[*medium]error{}
	for _, m := range all {
		found, err := j.levelOne(m, all, u)
		j.findings = append(j.findings, found...)
		if err != nil {
			failed, faults[m] = append(failed, m), err
		}
	}
	for _, m := range all {
		if faults[m] != nil {
			continue
		}
		found, err := j.bringUp(m)
		j.findings = append(j.findings, found...)
		if err != nil {
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
func (j *Journal) levelOne(m *medium, all []*medium, u *union) (found []Finding, err error) {
	size, err := m.f.Size()
	if err == nil && size > m.end {
		err = m.f.Truncate(m.end)
	}
	if err != nil {
		return nil, err
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
			return nil, err
		}
		var n nonce
		if err := j.draw(&n); err != nil {
			return nil, err
		}
		buf = m.seal.appendFrame(buf, number, n, plain)
		h.at[m.member].off, h.at[m.member].n = at, int32(frameLen(plain))
		at, number, missing = at+int64(frameLen(plain)), number+1, missing+1
		if len(buf) >= maxWrite {
			if _, err := m.f.WriteAt(buf, start); err != nil {
				return nil, err
			}
			buf, start = buf[:0], at
		}
	}
	if len(buf) > 0 {
		if _, err := m.f.WriteAt(buf, start); err != nil {
			return nil, err
		}
	}
	if err := m.f.Sync(); err != nil {
		return nil, err
	}
	m.end, m.number, m.synced = at, number, at
	if missing > 0 {
		found = append(found, Finding{Kind: Levelled, Member: m.member, What: fmt.Sprintf("%d records were written on it that only the others had", missing)})
	}
	return found, nil
}

// bringUp makes a levelled medium one of the present generation.
func (j *Journal) bringUp(m *medium) (found []Finding, err error) {
	was := m.header.generation
	done, err := m.bringUp(&j.opt, j.claim)
	if done {
		found = append(found, Finding{Kind: BroughtUp, Member: m.member, What: fmt.Sprintf("generation %d names it: it was brought up from %d", j.claim.generation, was)})
	}
	return found, err
}

// readAny reads a record from whichever medium can give it.
func readAny(media []*medium, at spans) ([]byte, error) {
	var errs faults
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
	return nil, faults(errs)
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
		j.statements, j.bytes = j.statements+(n.next-n.first), j.bytes+n.held.at.size()
	}
	for _, n := range h.off {
		j.off = append(j.off, entry{at: n.held.at})
	}
	j.notes, j.round, j.heirs = u.notes, u.newest+1, map[ledger.Hash]int{}
	j.inherit(u)
	j.unfenced = !j.settled()
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
	opened := &ledger.SessionOpened{Generation: j.claim.generation, Media: mask, Unfenced: j.unfenced}
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
