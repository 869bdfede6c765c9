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
func (v *verification) anchors(context.Context) error {
	var last anchor
	for i := 0; ; i++ {
		name := AnchorFile(i)
		if _, err := fs.Stat(v.dir, name); errors.Is(err, fs.ErrNotExist) {
			break
		}
		b, err := v.read(name, MaxNote)
		if err != nil {
			return err
		}
		a, err := v.checkAnchor(b)
		if err != nil {
			return &Offended{atFile(name), err}
		}
		if a.size < last.size || a.size == last.size && a.seconds < last.seconds || bytes.Equal(a.note, last.note) {
			return offence(atFile(name), "is not newer than the one before")
		}
		last, v.report.Anchors, v.report.Anchored = a, i+1, a.size
	}
	if len(v.unanchored) > 0 {
		return offence(atFile(CheckpointFile), "a witness's cosignature on it stands in no file of %s/", AnchorsDir)
	}
	for _, a := range v.anchored {
		if err := v.checkAnchored(a); err != nil {
			return &Offended{atEntry(a.position), err}
		}
	}
	return nil
}

// anchor is one cosigned checkpoint of the export; seconds is its newest witness's time.
type anchor struct {
	size, seconds uint64
	note          []byte
}

func (v *verification) checkAnchor(b []byte) (a anchor, err error) {
	c, sigs, err := OpenCheckpoint(b, LogKey(v.origin, v.g.LogKey), v.g.Cosigners())
	if err != nil {
		return a, err
	}
	if c.Size > v.head.Size || c.Size == 0 {
		return a, fmt.Errorf("size %d is not 1 to %d", c.Size, v.head.Size)
	}
	root, err := v.rootAt(c.Size)
	if err != nil {
		return a, fmt.Errorf("tree of %d entries: %w", c.Size, err)
	}
	if root != c.Root {
		return a, fmt.Errorf("shows another history than this export at size %d", c.Size)
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

func (v *verification) checkAnchored(a anchoredAt) error {
	if a.body.Epoch != 0 {
		return fmt.Errorf("anchored in epoch %d", a.body.Epoch)
	}
	if a.body.Size == 0 || a.body.Size > a.position {
		return fmt.Errorf("anchored size %d lies ahead", a.body.Size)
	}
	root, err := v.rootAt(a.body.Size)
	if err != nil {
		return err
	}
	c := Checkpoint{v.origin, a.body.Size, a.body.Root}
	for _, w := range v.g.Witnesses {
		if root == a.body.Root && w.KeyHash() == a.body.Witness && w.Verify([]byte(c.Text()), a.body.noteSignature()) {
			v.report.Signatures++
			return nil
		}
	}
	return errors.New("the anchored checkpoint is not of this chain or not cosigned by a witness")
}
