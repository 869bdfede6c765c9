package preparation

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// byteOrderMark is what some programs write before UTF-8; it is passed over.
const byteOrderMark = "\ufeff"

// encodingError says that a file is text in another encoding than UTF-8.
type encodingError struct {
	line int
	name string
}

// Error names the encoding and the way out.
func (e *encodingError) Error() string {
	return fmt.Sprintf("line %d: the file is not UTF-8 but %s: save it as UTF-8", e.line, e.name)
}

// otherEncoding names the encoding of a line that is not UTF-8, or "" when it is.
// The first line also tells by its byte order mark, or by the NULs that other
// widths leave between ASCII letters.
func otherEncoding(line []byte, first bool) string {
	if first {
		switch {
		case bytes.HasPrefix(line, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(line, []byte{0, 0, 0xfe, 0xff}):
			return "UTF-32"
		case bytes.HasPrefix(line, []byte{0xff, 0xfe}):
			return "UTF-16 (little-endian)"
		case bytes.HasPrefix(line, []byte{0xfe, 0xff}):
			return "UTF-16 (big-endian)"
		}
		if name := wideEncoding(line); name != "" {
			return name
		}
	}
	if utf8.Valid(line) {
		return ""
	}
	return byteEncoding(line)
}

// wideEncoding names UTF-16 without a mark: every second byte of ASCII text is NUL.
func wideEncoding(line []byte) string {
	var nul [2]int
	for i, c := range line {
		if c == 0 {
			nul[i%2]++
		}
	}
	switch half := len(line) / 4; {
	case len(line) < 8:
	case nul[1] > half && nul[0] == 0:
		return "UTF-16 (little-endian)"
	case nul[0] > half && nul[1] == 0:
		return "UTF-16 (big-endian)"
	}
	return ""
}

// byteEncoding guesses the eight-bit encoding of a line by where its letters with
// accents lie: above 0xC0 in ISO 8859-1 and Windows-1252, which differ below 0xA0,
// and there in code page 850.
func byteEncoding(line []byte) string {
	var low, dos, high int
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		if c := line[0]; r == utf8.RuneError && n == 1 {
			low += count(c < 0xa0)
			high += count(c >= 0xc0)
			// ü é â ä à ç ê ë è ï î ì É
			dos += count(c >= 0x81 && c <= 0x8d || c == 0x90)
		}
		line = line[n:]
	}
	switch {
	case low == 0:
		return "ISO 8859-1 (Latin-1) or Windows-1252"
	case high == 0 && dos == low:
		return "code page 850 (DOS)"
	}
	return "Windows-1252"
}
