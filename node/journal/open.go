package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"

	"pointage/ledger"
)

// complete fills in what may be left out.
func (o *Options) complete() error {
	if o.files == nil {
		o.files = machineFiles{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for i, m := range o.Media {
		if len(m.Hardware) > maxHardware {
			return fmt.Errorf("medium %d: hardware identity of %d bytes, at most %d", i, len(m.Hardware), maxHardware)
		}
	}
	return nil
}

// attached lists the members whose directory is there.
func (o *Options) attached() (out []int) {
	for i, m := range o.Media {
		if m.Path != "" && o.files.IsDir(m.Path) {
			out = append(out, i)
		}
	}
	return out
}

// Create formats a new set on the attached media, at least two. A medium that has a
// journal already is refused, and then nothing is written.
func Create(o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	there := o.attached()
	if len(there) < quorum {
		return fmt.Errorf("create journal: %d media are attached, two are needed", len(there))
	}
	h := header{manifest: o.Group.Manifest, commune: o.Group.Commune, bureau: o.Bureau, incarnation: o.Incarnation, generation: 1}
	if _, err := io.ReadFull(o.Random, h.set[:]); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	for i, m := range o.Media {
		h.hardware[i] = m.Hardware
	}
	for _, i := range there {
		if _, err := o.files.ReadFile(filepath.Join(o.Media[i].Path, headerFile)); !isMissing(err) {
			return fmt.Errorf("create journal: medium %d (%s) has one already: it is kept; use another medium", i, o.Media[i].Path)
		}
	}
	for _, i := range there {
		h.member = i
		if err := o.files.Replace(filepath.Join(o.Media[i].Path, headerFile), h.encode()); err != nil {
			return fmt.Errorf("create journal: medium %d: %w", i, err)
		}
	}
	return nil
}

// contents is what the media hold together.
type contents struct {
	batches map[ledger.Hash]recorded
	notes   map[string]note
}

// one is what one medium holds.
type one struct {
	medium *medium
	good   int64
	has    map[ledger.Hash]bool
	notes  map[string]uint64
}

// Open reads all attached media, writes the union of their records back on each, opens a
// new session, and returns when its first batch is durable. It needs two media of the
// newest generation that it sees.
func Open(o Options) (*Journal, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	j := &Journal{
		opt: o, author: ledger.Author{Bureau: o.Bureau, Incarnation: o.Incarnation}, queue: make(chan *appending, maxWaiting),
		failed: make(chan struct{}), closed: make(chan struct{}), ended: make(chan struct{}), grown: make(chan struct{}), moved: make(chan struct{}),
	}
	media, err := j.headers()
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	all, ones, err := j.read(media)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	last, err := j.chain(all.batches)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j.notes = all.notes
	if err := j.level(all, ones); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	for _, m := range j.media {
		m.done.Add(1)
		go m.run()
	}
	if err := j.openSession(last); err != nil {
		return nil, fmt.Errorf("open journal: %w", errors.Join(err, j.detach()))
	}
	go j.write()
	return j, nil
}

// headers picks the media of the newest generation that is there.
func (j *Journal) headers() ([]*medium, error) {
	var found []*medium
	var problems []error
	newest := uint32(0)
	for _, i := range j.opt.attached() {
		m := j.opt.Media[i]
		h, err := readHeader(j.opt.files, m)
		switch {
		case isMissing(err):
			problems = append(problems, fmt.Errorf("medium %d (%s) has no journal", i, m.Path))
			continue
		case err != nil:
			problems = append(problems, fmt.Errorf("medium %d (%s): %w", i, m.Path, err))
			continue
		}
		if h.manifest != j.opt.Group.Manifest || h.commune != j.opt.Group.Commune || h.bureau != j.opt.Bureau || h.incarnation != j.opt.Incarnation {
			problems = append(problems, fmt.Errorf("medium %d (%s) belongs to bureau %d of commune %d, or to another election", i, m.Path, h.bureau, h.commune))
			continue
		}
		newest = max(newest, h.generation)
		found = append(found, &medium{member: h.member, dir: m.Path, header: h, queue: make(chan writing, maxBehind)})
	}
	found = slices.DeleteFunc(found, func(m *medium) bool { return m.header.generation < newest })
	for k, m := range found {
		for _, other := range found[:k] {
			if other.header.set != m.header.set || other.member == m.member {
				return nil, fmt.Errorf("%s and %s are not two members of one set: take the bureau's own keys", other.dir, m.dir)
			}
		}
	}
	if len(found) < quorum {
		problems = append(problems, fmt.Errorf("%d of this bureau's media are attached, two are needed: attach the other key", len(found)))
		return nil, errors.Join(problems...)
	}
	for _, p := range problems {
		j.found = append(j.found, Finding{What: p.Error()})
	}
	return found, nil
}

// read takes the union of what the media hold. A medium that can't be read at all is
// left out, as if absent.
func (j *Journal) read(media []*medium) (*contents, []*one, error) {
	s, err := newSealer(j.opt.JournalKey[:], media[0].header.set[:], j.opt.Random)
	if err != nil {
		return nil, nil, err
	}
	j.seal = s
	all := &contents{batches: map[ledger.Hash]recorded{}, notes: map[string]note{}}
	var ones []*one
	for _, m := range media {
		raw, err := j.opt.files.ReadFile(filepath.Join(m.dir, recordsFile))
		if err != nil && !isMissing(err) {
			j.found = append(j.found, Finding{m.member, "can't be read: " + err.Error()})
			continue
		}
		x := &one{medium: m, has: map[ledger.Hash]bool{}, notes: map[string]uint64{}}
		good, bad := scan(raw, s, func(plain []byte) error { return j.take(plain, all, x) })
		x.good = good
		if bad > 0 || good < int64(len(raw)) {
			j.found = append(j.found, Finding{m.member, fmt.Sprintf("%d damaged records, %d bytes of torn tail; taken from the other media", bad, int64(len(raw))-good)})
		}
		ones = append(ones, x)
	}
	if len(ones) < quorum {
		return nil, nil, fmt.Errorf("%d media can be read, two are needed", len(ones))
	}
	return all, ones, nil
}

// take adds one record of a medium to the union. A batch counts only under the bureau's
// own signature.
func (j *Journal) take(plain []byte, all *contents, x *one) error {
	err := errRecord
	decodeErr := decodeRecord(plain, func(r recorded) {
		a := r.batch.Header.Author
		if a.Bureau != j.opt.Bureau || a.Incarnation != j.opt.Incarnation || r.batch.Verify(j.opt.Group) != nil {
			return
		}
		id := r.batch.Header.Identity()
		all.batches[id], x.has[id], err = r, true, nil
	}, func(key string, n note) {
		if all.notes[key].version < n.version {
			all.notes[key] = n
		}
		x.notes[key], err = max(x.notes[key], n.version), nil
	})
	return errors.Join(decodeErr, err)
}

// chain puts the batches in order, from the first session on. What a later session did
// not go on from is an orphan: it was never durable on two media. Two sessions that go
// on from one head are a clone's: the bureau must not open on half of what it did.
func (j *Journal) chain(batches map[ledger.Hash]recorded) (last *ledger.Batch, err error) {
	next := map[ledger.Hash][]recorded{}
	for _, r := range batches {
		next[r.batch.Header.Previous] = append(next[r.batch.Header.Previous], r)
	}
	at, used := ledger.Hash{}, 0
	for {
		var opening, following []recorded
		for _, r := range next[at] {
			if r.batch.Header.First == 0 {
				opening = append(opening, r)
			} else {
				following = append(following, r)
			}
		}
		step := opening
		if len(step) == 0 {
			step = following
		}
		if len(step) == 0 {
			break
		}
		if len(step) > 1 {
			return nil, errors.New("the media hold two histories that go on from one point: one is a copy; keep all media and tell the principal bureau")
		}
		j.batches = append(j.batches, step[0])
		last, used = step[0].batch, used+1
		at = last.Header.Identity()
	}
	if orphans := len(batches) - used; orphans > 0 {
		j.found = append(j.found, Finding{What: fmt.Sprintf("%d batches that no later session goes on from: recorded on one medium only, without effect", orphans)})
	}
	return last, nil
}

// level writes on each medium what only others hold, before anything else.
func (j *Journal) level(all *contents, ones []*one) error {
	for _, x := range ones {
		m := x.medium
		if err := m.attach(j.opt.files, x.good); err != nil {
			j.found = append(j.found, Finding{m.member, "can't be written: " + err.Error()})
			continue
		}
		var missing []byte
		for _, r := range j.batches {
			if x.has[r.batch.Header.Identity()] {
				continue
			}
			rec, err := j.seal.seal(encodeBatchRecord(r))
			if err != nil {
				return err
			}
			missing = append(missing, rec...)
		}
		for key, n := range all.notes {
			if x.notes[key] >= n.version {
				continue
			}
			rec, err := j.seal.seal(encodeNoteRecord(key, n))
			if err != nil {
				return err
			}
			missing = append(missing, rec...)
		}
		if len(missing) > 0 {
			if err := m.write(missing); err != nil {
				j.found = append(j.found, Finding{m.member, err.Error()})
				if cerr := m.f.Close(); cerr != nil {
					j.opt.Logger.Warn("a medium that failed could not be closed", "err", cerr)
				}
				continue
			}
		}
		j.media = append(j.media, m)
	}
	if len(j.media) < quorum {
		return errors.Join(fmt.Errorf("%d media can be written, two are needed", len(j.media)), errors.New(j.findings()))
	}
	return nil
}

func (j *Journal) findings() (out string) {
	for _, f := range j.found {
		out += f.What + "; "
	}
	return out
}

// openSession draws the session and makes its first batch durable.
func (j *Journal) openSession(last *ledger.Batch) error {
	if _, err := io.ReadFull(j.opt.Random, j.author.Session[:]); err != nil {
		return fmt.Errorf("draw session: %w", err)
	}
	open := &ledger.SessionOpened{Generation: j.media[0].header.generation, Unfenced: j.opt.Unfenced}
	for _, m := range j.media {
		open.Media |= 1 << m.member
	}
	if last != nil {
		h := ledger.Head{Session: last.Header.Author.Session, Next: last.Header.Next(), Hash: last.Header.Identity()}
		open.Continues, j.at.Previous = &h, h.Hash
	}
	now := j.opt.Now()
	a := &appending{statements: []ledger.Statement{ledger.NewStatement(now, open)}, exact: []ledger.Instant{now}, done: make(chan appended, 1)}
	j.writeBatch([]*appending{a})
	r := <-a.done
	return r.err
}
