package preparation

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

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
// article 15). The lines form a hash chain, so that none can be changed or taken
// out without the ones after it saying so. A record of a working list holds
// personal data and is destroyed with it.
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
	path  string
	Lines uint64 `json:"lines"`
	Bytes int64  `json:"bytes"`
	Head  Digest `json:"head"` // of the last line
}

// traces reads the committed lines and checks their chain.
func (r *record) traces(each func(*Trace) error) error {
	f, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) && r.Bytes == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(io.LimitReader(f, r.Bytes), MaxTrace)
	var head Digest
	for n := uint64(1); n <= r.Lines; n++ {
		line, err := lines.ReadSlice('\n')
		var t Trace
		if err != nil || json.Unmarshal(line, &t) != nil || t.Number != n || t.Previous != head {
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
		line, err := next.line(&traces[i])
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
func (r *record) line(t *Trace) ([]byte, error) {
	t.Number, t.Previous = r.Lines+1, r.Head
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t); err != nil {
		return nil, err
	}
	if b.Len() > MaxTrace {
		return nil, fmt.Errorf("a line of the record has %d bytes, at most %d", b.Len(), MaxTrace)
	}
	r.Lines, r.Bytes, r.Head = t.Number, r.Bytes+int64(b.Len()), sha256.Sum256(b.Bytes())
	return b.Bytes(), nil
}
