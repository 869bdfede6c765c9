package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// anchors checks every cosigned checkpoint, that the export's own is among them, and that
// anchored statements say what a witness signed of this chain.
func (v *epochVerification) anchors(context.Context) error {
	var last anchor
	for i := 0; ; i++ {
		name := AnchorFile(i)
		if _, err := fs.Stat(v.dir, v.prefix+name); errors.Is(err, fs.ErrNotExist) {
			break
		}
		b, err := v.read(name, MaxNote)
		if err != nil {
			return err
		}
		a, err := v.checkAnchor(b)
		if err != nil {
			return &Offended{v.atFile(name), err}
		}
		if a.size < last.size || a.size == last.size && a.seconds < last.seconds || bytes.Equal(a.note, last.note) {
			return offence(v.atFile(name), "is not newer than the one before")
		}
		last, v.said.Anchors, v.said.Anchored = a, i+1, a.size
	}
	if len(v.unanchored) > 0 {
		return offence(v.atFile(CheckpointFile), "a witness's cosignature on it stands in no file of %s/", AnchorsDir)
	}
	for _, a := range v.anchored {
		if err := v.checkAnchored(a); err != nil {
			return &Offended{v.atEntry(a.position), err}
		}
	}
	return nil
}

// anchor is one cosigned checkpoint of the export; seconds is its newest witness's time.
type anchor struct {
	size, seconds uint64
	note          []byte
}

func (v *epochVerification) checkAnchor(b []byte) (a anchor, err error) {
	c, sigs, err := OpenCheckpoint(b, LogKey(v.origin, v.g.LogKey), v.g.Cosigners())
	if err != nil {
		return a, err
	}
	if most := v.mostAnchored(); c.Size > most || c.Size == 0 {
		return a, fmt.Errorf("size %d is not 1 to %d", c.Size, most)
	}
	if err := v.holds(c); err != nil {
		return a, err
	}
	lines := witnessLines(sigs, v.g.Witnesses)
	if len(lines) == 0 {
		return a, errors.New("no witness has cosigned it")
	}
	a = anchor{size: c.Size, note: b}
	for line := range lines {
		delete(v.unanchored, line)
		a.seconds = max(a.seconds, line.Seconds)
	}
	v.report.Signatures += 1 + uint64(len(sigs))
	return a, nil
}

// witnessLines are those of the cosignatures that are a witness's.
func witnessLines(sigs []Cosignature, witnesses []*NoteKey) map[Cosignature]bool {
	out := map[Cosignature]bool{}
	for _, s := range sigs {
		for _, w := range witnesses {
			if s.KeyHash == w.KeyHash() && s.Name == w.Name() {
				out[s] = true
			}
		}
	}
	return out
}

// mostAnchored is the largest size that can have been anchored. What an epoch lost, beyond the seed
// of the next, a witness may have seen all the same.
func (v *epochVerification) mostAnchored() uint64 {
	if v.said.Epoch < v.last {
		return MaxEntries
	}
	return v.head.Size
}

// holds says whether a checkpoint is of this epoch's tree; beyond the seed of the next epoch
// nobody can say.
func (v *epochVerification) holds(c Checkpoint) error {
	if c.Size > v.head.Size {
		return nil
	}
	root, err := v.rootAt(c.Size)
	if err != nil {
		return fmt.Errorf("tree of %d entries: %w", c.Size, err)
	}
	if root != c.Root {
		return fmt.Errorf("shows another history than this export at size %d", c.Size)
	}
	return nil
}

func (v *epochVerification) checkAnchored(a anchoredAt) error {
	if a.body.Epoch > v.said.Epoch {
		return fmt.Errorf("anchored in epoch %d", a.body.Epoch)
	}
	of, most := v.epochs[a.body.Epoch], uint64(MaxEntries)
	if of == v {
		most = a.position
	}
	if a.body.Size == 0 || a.body.Size > most {
		return fmt.Errorf("anchored size %d lies ahead", a.body.Size)
	}
	c := Checkpoint{of.origin, a.body.Size, a.body.Root}
	if err := of.holds(c); err != nil {
		return err
	}
	for _, w := range v.g.Witnesses {
		if w.KeyHash() == a.body.Witness && w.Verify([]byte(c.Text()), a.body.noteSignature()) {
			v.report.Signatures++
			return nil
		}
	}
	return errors.New("the anchored checkpoint is not cosigned by a witness")
}
