package journal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/cryptobyte"

	"pointage/ledger"
)

// The files on a medium. journal.hardware is there only on media without a hardware
// identity of their own.
const (
	headerFile   = "journal.head"
	recordsFile  = "journal.records"
	hardwareFile = "journal.hardware"
)

// The header of a medium, in the TLS presentation language:
//
//	opaque magic[16] = "pointage-journal"; uint16 version = 1;
//	opaque body<0..2^16-1> = { opaque set[16]; uint8 member; uint32 generation;
//	    opaque hardware<1..255> [3 times: the members of this generation, absent ones empty];
//	    opaque manifest[32]; uint32 commune; uint16 bureau; uint8 incarnation }
//	opaque sum[32]: SHA-256 of all before
//	opaque tag[32]: HMAC-SHA-256 of all before sum, under a key from the journal's
//
// The sum tells a damaged header from a foreign one without the key; the tag keeps others
// from making up members and generations.
const (
	headerMagic   = "pointage-journal"
	headerVersion = 1
	maxHeader     = 2 << 10
	maxHardware   = 255
)

// binding is whose journal it is.
type binding struct {
	manifest    ledger.Hash
	commune     ledger.Commune
	bureau      ledger.BureauNumber
	incarnation ledger.Incarnation
}

// header says which set a medium belongs to. It is written once for each generation.
type header struct {
	set        [16]byte
	member     int
	generation uint32
	// hardware identifies each member of this generation, empty for one that was
	// absent when the set was made.
	hardware [members]string
	binding  binding
}

func (o *Options) binding() binding {
	return binding{o.Group.Manifest, o.Group.Commune, o.Bureau, o.Incarnation}
}

// deriveKey separates the uses of the journal's key.
func deriveKey(key [32]byte, use string) []byte {
	k, err := hkdf.Expand(sha256.New, key[:], "pointage/journal/"+use+"/v1", 32)
	if err != nil {
		panic(fmt.Sprintf("derive 32 bytes from 32: %v", err))
	}
	return k
}

func headerTag(key [32]byte, signed []byte) []byte {
	h := hmac.New(sha256.New, deriveKey(key, "header"))
	h.Write(signed)
	return h.Sum(nil)
}

func (h *header) encode(key [32]byte) []byte {
	b := cryptobyte.NewBuilder([]byte(headerMagic))
	b.AddUint16(headerVersion)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddBytes(h.set[:])
		b.AddUint8(uint8(h.member))
		b.AddUint32(h.generation)
		for _, w := range h.hardware {
			b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(w)) })
		}
		b.AddBytes(h.binding.manifest[:])
		b.AddUint32(uint32(h.binding.commune))
		b.AddUint16(uint16(h.binding.bureau))
		b.AddUint8(uint8(h.binding.incarnation))
	})
	out := b.BytesOrPanic()
	sum, tag := sha256.Sum256(out), headerTag(key, out)
	return append(append(out, sum[:]...), tag...)
}

// decodeHeader reads what encode writes and checks it against who opens it.
func decodeHeader(in []byte, key [32]byte, want binding) (*header, *MediumError) {
	s := cryptobyte.String(in)
	var magic, body []byte
	var version uint16
	if !s.ReadBytes(&magic, len(headerMagic)) || string(magic) != headerMagic || !s.ReadUint16(&version) {
		return nil, &MediumError{Problem: Damaged, Detail: "its header is not one"}
	}
	if version > headerVersion {
		return nil, &MediumError{Problem: NewerFormat, Detail: fmt.Sprintf("format %d, this program knows %d", version, headerVersion)}
	}
	if !s.ReadUint16LengthPrefixed((*cryptobyte.String)(&body)) || version == 0 || len(s) != 2*sha256.Size {
		return nil, &MediumError{Problem: Damaged, Detail: "its header is malformed"}
	}
	signed := in[:len(in)-2*sha256.Size]
	if sum := sha256.Sum256(signed); !bytes.Equal(sum[:], s[:sha256.Size]) {
		return nil, &MediumError{Problem: Damaged, Detail: "its header does not have its checksum"}
	}
	h := new(header)
	if !h.decodeBody(body) {
		return nil, &MediumError{Problem: Damaged, Detail: "its header is malformed"}
	}
	if got := h.binding; got != want {
		return nil, foreign(got, want)
	}
	if !hmac.Equal(headerTag(key, signed), s[sha256.Size:]) {
		return nil, &MediumError{Problem: WrongKey}
	}
	return h, nil
}

func (h *header) decodeBody(s cryptobyte.String) bool {
	var member, incarnation uint8
	ok := s.CopyBytes(h.set[:]) && s.ReadUint8(&member) && member < members && s.ReadUint32(&h.generation)
	for i := range h.hardware {
		var w cryptobyte.String
		ok = ok && s.ReadUint8LengthPrefixed(&w)
		h.hardware[i] = string(w)
	}
	b := &h.binding
	ok = ok && s.CopyBytes(b.manifest[:]) && s.ReadUint32((*uint32)(&b.commune)) && s.ReadUint16((*uint16)(&b.bureau)) && s.ReadUint8(&incarnation)
	h.member, b.incarnation = int(member), ledger.Incarnation(incarnation)
	return ok && s.Empty()
}

// foreign says in what the journal on a medium is not the one that is opened.
func foreign(got, want binding) *MediumError {
	switch {
	case got.manifest != want.manifest:
		return &MediumError{Problem: OtherElection, Detail: fmt.Sprintf("its manifest is %.8s…, this one %.8s…", got.manifest, want.manifest)}
	case got.commune != want.commune || got.bureau != want.bureau:
		return &MediumError{Problem: OtherBureau, Detail: fmt.Sprintf("commune %d, bureau %d", got.commune, got.bureau)}
	}
	return &MediumError{Problem: OtherIncarnation, Detail: fmt.Sprintf("incarnation %d, the keys are those of %d", got.incarnation, want.incarnation)}
}

// readHeader reads the header of the medium at a place of the set.
func (o *Options) readHeader(place int) (*header, *MediumError) {
	m := o.Media[place]
	fail := func(e *MediumError) (*header, *MediumError) {
		e.Place, e.Path = place, m.Path
		return nil, e
	}
	if m.Path == "" || !o.files.IsDir(m.Path) {
		return fail(&MediumError{Problem: Absent})
	}
	in, err := readSmall(o.files, filepath.Join(m.Path, headerFile), maxHeader)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(&MediumError{Problem: NoJournal})
	}
	if err != nil {
		return fail(&MediumError{Problem: Unreadable, Err: err})
	}
	h, problem := decodeHeader(in, o.JournalKey, o.binding())
	if problem != nil {
		return fail(problem)
	}
	have := m.Hardware
	if have == "" {
		b, err := readSmall(o.files, filepath.Join(m.Path, hardwareFile), maxHardware)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(&MediumError{Problem: Unreadable, Err: err})
		}
		have = string(b)
	}
	if have != h.hardware[h.member] {
		return fail(&MediumError{Problem: Copied})
	}
	return h, nil
}

// drawHardware makes an identity for a medium that has none of its own.
func (o *Options) drawHardware() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(o.Random, b[:]); err != nil {
		return "", fmt.Errorf("draw hardware identity: %w", err)
	}
	return "directory " + hex.EncodeToString(b[:]), nil
}
