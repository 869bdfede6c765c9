package register

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// A sealed file is an age file whose plain text is one gzip member of
//
//	struct {
//	    opaque magic[8] = "pointreg";
//	    uint8 version = 1;
//	    uint8 kind;                    // 1 base, 2 addresses, 3 members
//	    opaque header<1..2^16-1>;
//	    opaque chunk<1..2^16-1>[...];  // whole records, as many as fit
//	    opaque last<0>;
//	} Plain;
//
// in the TLS presentation language (RFC 8446 section 3), with nothing after it.
// A chunk ends only where the next record would not fit, so the same electors
// have one encoding.

const (
	magic         = "pointreg"
	formatVersion = 1
	kindBase      = 1
	kindAddresses = 2
	kindMembers   = 3
	maxChunk      = 1<<16 - 1
	// MaxElection is the longest name of an election, in bytes.
	MaxElection = 128
	// MaxRecipients is how many bureaux a file is sealed for.
	MaxRecipients = 1024
)

var (
	// ErrMalformed says that a sealed file holds what no writer of this format
	// writes.
	ErrMalformed = errors.New("malformed register")
	// ErrKey says that the key at hand does not open the file.
	ErrKey = errors.New("this key does not open it, since it was sealed for others: take the files from this bureau's own key")
	// ErrForeign says that the file is of another commune, election or kind.
	ErrForeign = errors.New("it belongs to another election")
)

// streamWriter writes one sealed file.
type streamWriter struct {
	sealed io.WriteCloser
	gz     *gzip.Writer
	chunk  []byte
}

func newStreamWriter(w io.Writer, kind uint8, header []byte, recipients []age.Recipient) (*streamWriter, error) {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("%d recipients: a file is sealed for 1 to %d bureaux", len(recipients), MaxRecipients)
	}
	for _, r := range recipients {
		if _, ok := r.(*age.HybridRecipient); !ok {
			return nil, fmt.Errorf("recipient of type %T: registers are sealed with hybrid post-quantum keys", r)
		}
	}
	sealed, err := age.Encrypt(w, recipients...)
	if err != nil {
		return nil, err
	}
	s := &streamWriter{sealed: sealed, gz: gzip.NewWriter(sealed), chunk: make([]byte, 0, maxChunk)}
	var b cryptobyte.Builder
	b.AddBytes([]byte(magic))
	b.AddUint8(formatVersion)
	b.AddUint8(kind)
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(header) })
	opening, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	if _, err := s.gz.Write(opening); err != nil {
		return nil, err
	}
	return s, nil
}

// record appends one encoded record, of at most maxChunk bytes.
func (s *streamWriter) record(r []byte) error {
	if len(s.chunk)+len(r) > maxChunk {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.chunk = append(s.chunk, r...)
	return nil
}

func (s *streamWriter) flush() error {
	if _, err := s.gz.Write([]byte{byte(len(s.chunk) >> 8), byte(len(s.chunk))}); err != nil {
		return err
	}
	_, err := s.gz.Write(s.chunk)
	clear(s.chunk)
	s.chunk = s.chunk[:0]
	return err
}

func (s *streamWriter) close() error {
	if len(s.chunk) > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil { // the empty one
		return err
	}
	if err := s.gz.Close(); err != nil {
		return err
	}
	return s.sealed.Close()
}

// streamReader reads one sealed file.
type streamReader struct {
	plain *bufio.Reader // the decrypted file
	gz    *gzip.Reader
	chunk []byte
	last  int // length of the chunk before
}

// unseal decrypts a sealed file.
func unseal(r io.Reader, id age.Identity) (io.Reader, error) {
	plain, err := age.Decrypt(r, id)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return nil, ErrKey
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return plain, nil
}

// newStreamReader reads a decrypted file as far as its header.
func newStreamReader(plain io.Reader, kind uint8) (*streamReader, []byte, error) {
	s := &streamReader{plain: bufio.NewReaderSize(plain, 1<<16), chunk: make([]byte, maxChunk)}
	var err error
	s.gz, err = gzip.NewReader(s.plain)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	s.gz.Multistream(false)
	var opening [len(magic) + 2]byte
	if _, err := io.ReadFull(s.gz, opening[:]); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case string(opening[:len(magic)]) != magic:
		return nil, nil, fmt.Errorf("%w: no such file type", ErrMalformed)
	case opening[len(magic)] != formatVersion:
		return nil, nil, fmt.Errorf("%w: version %d, this program reads version %d", ErrMalformed, opening[len(magic)], formatVersion)
	case opening[len(magic)+1] != kind:
		return nil, nil, fmt.Errorf("%w: electors, addresses and members are in files of their own, this is another one", ErrMalformed)
	}
	header, err := s.vector()
	if err != nil {
		return nil, nil, err
	}
	return s, bytes.Clone(header), nil
}

// vector reads a vector behind a uint16 length; it is valid until the next call.
func (s *streamReader) vector() ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(s.gz, length[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, unexpected(err))
	}
	v := s.chunk[:int(length[0])<<8|int(length[1])]
	if _, err := io.ReadFull(s.gz, v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, unexpected(err))
	}
	return v, nil
}

// unexpected turns the end of the file in the middle of it into an error that
// no caller takes for its proper end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// records hands every record to read, which takes it off the string, and then
// checks that the file ends. It wipes its buffer.
func (s *streamReader) records(read func(*cryptobyte.String) error) error {
	defer clear(s.chunk)
	for {
		chunk, err := s.vector()
		if err != nil {
			return err
		}
		if len(chunk) == 0 {
			break
		}
		rest := cryptobyte.String(chunk)
		for first := true; !rest.Empty(); first = false {
			before := len(rest)
			if err := read(&rest); err != nil {
				return err
			}
			if first && s.last > 0 && s.last+before-len(rest) <= maxChunk {
				return fmt.Errorf("%w: a chunk ends before it is full", ErrMalformed)
			}
		}
		s.last = len(chunk)
	}
	if _, err := s.gz.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("%w: something follows its end (%v)", ErrMalformed, err)
	}
	if _, err := s.plain.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: something follows its end (%v)", ErrMalformed, err)
	}
	return nil
}

func addString8(b *cryptobyte.Builder, s string) {
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(s)) })
}

func addBinding(b *cryptobyte.Builder, v Binding) {
	addString8(b, v.Election)
	b.AddUint32(uint32(v.Commune))
	live := uint8(0)
	if v.Live {
		live = 1
	}
	b.AddUint8(live)
}

// readBinding reads a binding and refuses one that is not want.
func readBinding(s *cryptobyte.String, want Binding) error {
	var name cryptobyte.String
	var commune uint32
	var live uint8
	if !s.ReadUint8LengthPrefixed(&name) || !s.ReadUint32(&commune) || !s.ReadUint8(&live) || live > 1 || !validText(name, 1, MaxElection) {
		return fmt.Errorf("%w: its header", ErrMalformed)
	}
	got := Binding{Election: string(name), Commune: ledger.Commune(commune), Live: live == 1}
	if got != want {
		return fmt.Errorf("%w: it is of %v, this bureau needs %v: take the files from this bureau's own key", ErrForeign, got, want)
	}
	return nil
}
