package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// The files on a medium.
const (
	headerFile  = "journal.head"
	recordsFile = "journal.records"
	headerMagic = "pointage journal 1\n"
	maxHardware = 255
)

// header says which set a medium belongs to. It is written once for each generation.
type header struct {
	set        [16]byte
	member     int
	generation uint32
	// hardware of each member of this generation.
	hardware    [3]string
	manifest    ledger.Hash
	commune     ledger.Commune
	bureau      ledger.BureauNumber
	incarnation ledger.Incarnation
}

func (h *header) encode() []byte {
	b := cryptobyte.NewBuilder([]byte(headerMagic))
	b.AddBytes(h.set[:])
	b.AddUint8(uint8(h.member))
	b.AddUint32(h.generation)
	for _, w := range h.hardware {
		b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(w)) })
	}
	b.AddBytes(h.manifest[:])
	b.AddUint32(uint32(h.commune))
	b.AddUint16(uint16(h.bureau))
	b.AddUint8(uint8(h.incarnation))
	body := b.BytesOrPanic()
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

var errHeader = errors.New("its journal header is damaged or of a newer program")

func decodeHeader(in []byte) (*header, error) {
	if len(in) < sha256.Size || !bytes.HasPrefix(in, []byte(headerMagic)) {
		return nil, errHeader
	}
	body, sum := in[:len(in)-sha256.Size], in[len(in)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return nil, errHeader
	}
	s := cryptobyte.String(body[len(headerMagic):])
	h := new(header)
	var member, incarnation uint8
	var commune uint32
	var bureau uint16
	ok := s.CopyBytes(h.set[:]) && s.ReadUint8(&member) && member < 3 && s.ReadUint32(&h.generation)
	for i := range h.hardware {
		var w cryptobyte.String
		ok = ok && s.ReadUint8LengthPrefixed(&w)
		h.hardware[i] = string(w)
	}
	ok = ok && s.CopyBytes(h.manifest[:]) && s.ReadUint32(&commune) && s.ReadUint16(&bureau) && s.ReadUint8(&incarnation) && s.Empty()
	if !ok {
		return nil, errHeader
	}
	h.member, h.commune, h.bureau, h.incarnation = int(member), ledger.Commune(commune), ledger.BureauNumber(bureau), ledger.Incarnation(incarnation)
	return h, nil
}

// medium is one attached member of the set. Its own goroutine writes it.
type medium struct {
	member int
	dir    string
	header *header
	f      file
	queue  chan writing
	done   sync.WaitGroup

	mu   sync.Mutex
	size int64
	err  error
}

// writing is a record on its way; ack gets one answer.
type writing struct {
	record []byte
	ack    chan<- error
}

// readHeader reads a medium's header; a directory without one is fs.ErrNotExist.
func readHeader(fsys files, m Medium) (*header, error) {
	b, err := fsys.ReadFile(filepath.Join(m.Path, headerFile))
	if err != nil {
		return nil, err
	}
	h, err := decodeHeader(b)
	if err != nil {
		return nil, err
	}
	if m.Hardware != "" && h.hardware[h.member] != m.Hardware {
		return nil, errors.New("it is a copy: the journal was made on another piece of hardware")
	}
	return h, nil
}

// scan reads all good records; good is the offset after the last one, bad how many
// stretches were skipped before it.
func scan(b []byte, s *sealer, take func(plain []byte) error) (good int64, bad int) {
	for at := 0; at+4 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n < minRecord || n > maxRecord || at+4+n > len(b) {
			return good, bad
		}
		plain, err := s.open(b[at+4 : at+4+n])
		if err == nil {
			err = take(plain)
		}
		at += 4 + n
		if err != nil {
			bad++
			continue
		}
		good = int64(at)
	}
	return good, bad
}

// attach opens the medium's records for writing, without the torn tail.
func (m *medium) attach(fsys files, good int64) error {
	f, err := fsys.Append(filepath.Join(m.dir, recordsFile))
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(good), f.Sync(), fsys.SyncDir(m.dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	m.f, m.size = f, good
	return nil
}

// run writes what is queued, all that waits with one fsync, until the queue is closed.
func (m *medium) run() {
	defer m.done.Done()
	for w := range m.queue {
		acks, buf := []chan<- error{w.ack}, append([]byte(nil), w.record...)
		for more := true; more && len(buf) < 1<<20; {
			select {
			case x, ok := <-m.queue:
				if more = ok; ok {
					acks, buf = append(acks, x.ack), append(buf, x.record...)
				}
			default:
				more = false
			}
		}
		err := m.write(buf)
		for _, a := range acks {
			a <- err
		}
	}
}

// write appends and fsyncs; the first fault ends the medium, with what was half written
// cut off if it still can be.
func (m *medium) write(b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	_, err := m.f.Write(b)
	if err == nil {
		err = m.f.Sync()
	}
	if err != nil {
		m.err = fmt.Errorf("medium %d: %w", m.member, errors.Join(err, m.f.Truncate(m.size)))
		return m.err
	}
	m.size += int64(len(b))
	return nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
