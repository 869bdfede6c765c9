package preparation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
	"pointage/node/register"
)

// searcher finds electors' numbers, names and communes' K in files that must hold
// none. It keeps numbers and hashes of names, in memory alone.
type searcher struct {
	seed         maphash.Seed
	national     map[string]bool // eleven digits
	convocations map[string]bool // nine digits
	names        map[uint64]bool // of a surname's last word and the first of the first names
	keys         []*register.KeyFinder
	// copies are the digests of the files that are going: letters, sealed registers,
	// identities and envelopes name nobody by themselves, and open or hold everything.
	copies map[ledger.Hash]bool
	chunk  []byte // of the one stream that is read
}

// searched is what a search has looked at, the files in which it found something, and those in which a program
// can't look.
type searched struct {
	files  int
	bytes  int64
	found  []string
	opaque []string
}

const (
	// searchChunk is how much of a file is looked at at a time, and searchOverlap how
	// much of it again with the next, in bytes: no number or name is longer.
	searchChunk   = 4 << 20
	searchOverlap = 4 << 10
	// nameWindow is within how many words of each other the two words of a name stand.
	nameWindow = 6
	// minBinaryName is how many letters a name has at least to be told from chance in a
	// file that is no text.
	minBinaryName = 7
	// minCopy is how long a file is to be told from another by its content, in bytes.
	minCopy = 16
	// maxGroups is into how many groups the digits of a number are split at most.
	maxGroups = 6
)

func newSearcher() *searcher {
	return &searcher{seed: maphash.MakeSeed(), national: map[string]bool{}, convocations: map[string]bool{}, names: map[uint64]bool{}, copies: map[ledger.Hash]bool{}}
}

// learnCopies takes in the digests of files that are going, each once however many names it
// has.
func (s *searcher) learnCopies(ctx context.Context, files []doomedFile) error {
	seen := map[[2]uint64]bool{}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		st, err := os.Lstat(f.path)
		if errors.Is(err, os.ErrNotExist) || err == nil && (f.public || !st.Mode().IsRegular() || st.Size() < minCopy) {
			continue
		}
		if err != nil {
			return err
		}
		if id, ok := inode(st); ok {
			if seen[id] {
				continue
			}
			seen[id] = true
		}
		digest, _, err := digestOf(f.path)
		if err != nil {
			return err
		}
		s.copies[digest] = true
	}
	return nil
}

// learn takes in a file of rows that has a column of national numbers; other files
// teach nothing.
func (s *searcher) learn(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	rows := csv.NewReader(io.LimitReader(f, MaxFile))
	rows.FieldsPerRecord, rows.LazyQuotes, rows.ReuseRecord = -1, true, true
	header, err := rows.Read()
	if err != nil {
		return nil // no rows at all
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], byteOrderMark)
	at := func(column int) int { return slices.Index(header, columns[column]) }
	national, surname, first, convocation := at(colNationalNumber), at(colSurname), at(colFirstNames), at(colConvocation)
	if national < 0 {
		return nil
	}
	get := func(row []string, k int) string {
		if k < 0 || k >= len(row) {
			return ""
		}
		return row[k]
	}
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			continue // a row that the import refused too
		}
		s.add(get(row, national), get(row, convocation), get(row, surname), get(row, first))
	}
}

func (s *searcher) add(national, convocation, surname, firstNames string) {
	if n := onlyDigits(national); len(n) == 11 {
		s.national[n] = true
	}
	if n := onlyDigits(convocation); len(n) == 9 {
		s.convocations[n] = true
	}
	a, b := lettersOf(surname), lettersOf(firstNames)
	if len(a) > 0 && len(b) > 0 {
		s.names[s.pair(a[len(a)-1], b[0])] = true
	}
}

// electors is how many people are looked for: invented ones may share a national number,
// convocation numbers are unique in the Region.
func (s *searcher) electors() int { return max(len(s.national), len(s.convocations)) }

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

func lettersOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
}

// pair is the same for two words in either order.
func (s *searcher) pair(a, b string) uint64 {
	return maphash.String(s.seed, a) + maphash.String(s.seed, b)
}

// search looks through the trees, the names in them and what they are of, but for the files that skip names by
// their real paths. A link that leads out of the trees is refused: nobody has looked behind it. gone says that a
// whole tree may have been destroyed by now.
func (s *searcher) search(ctx context.Context, roots []string, gone bool, skip func(string) bool) (searched, error) {
	var out searched
	seen := map[string]bool{} // trees may lie in each other
	trees := make([]string, len(roots))
	for i, root := range roots {
		trees[i] = resolved(root)
	}
	for i, root := range trees {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || seen[name] {
				return err
			}
			seen[name] = true
			told := filepath.Join(roots[i], strings.TrimPrefix(name, root))
			if !skip(name) && s.in([]byte(d.Name()), true) { // its name names somebody
				out.found = append(out.found, told)
				return nil
			}
			if d.Type()&fs.ModeSymlink != 0 {
				return stays(name, trees)
			}
			if !d.Type().IsRegular() || skip(name) {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			l, err := s.file(name)
			out.files, out.bytes = out.files+1, out.bytes+l.size
			if l.hit {
				out.found = append(out.found, told)
			} else if l.opaque {
				out.opaque = append(out.opaque, told)
			}
			return err
		})
		if err != nil && (!gone || !isGone(root)) {
			return out, fmt.Errorf("search %s: %w", roots[i], err)
		}
	}
	return out, nil
}

func isGone(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, os.ErrNotExist)
}

// stays says that a link leads to nothing, or to what is searched anyway.
func stays(link string, trees []string) error {
	to, err := filepath.EvalSymlinks(link)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return wrongUse("nothing is destroyed: %s is a link that can't be followed: remove it: %w", link, err)
	}
	for _, tree := range trees {
		if rel, err := filepath.Rel(tree, to); err == nil && filepath.IsLocal(rel) {
			return nil
		}
	}
	return wrongUse("%w", refused(whyLeft, "nothing is destroyed: %s is a link out of what is searched: search where it leads too, with --search, or remove it", link))
}

func (s *searcher) file(name string) (looked, error) {
	f, err := os.Open(name)
	if err != nil {
		return looked{}, err
	}
	defer f.Close()
	// The names of places stand in the manifest, which is public.
	named := filepath.Base(name) != ManifestFile
	digest := sha256.New()
	size, hit, err := s.stream(f, named, digest)
	if err != nil {
		return looked{size: size}, err
	}
	out := looked{size: size, hit: hit || s.copies[ledger.Hash(digest.Sum(nil))]}
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return out, err
	}
	if !out.hit {
		out.add(s.unpacked(f, size, kindOf(filepath.Base(name), head[:n]), 0))
	}
	return out, nil
}

// in says whether bytes hold an elector's number or name, or a K.
func (s *searcher) in(b []byte, named bool) bool {
	return slices.ContainsFunc(s.keys, func(k *register.KeyFinder) bool { return k.In(b) }) || s.hasNumber(b) || named && s.hasName(b, utf8.Valid(b))
}

// hasNumber looks at runs of digits, in up to six groups with a point, a hyphen, a
// stroke or a space between.
func (s *searcher) hasNumber(b []byte) bool {
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	var groups [][]byte
	for i := 0; i < len(b); {
		if !isDigit(b[i]) {
			i++
			continue
		}
		end := i
		for end < len(b) && isDigit(b[end]) {
			end++
		}
		joined := i > 0 && bytes.IndexByte([]byte(" .-/"), b[i-1]) >= 0 && len(groups) > 0 && i > 1 && isDigit(b[i-2])
		if !joined {
			groups = groups[:0]
		}
		groups = append(groups, b[i:end])
		if len(groups) > maxGroups {
			groups = groups[1:]
		}
		// Nine digits between letters are of a digest rather than of an elector.
		bounded := (i == 0 || !isLetter(b[i-1])) && (end == len(b) || !isLetter(b[end]))
		if s.isNumber(groups, bounded) {
			return true
		}
		i = end
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func (s *searcher) isNumber(groups [][]byte, bounded bool) bool {
	var digits []byte
	for k := len(groups) - 1; k >= 0; k-- {
		digits = append(slices.Clone(groups[k]), digits...)
		if s.national[string(digits)] || bounded && s.convocations[string(digits)] {
			return true
		}
		if len(digits) > 11 {
			return false
		}
	}
	return false
}

// hasName looks for the two words of a name near each other; text says that b is nothing but text.
func (s *searcher) hasName(b []byte, text bool) bool {
	var last []string
	word := func(w string) bool {
		for _, before := range last {
			if (text || utf8.RuneCountInString(w)+utf8.RuneCountInString(before) >= minBinaryName) && s.names[s.pair(before, w)] {
				return true
			}
		}
		if last = append(last, w); len(last) > nameWindow {
			last = last[1:]
		}
		return false
	}
	start := -1
	for i := 0; i <= len(b); {
		r, n := rune(utf8.RuneError), 1
		if i < len(b) {
			r, n = utf8.DecodeRune(b[i:])
		}
		letter := r != utf8.RuneError && unicode.IsLetter(r)
		if letter && start < 0 {
			start = i
		} else if !letter && start >= 0 {
			if word(strings.ToLower(string(b[start:min(i, len(b))]))) {
				return true
			}
			start = -1
		}
		i += n
	}
	return false
}

// wipe forgets everything.
func (s *searcher) wipe() {
	for _, k := range s.keys {
		k.Wipe()
	}
	clear(s.chunk)
	*s = searcher{}
}
