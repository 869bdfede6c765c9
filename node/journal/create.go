package journal

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
)

// complete fills in what may be left out, and checks the rest.
func (o *Options) complete() error {
	if err := o.places(); err != nil {
		return err
	}
	public := o.Group.Key(o.Bureau, o.Incarnation)
	if public == nil || !bytes.Equal(public, o.Key.Public().(ed25519.PublicKey)) {
		return fmt.Errorf("the key is not that of bureau %d, incarnation %d, in the manifest: use the bureau's own keys", o.Bureau, o.Incarnation)
	}
	return nil
}

// places completes what reading needs.
func (o *Options) places() error {
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
		for k, other := range o.Media[:i] {
			if m.Path != "" && filepath.Clean(m.Path) == filepath.Clean(other.Path) {
				return fmt.Errorf("media %d and %d are both %s: three different places are needed", k, i, m.Path)
			}
			if m.Path != "" && other.Path != "" && m.Hardware != "" && m.Hardware == other.Hardware {
				return fmt.Errorf("media %d and %d (%s, %s) are on one piece of hardware, which would be lost as one: use two", k, i, other.Path, m.Path)
			}
		}
	}
	return nil
}

// Create formats a new set on the media that are attached, at least two. When one of them
// has a journal already, or one can't be used, nothing is written on any. A member that is
// absent now has no place in this generation of the set.
//
// A medium's header is written last: a crash leaves media that Open does not count.
func Create(o Options) error {
	if err := o.create(); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	return nil
}

func (o *Options) create() error {
	if err := o.complete(); err != nil {
		return err
	}
	h := header{generation: 1, binding: o.binding()}
	if _, err := io.ReadFull(o.Random, h.set[:]); err != nil {
		return fmt.Errorf("draw set: %w", err)
	}
	var problems []*MediumError
	var there []int
	for i, m := range o.Media {
		problem := o.occupied(i)
		switch {
		case problem == nil:
			there = append(there, i)
		case problem.Problem != Absent:
			return problem
		default:
			problems = append(problems, problem)
			continue
		}
		h.hardware[i] = m.Hardware
		if m.Hardware == "" {
			var err error
			if h.hardware[i], err = o.drawHardware(); err != nil {
				return err
			}
		}
	}
	if len(there) < quorum {
		return &TooFewError{len(there), problems}
	}
	for _, i := range there {
		h.member = i
		if err := o.format(i, &h); err != nil {
			return &MediumError{Place: i, Path: o.Media[i].Path, Problem: Unwritable, Err: err}
		}
	}
	return nil
}

// occupied says why a medium can't be formatted.
func (o *Options) occupied(place int) *MediumError {
	records, problem := o.used(place)
	if problem == nil && records {
		problem = &MediumError{Place: place, Path: o.Media[place].Path, Problem: Occupied}
	}
	return problem
}

// used says why a medium can't be formatted whatever its records are, and whether it has any. A
// Create that was cut leaves no header and no records yet.
func (o *Options) used(place int) (records bool, _ *MediumError) {
	path := o.Media[place].Path
	if path == "" || !o.files.IsDir(path) {
		return false, &MediumError{Place: place, Path: path, Problem: Absent}
	}
	for _, name := range []string{headerFile, recordsFile} {
		f, err := o.files.Open(filepath.Join(path, name), toRead)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var size int64
		if err == nil {
			size, err = f.Size()
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return false, &MediumError{Place: place, Path: path, Problem: Unreadable, Err: err}
		}
		if name == headerFile {
			return false, &MediumError{Place: place, Path: path, Problem: Occupied}
		}
		records = size > 0
	}
	return records, nil
}

// format writes a member's files. The directory is fsync'ed once more with the header.
func (o *Options) format(place int, h *header) error {
	m := o.Media[place]
	f, err := o.files.Open(filepath.Join(m.Path, recordsFile), toMake)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close(), o.files.SyncDir(m.Path)); err != nil {
		return err
	}
	if m.Hardware == "" {
		if err := replace(o.files, filepath.Join(m.Path, hardwareFile), []byte(h.hardware[place])); err != nil {
			return err
		}
	}
	return replace(o.files, filepath.Join(m.Path, headerFile), h.encode(o.JournalKey))
}
