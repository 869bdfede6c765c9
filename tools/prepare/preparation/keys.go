package preparation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/node/register"
)

// KeysOrder says which keys are put together from a made election, and how.
type KeysOrder struct {
	Election string // the directory that Make has written
	// Only are the bureaux whose keys are made; empty makes all.
	Only map[ledger.Commune][]ledger.BureauNumber
	// Copy writes the Region's files anew for each key instead of hard-linking
	// them; where links can't be had they are copied anyway.
	Copy bool
	// Progress, when set, hears how far the work has come.
	Progress func(act string, done, total int)
}

// MadeKeys says what Keys has done.
type MadeKeys struct {
	Made, Kept int // keys put together now, and those that were there
	Copied     bool
}

// StickDir is the directory of a bureau's key, 1 or 2, under that of all keys;
// ReceiptFile lies beside it.
func StickDir(ins ledger.Commune, n ledger.BureauNumber, which int) string {
	return path.Join(BureauDir(ins, n), fmt.Sprintf("key-%d", which))
}

// ReceiptFile is the receipt of a bureau's key, in the bureau's directory.
func ReceiptFile(which int) string { return fmt.Sprintf("receipt-%d.txt", which) }

// source is a made election, its signed list checked.
type source struct {
	dir      string
	manifest *election.Manifest
	region   *register.Digests
}

// openElection reads a made election and compares every file of the Region with
// the signed list.
func openElection(dir string) (*source, error) {
	file, err := readBounded(filepath.Join(dir, ManifestFile), election.MaxManifest)
	if err != nil {
		return nil, wrongUse("%w: give the directory that make has written", err)
	}
	s := &source{dir: dir}
	if s.manifest, err = election.Parse(file); err != nil {
		return nil, wrongUse("%s: %w", filepath.Join(dir, ManifestFile), err)
	}
	list, err := readBounded(filepath.Join(dir, register.RegionDigests), register.MaxDigests)
	if err != nil {
		return nil, wrongUse("%w: give the directory that make has written", err)
	}
	if s.region, err = register.ParseDigests(list, s.manifest.Election, register.AuthorityOf(file)); err != nil {
		return nil, fmt.Errorf("%s: %w", register.RegionDigests, err)
	}
	if err := s.region.Check(os.DirFS(dir)); err != nil {
		return nil, fmt.Errorf("the election in %s: %w", dir, err)
	}
	return s, nil
}

// Keys puts the bureaux' USB keys together under out: out/<INS>/bureau-NNN/key-1
// and key-2, each with a receipt beside it. The Region's files are made once, by
// Make, and hard-linked or copied here. Each key appears whole or not at all; those
// that are there already are left, so that a run that was cut goes on. It needs no
// secret. Nothing is durable before it returns.
func Keys(ctx context.Context, out string, o KeysOrder) (*MadeKeys, error) {
	s, err := openElection(o.Election)
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	type stick struct {
		c     *election.Commune
		b     *election.Bureau
		which int
	}
	var sticks []stick
	for i := range s.manifest.Communes {
		c := &s.manifest.Communes[i]
		for k := range c.Bureaux {
			for which := 1; which <= register.Sticks && o.wants(c.INS, c.Bureaux[k].Number); which++ {
				sticks = append(sticks, stick{c, &c.Bureaux[k], which})
			}
		}
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return nil, fmt.Errorf("make keys: %w: %w", errTaken, err)
	}
	var made, kept, copied, finished atomic.Int64
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.SetLimit(runtime.GOMAXPROCS(0))
	for _, k := range sticks {
		jobs.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			there, byCopy, err := s.stick(out, k.c, k.b, k.which, o.Copy)
			if err != nil {
				return fmt.Errorf("make key %s: %w", register.StickNumber(k.c.INS, k.b.Number, k.which), err)
			}
			if finished.Add(1); there {
				kept.Add(1)
			} else {
				made.Add(1)
			}
			if byCopy {
				copied.Store(1)
			}
			return nil
		})
		if o.Progress != nil {
			o.Progress("putting keys together", int(finished.Load()), len(sticks))
		}
	}
	if err := jobs.Wait(); err != nil {
		return nil, err
	}
	if err := syncTree(out); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	return &MadeKeys{int(made.Load()), int(kept.Load()), copied.Load() > 0}, nil
}

func (o *KeysOrder) wants(ins ledger.Commune, n ledger.BureauNumber) bool {
	if len(o.Only) == 0 {
		return true
	}
	bureaux, listed := o.Only[ins]
	return listed && (len(bureaux) == 0 || slices.Contains(bureaux, n))
}

// stick puts one key together; there says that it was there, whole.
func (s *source) stick(out string, c *election.Commune, b *election.Bureau, which int, byCopy bool) (there, copied bool, err error) {
	target := filepath.Join(out, filepath.FromSlash(StickDir(c.INS, b.Number, which)))
	from := filepath.Join(s.dir, filepath.FromSlash(BureauDir(c.INS, b.Number)))
	list, err := readBounded(filepath.Join(from, StickDigestsFile(which)), register.MaxDigests)
	if err != nil {
		return false, false, err
	}
	if _, err := os.Lstat(target); err == nil {
		return true, false, s.isThere(target, list)
	}
	half := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".pointage-partial")
	if err := errors.Join(os.RemoveAll(half), os.MkdirAll(filepath.Join(half, register.OwnDir), 0o700)); err != nil {
		return false, false, err
	}
	if copied, err = s.regional(half, byCopy); err != nil {
		return false, false, err
	}
	own, err := os.ReadDir(from)
	if err != nil {
		return false, false, err
	}
	for _, e := range own {
		if name := e.Name(); strings.HasSuffix(name, ".age") {
			if err := copyFile(filepath.Join(from, name), filepath.Join(half, register.OwnDir, name)); err != nil {
				return false, false, err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(half, register.StickDigests), list, 0o600); err != nil {
		return false, false, err
	}
	k, err := readStickOwn(half)
	if err != nil {
		return false, false, err
	}
	receipt := filepath.Join(filepath.Dir(target), ReceiptFile(which))
	if err := os.WriteFile(receipt, []byte(Receipt(k)), 0o600); err != nil {
		return false, false, err
	}
	return false, copied, os.Rename(half, target)
}

// regional links or copies the Region's files into one key.
func (s *source) regional(dir string, byCopy bool) (copied bool, err error) {
	names := append(slices.Sorted(maps.Keys(s.region.Files)), register.RegionDigests)
	made := map[string]bool{".": true}
	for _, name := range names {
		if sub := path.Dir(name); !made[sub] {
			if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), 0o700); err != nil {
				return copied, err
			}
			made[sub] = true
		}
		from, to := filepath.Join(s.dir, filepath.FromSlash(name)), filepath.Join(dir, filepath.FromSlash(name))
		if !byCopy {
			if err := os.Link(from, to); err == nil {
				continue
			}
			// Another file system, or one without links.
		}
		copied = true
		if err := copyFile(from, to); err != nil {
			return copied, err
		}
	}
	return copied, nil
}

// isThere says whether the key that stands in the way is the one that would be
// made, with all its files.
func (s *source) isThere(target string, list []byte) error {
	there, err := readBounded(filepath.Join(target, register.StickDigests), register.MaxDigests)
	if err != nil || !bytes.Equal(there, list) {
		return fmt.Errorf("%s holds a key of another election: %w", target, errTaken)
	}
	if _, err := readStickOwn(target); err != nil {
		return fmt.Errorf("%w: remove %s and run this again", err, target)
	}
	for name := range s.region.Files {
		a, err1 := os.Stat(filepath.Join(s.dir, filepath.FromSlash(name)))
		b, err2 := os.Stat(filepath.Join(target, filepath.FromSlash(name)))
		if err := errors.Join(err1, err2); err != nil || a.Size() != b.Size() {
			return fmt.Errorf("%s lacks files: remove it and run this again", target)
		}
	}
	return nil
}

// readStickOwn checks a key but for the large files of its commune, which were
// checked where they come from.
func readStickOwn(dir string) (*register.Stick, error) { return register.ReadStickOwn(os.DirFS(dir)) }

// copyFile copies a file of the election to a new one.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// WriteStick copies a key onto a medium and reads it back whole. The signed list
// of the key goes last: without it a directory is no key.
func WriteStick(ctx context.Context, from, to string, progress func(done, total int)) (*register.Stick, error) {
	k, err := register.ReadStick(os.DirFS(from))
	if err != nil {
		return nil, wrongUse("%s: %w", from, err)
	}
	if err := k.CheckAll(); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	for _, name := range []string{register.StickDigests, ManifestFile} {
		if err := absent(filepath.Join(to, name)); err != nil {
			return nil, err
		}
	}
	names := append(k.Names(), register.StickDigests)
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(i, len(names))
		}
		target := filepath.Join(to, filepath.FromSlash(name))
		// What an earlier run had half written is written again.
		if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return nil, err
		}
		if err := copyFile(filepath.Join(from, filepath.FromSlash(name)), target); err != nil {
			return nil, err
		}
	}
	if err := syncTree(to); err != nil {
		return nil, err
	}
	written, err := register.ReadStick(os.DirFS(to))
	if err == nil {
		err = written.CheckAll()
	}
	if err != nil {
		return nil, fmt.Errorf("the medium gives back other bytes than were written, take another one: %w", err)
	}
	return written, nil
}
