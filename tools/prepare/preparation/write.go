package preparation

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"pointage/ledger"
	"pointage/node/machine"
)

// staging is a directory beside the final one, in which everything is written and
// made durable at once before one rename makes it visible. A crash leaves it behind; the
// next run with the same target removes it and starts afresh, since keys that
// were never handed over are worth nothing. One run at a time has a target.
type staging struct{ dir, target string }

// errTaken says that something can't be written where it was asked for.
var errTaken = errors.New("give another place to write to")

// stage makes the staging directory of a target that must be absent or empty.
func stage(target string) (*staging, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return nil, err
	}
	switch entries, err := os.ReadDir(target); {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("%s is not empty: %w", target, errTaken)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", errTaken, err)
	}
	s := &staging{filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".pointage-partial"), target}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s does not exist: %w", filepath.Dir(target), errTaken)
		}
		return nil, err
	}
	return s, nil
}

// write makes a file of the staging directory and gives its SHA-256.
func (s *staging) write(name string, fill func(io.Writer) error) (hash ledger.Hash, err error) {
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return hash, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return hash, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	digest := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, digest), 1<<16)
	if err := fill(out); err != nil {
		return hash, err
	}
	if err := out.Flush(); err != nil {
		return hash, err
	}
	digest.Sum(hash[:0])
	return hash, nil
}

// text writes a file of one piece.
func (s *staging) text(name, text string) error {
	_, err := s.write(name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	return err
}

// publish makes the directory appear under its name, whole.
func (s *staging) publish() error {
	if err := syncTree(s.dir); err != nil {
		return err
	}
	if err := os.Rename(s.dir, s.target); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.target))
}

// abandon removes what was written; after publish it does nothing.
func (s *staging) abandon() { os.RemoveAll(s.dir) }

func syncDir(path string) error {
	return machine.SyncDir(path)
}

// absent says that a file must not be written over.
func absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists: %w", path, errTaken)
	}
	return nil
}

// writeFile makes one new file, whole or not at all, readable by its owner only.
func writeFile(path string, fill func(io.Writer) error) (err error) {
	if err := absent(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pointage-*")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s does not exist: %w", filepath.Dir(path), errTaken)
		}
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	out := bufio.NewWriterSize(f, 1<<16)
	if err := fill(out); err != nil {
		return err
	}
	if err := errors.Join(out.Flush(), f.Sync()); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WriteCSV writes the list as Import reads it, with all columns, in file order.
func (l *List) WriteCSV(w io.Writer) error { return l.write(w, false) }

// write is WriteCSV; a working list has more columns.
func (l *List) write(w io.Writer, working bool) error {
	out := csv.NewWriter(w)
	names := columns[:columnCount]
	if working {
		names = columns[:]
	}
	if err := out.Write(names); err != nil {
		return err
	}
	row := make([]string, workingColumns)
	for i := range l.People {
		l.People[i].row(row)
		if err := out.Write(row[:len(names)]); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// row fills in the person's columns.
func (p *Person) row(row []string) {
	a := &p.Address
	clear(row)
	row[colNationalNumber], row[colSurname], row[colFirstNames] = p.NationalNumber.Printed(), p.Surname, p.FirstNames
	row[colStreet], row[colNumber], row[colBox], row[colPostcode], row[colMunicipality] = a.Street, a.Number, a.Box, a.Postcode, a.Municipality
	row[colLanguage], row[colSector] = p.Language.String(), p.Sector
	if p.Bureau != 0 {
		row[colBureau] = strconv.Itoa(int(p.Bureau))
	}
	if !p.ConvocationNumber.IsZero() {
		row[colConvocation] = p.ConvocationNumber.Digits()
	}
	if p.Candidate {
		row[colCandidate] = "yes"
	}
	if p.Member != 0 {
		row[colFunction], row[colServes], row[colMember] = p.Function.String(), strconv.Itoa(int(p.Serves)), strconv.Itoa(int(p.Member))
	}
}

// Secret is a passphrase that a person gets in a closed letter.
type Secret struct {
	Commune    ledger.Commune
	Bureau     ledger.BureauNumber // 0 for a person of no bureau
	Opens      string              // the file, under its commune's directory
	Passphrase string
}

// encodeSecrets is the list from which the letters are printed.
func encodeSecrets(secrets []Secret) ([]byte, error) {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	if err := out.Write([]string{"commune", "bureau", "opens", "passphrase"}); err != nil {
		return nil, err
	}
	for _, s := range secrets {
		bureau := ""
		if s.Bureau != 0 {
			bureau = strconv.Itoa(int(s.Bureau))
		}
		if err := out.Write([]string{strconv.Itoa(int(s.Commune)), bureau, s.Opens, s.Passphrase}); err != nil {
			return nil, err
		}
	}
	out.Flush()
	return b.Bytes(), out.Error()
}
