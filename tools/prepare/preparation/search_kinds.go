package preparation

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// What a file is, by how it begins: names and numbers do not lie open in all of them.
type fileKind uint8

const (
	plainFile  fileKind = iota // text, or bytes in which text lies as it is
	gzipFile                   // .gz
	bzip2File                  // .bz2
	zipFile                    // .zip, .xlsx, .docx, .ods
	pdfFile                    // those of this project are not compressed, those of others are
	sealedFile                 // by age, to somebody's key: a register or a paper list
	opaqueFile                 // an image, an encrypted or another compressed file: a person must look
)

const (
	// headBytes is how much of a file tells what it is.
	headBytes = 512
	// maxDepth is how deep files lie in each other, and maxNested how long one is that lies in another, in bytes.
	maxDepth  = 3
	maxNested = 64 << 20
	// maxInflated is how much one file is unpacked to, in bytes; what is beyond, a person must look at.
	maxInflated = 16 << 30
)

// opaqueBeginnings are those of PNG, JPEG, TIFF, 7-Zip, RAR, xz and Zstandard.
var opaqueBeginnings = []string{"\x89PNG", "\xff\xd8\xff", "II*\x00", "MM\x00*", "7z\xbc\xaf", "Rar!", "\xfd7zXZ", "\x28\xb5\x2f\xfd"}

// Files of age: to a passphrase are keys, which copies would be found of; to anything else is data.
const (
	ageBeginning   = "age-encryption.org/v1\n"
	ageArmour      = "-----BEGIN AGE ENCRYPTED FILE-----"
	agePassphrase  = ageBeginning + "-> scrypt "
	tableExtension = ".sst"
)

func kindOf(name string, head []byte) fileKind {
	begins := func(text string) bool { return bytes.HasPrefix(head, []byte(text)) }
	switch {
	case begins(agePassphrase):
		return plainFile
	case begins(ageBeginning), begins(ageArmour):
		return sealedFile
	case begins("\x1f\x8b"):
		return gzipFile
	case begins("BZh"):
		return bzip2File
	case begins("PK\x03\x04"):
		return zipFile
	case begins("%PDF-"):
		return pdfFile
	case strings.HasSuffix(name, tableExtension): // Pebble's tables are compressed block by block
		return opaqueFile
	}
	for _, beginning := range opaqueBeginnings {
		if begins(beginning) {
			return opaqueFile
		}
	}
	return plainFile
}

// looked is what a look at one file has shown.
type looked struct {
	size   int64
	hit    bool
	opaque bool // a part of it could not be read
}

func (l *looked) add(other looked) { l.hit, l.opaque = l.hit || other.hit, l.opaque || other.opaque }

// contents looks at what a stream unpacks to, and into what lies in that.
func (s *searcher) contents(r io.Reader, depth int) looked {
	in := bufio.NewReaderSize(&io.LimitedReader{R: uncut{r}, N: maxInflated}, headBytes)
	head, _ := in.Peek(headBytes) // what is wrong with it shows when it is read
	kind := kindOf("", head)
	var inner io.Reader = in
	var out looked
	if kind != plainFile && kind != sealedFile && kind != opaqueFile {
		all, err := io.ReadAll(io.LimitReader(in, maxNested+1))
		if err != nil || len(all) > maxNested || depth >= maxDepth {
			return looked{opaque: true}
		}
		out = s.unpacked(bytes.NewReader(all), int64(len(all)), kind, depth+1)
		inner = bytes.NewReader(all)
	}
	n, hit, err := s.stream(inner, true, nil)
	out.add(looked{hit: hit || kind == sealedFile, opaque: kind == opaqueFile || err != nil || n >= maxInflated})
	return out
}

// uncut tells what was cut off from what has ended.
type uncut struct{ io.Reader }

var errCutOff = errors.New("it is cut off")

// Read implements io.Reader.
func (u uncut) Read(b []byte) (int, error) {
	n, err := u.Reader.Read(b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCutOff
	}
	return n, err
}

// unpacked looks into a file that holds others, or is compressed.
func (s *searcher) unpacked(r io.ReaderAt, size int64, kind fileKind, depth int) looked {
	section := io.NewSectionReader(r, 0, size)
	switch kind {
	case gzipFile:
		z, err := gzip.NewReader(section)
		if err != nil {
			return looked{opaque: true}
		}
		return s.contents(z, depth)
	case bzip2File:
		return s.contents(bzip2.NewReader(section), depth)
	case zipFile:
		return s.zipped(r, size, depth)
	case pdfFile:
		return s.pdf(section)
	}
	return looked{hit: kind == sealedFile, opaque: kind == opaqueFile}
}

func (s *searcher) zipped(r io.ReaderAt, size int64, depth int) looked {
	const encrypted = 1 // of a file's flags
	z, err := zip.NewReader(r, size)
	if err != nil {
		return looked{opaque: true}
	}
	var out looked
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil || f.Flags&encrypted != 0 {
			out.opaque = true
			continue
		}
		out.add(s.contents(in, depth))
		out.add(looked{hit: s.in([]byte(f.Name), true), opaque: in.Close() != nil})
		if out.hit {
			break
		}
	}
	return out
}

// pdf inflates a file's streams. What another program has written may show its text by the numbers of its
// shapes, which nothing is found in.
func (s *searcher) pdf(r io.Reader) looked {
	all, err := io.ReadAll(io.LimitReader(r, maxNested+1))
	if err != nil || len(all) > maxNested {
		return looked{opaque: true}
	}
	out := looked{opaque: bytes.Contains(all, []byte("/FlateDecode"))}
	for rest := all; !out.hit; {
		at := bytes.Index(rest, []byte("stream"))
		if at < 0 {
			break
		}
		rest = bytes.TrimLeft(rest[at+len("stream"):], "\r\n")
		z, err := zlib.NewReader(bytes.NewReader(rest))
		if err != nil {
			continue
		}
		_, hit, _ := s.stream(io.LimitReader(z, maxNested), true, nil) // what is cut off was no stream
		out.hit = hit
	}
	return out
}

// stream looks at bytes as they come; digest, when given, is fed with them. It stops at the first hit.
func (s *searcher) stream(r io.Reader, named bool, digest hash.Hash) (size int64, hit bool, err error) {
	if s.chunk == nil {
		s.chunk = make([]byte, searchOverlap+searchChunk)
	}
	chunk := s.chunk
	kept, wide := 0, binary.ByteOrder(nil)
	for {
		n, err := io.ReadFull(r, chunk[kept:])
		if size == 0 {
			wide = wideOrder(chunk[:n])
		}
		size += int64(n)
		if digest != nil {
			digest.Write(chunk[kept : kept+n])
		}
		if n > 0 && s.inForms(chunk[:kept+n], wide, named) {
			return size, true, nil
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return size, false, nil
		}
		if err != nil {
			return size, false, err
		}
		kept = copy(chunk, chunk[kept+n-searchOverlap:kept+n])
	}
}

// wideOrder is the order of the bytes of UTF-16, nil for what is none.
func wideOrder(head []byte) binary.ByteOrder {
	name := otherEncoding(head[:min(len(head), headBytes)], true)
	switch {
	case strings.Contains(name, "little-endian"):
		return binary.LittleEndian
	case strings.Contains(name, "big-endian"):
		return binary.BigEndian
	}
	return nil
}

// inForms looks at bytes as they are, and as the text that they are in another encoding: a list that was refused for
// its encoding is left lying about as likely as not. PDF has its text in UTF-16, here and there in the file.
func (s *searcher) inForms(b []byte, wide binary.ByteOrder, named bool) bool {
	if s.in(b, named) {
		return true
	}
	if wide != nil {
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = wide.Uint16(b[2*i:])
		}
		return s.in([]byte(string(utf16.Decode(units))), named)
	}
	narrow := b
	if bytes.IndexByte(b, 0) >= 0 {
		narrow = bytes.ReplaceAll(b, []byte{0}, nil)
		if s.in(narrow, named) {
			return true
		}
	}
	return named && !utf8.Valid(narrow) && s.hasName(fromLatin1(narrow), !hasControls(narrow))
}

// fromLatin1 reads ISO 8859-1 or Windows-1252, which have the same letters but for a few that Belgian names lack.
func fromLatin1(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8)
	for _, c := range b {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// hasControls tells bytes of any kind from text.
func hasControls(b []byte) bool {
	return bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' })
}
