package preparation

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
)

// Digest is a SHA-256 in a record: lower-case hexadecimal.
type Digest ledger.Hash

// MarshalText writes 64 hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(ledger.Hash(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	h, err := ledger.ParseHash(string(text))
	*d = Digest(h)
	return err
}

// Trace is one line of a record of acts: who did what, when and why (decree,
// article 15), or what was refused. The lines form a hash chain, so that none can be changed
// or taken out without the ones after it saying so, and the last line of each act is signed
// with the directory's own key, which import has drawn: whoever noted its public half knows a
// record of this directory from one that was made elsewhere. A record of a working list
// holds personal data and is destroyed with it.
type Trace struct {
	Number   uint64    `json:"number"`   // from 1
	Previous Digest    `json:"previous"` // SHA-256 of the line before, zero for the first
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Act      string    `json:"act"`
	Why      string    `json:"why,omitempty"`
	// Source is the SHA-256 of the file that the act was done from, Line the row.
	Source *Digest `json:"source,omitempty"`
	Line   int     `json:"line,omitempty"`
	// Elector is the national number of whom the act is about.
	Elector string `json:"elector,omitempty"`
	// Before and After are the columns that an act has changed.
	Before map[string]string `json:"before,omitempty"`
	After  map[string]string `json:"after,omitempty"`
	// Details are figures of the act, and what else it needs.
	Details map[string]string `json:"details,omitempty"`
	// Signature is of the line without it, on the last line of an act.
	Signature []byte `json:"signature,omitempty"`
}

// signed is what a signature on the line is of.
func (t Trace) signed() ([]byte, error) {
	t.Signature = nil
	text, err := t.encode()
	return append([]byte("pointage preparation record v1\n"), text...), err
}

// encode is the line's one form.
func (t *Trace) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(t)
	return b.Bytes(), err
}

// Limits of a record.
const (
	// MaxTrace is the longest line of a record, in bytes.
	MaxTrace = 16 << 10
	// MaxRecord is how many lines a record has.
	MaxRecord = 4 << 20
	// MaxPhrase is the longest name or reason that a person gives, in bytes.
	MaxPhrase = 512
)

// errRecord says that a record is not what this program has written.
var errRecord = errors.New("its record was changed or cut outside this program: bring back a copy")

// record is an append-only file of traces as far as its owner has committed it.
// What lies beyond is of an act that a crash has cut and never counted.
type record struct {
	path   string
	key    ed25519.PrivateKey
	Signer string `json:"signer"` // the key's public half, as a note's verifier key
	Lines  uint64 `json:"lines"`
	Bytes  int64  `json:"bytes"`
	Head   Digest `json:"head"` // of the last line
}

// newRecord is an empty record under a key of its own.
func newRecord(path, name string) record {
	seed := drawn32()
	key := ed25519.NewKeyFromSeed(seed[:])
	return record{path: path, key: key, Signer: ledger.LogVKey(name, key.Public().(ed25519.PublicKey))}
}

// recordKeyFile keeps the key's seed, hexadecimal, beside the record.
const recordKeyFile = "record.key"

func (r *record) writeKey(dir string) error {
	return replaceFile(filepath.Join(dir, recordKeyFile), []byte(hex.EncodeToString(r.key.Seed())+"\n"))
}

func (r *record) readKey(dir string) error {
	text, err := readBounded(filepath.Join(dir, recordKeyFile), 2*ed25519.SeedSize+1)
	if err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	digits, whole := strings.CutSuffix(string(text), "\n")
	seed, err := hex.DecodeString(digits)
	if err == nil && whole && len(seed) == ed25519.SeedSize {
		r.key = ed25519.NewKeyFromSeed(seed)
		name, _, _ := strings.Cut(r.Signer, "+")
		if ledger.LogVKey(name, r.key.Public().(ed25519.PublicKey)) == r.Signer {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", filepath.Join(dir, recordKeyFile), errRecord)
}

// traces reads the committed lines and checks their chain and its signatures.
func (r *record) traces(each func(*Trace) error) error {
	if r.Lines == 0 && r.Bytes == 0 {
		return nil
	}
	signer, err := note.NewVerifier(r.Signer)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", r.path, errRecord, err)
	}
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(io.LimitReader(f, r.Bytes), MaxTrace)
	var head Digest
	for n := uint64(1); n <= r.Lines; n++ {
		line, err := lines.ReadSlice('\n')
		var t Trace
		if err != nil || json.Unmarshal(line, &t) != nil || t.Number != n || t.Previous != head || !t.verifies(signer, n == r.Lines) {
			return fmt.Errorf("%s: line %d: %w", r.path, n, errRecord)
		}
		head = sha256.Sum256(line)
		if each != nil {
			if err := each(&t); err != nil {
				return err
			}
		}
	}
	if _, err := lines.ReadByte(); err != io.EOF || head != r.Head {
		return fmt.Errorf("%s: %w", r.path, errRecord)
	}
	return nil
}

// append writes traces behind the committed lines and makes them durable; they
// count once the owner has kept the record's new state. On an error the state is
// as it was.
func (r *record) append(traces []Trace) (err error) {
	if r.Lines+uint64(len(traces)) > MaxRecord {
		return fmt.Errorf("%s: more than %d lines", r.path, MaxRecord)
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < r.Bytes {
		return fmt.Errorf("%s: %w", r.path, errRecord)
	}
	if err := f.Truncate(r.Bytes); err != nil {
		return err
	}
	next := *r
	out := bufio.NewWriterSize(io.NewOffsetWriter(f, r.Bytes), 1<<16)
	for i := range traces {
		line, err := next.line(&traces[i], i == len(traces)-1)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Flush(), f.Sync()); err != nil {
		return err
	}
	*r = next
	return nil
}

// line is the next line of the record.
func (r *record) line(t *Trace, last bool) ([]byte, error) {
	t.Number, t.Previous, t.Signature = r.Lines+1, r.Head, nil
	if last {
		text, err := t.signed()
		if err != nil {
			return nil, err
		}
		t.Signature = ed25519.Sign(r.key, text)
	}
	line, err := t.encode()
	if err != nil {
		return nil, err
	}
	if len(line) > MaxTrace {
		return nil, fmt.Errorf("a line of the record has %d bytes, at most %d", len(line), MaxTrace)
	}
	r.Lines, r.Bytes, r.Head = t.Number, r.Bytes+int64(len(line)), sha256.Sum256(line)
	return line, nil
}

// verifies says whether the line's signature is the signer's; the record's last line must have one.
func (t *Trace) verifies(signer note.Verifier, last bool) bool {
	if len(t.Signature) == 0 {
		return !last
	}
	text, err := t.signed()
	return err == nil && signer.Verify(text, t.Signature)
}
