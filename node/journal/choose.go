package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// claim is one generation of one set, as headers name it. The number alone does not tell: two
// replacements that were each cut when one survivor knew of it may have used the same one.
type claim struct {
	set        [16]byte
	generation uint32
	hardware   [members]string
}

func (h *header) claim() claim { return claim{h.set, h.generation, h.hardware} }

// names says whether the header is that of a medium which the claim's generation took over from
// the one before: a replacement was cut before it reached this survivor.
func (c claim) names(h *header) bool {
	return h.set == c.set && h.generation+1 == c.generation && h.hardware[h.member] == c.hardware[h.member]
}

// takes says whether a medium with this header counts, once it is brought up.
func (c claim) takes(h *header) bool { return h.claim() == c || c.names(h) }

// header is a member's header in the claim's generation.
func (c claim) header(member int, b binding) *header {
	return &header{set: c.set, member: member, generation: c.generation, hardware: c.hardware, binding: b}
}

// outside is why a medium with this header, of the bureau's own, does not count.
func (c claim) outside(h *header) (Problem, string) {
	switch {
	case h.set != c.set:
		return OtherSet, ""
	case h.generation > c.generation:
		return NewerGeneration, fmt.Sprintf("generation %d, those at work are of %d", h.generation, c.generation)
	case h.generation == c.generation:
		return OldGeneration, fmt.Sprintf("its generation %d was given up, another of that number counts", h.generation)
	}
	return OldGeneration, fmt.Sprintf("generation %d, the newest is %d", h.generation, c.generation)
}

// mount picks the media that count and opens their records.
func (j *Journal) mount() error {
	var found []*medium
	for i := range j.opt.Media {
		h, problem := j.opt.readHeader(i)
		if problem != nil {
			j.notCounted(problem)
			continue
		}
		found = append(found, j.opt.medium(i, h))
	}
	for _, m := range j.choose(found) {
		if problem := m.open(&j.opt); problem != nil {
			j.notCounted(problem)
			continue
		}
		j.media = append(j.media, m)
	}
	if err := j.enough(); err != nil {
		return errors.Join(err, j.closeFiles())
	}
	slices.SortFunc(j.media, byMember)
	return nil
}

func byMember(a, b *medium) int { return a.member - b.member }

// medium is the one with this header at a place, not yet open.
func (o *Options) medium(place int, h *header) *medium {
	return &medium{
		place: place, member: h.member, path: o.Media[place].Path, hardware: o.Media[place].Hardware, header: h,
		wake: make(chan struct{}, 1), ended: make(chan struct{}), onFault: func(*medium) {},
	}
}

// open opens the file of records, for reading alone when it is write-protected.
func (m *medium) open(o *Options) *MediumError {
	if problem := m.openFor(o, toWrite); problem == nil {
		return nil
	}
	return m.openFor(o, toRead)
}

func (m *medium) openFor(o *Options, how access) *MediumError {
	f, err := o.files.Open(filepath.Join(m.path, recordsFile), how)
	if err != nil {
		problem := &MediumError{Place: m.place, Path: m.path, Problem: Unreadable, Err: err}
		if errors.Is(err, fs.ErrNotExist) {
			problem.Problem, problem.Detail = Damaged, "its records are gone"
		}
		return problem
	}
	m.f, m.seal = f, newSealer(o.JournalKey, m.header.set)
	return nil
}

// choose takes, of the newest generation of each set, the one with the most media, the first when
// there are two such. The others' media don't count, nor do two that are one member.
func (j *Journal) choose(found []*medium) (chosen []*medium) {
	newest := map[[16]byte]uint32{}
	for _, m := range found {
		newest[m.header.set] = max(newest[m.header.set], m.header.generation)
	}
	most := 0
	for _, m := range found {
		c, n := m.header.claim(), 0
		if c.generation < newest[c.set] {
			continue
		}
		for _, x := range found {
			if c.takes(x.header) {
				n++
			}
		}
		if n > most {
			j.claim, most = c, n
		}
	}
	for _, m := range found {
		problem := &MediumError{Place: m.place, Path: m.path}
		switch {
		case !j.claim.takes(m.header):
			problem.Problem, problem.Detail = j.claim.outside(m.header)
		case slices.ContainsFunc(found, func(x *medium) bool {
			return x != m && j.claim.takes(x.header) && x.member == m.member
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

// bringUp writes the present generation's header on a medium of the one before that it names.
// The medium holds the union by then. A crash leaves it in either generation, and either counts.
func (m *medium) bringUp(o *Options, c claim) (done bool, err error) {
	if m.header.claim() == c {
		return false, nil
	}
	h := c.header(m.member, m.header.binding)
	if err := replace(o.files, filepath.Join(m.path, headerFile), h.encode(o.JournalKey)); err != nil {
		return false, err
	}
	m.header = h
	return true, nil
}
