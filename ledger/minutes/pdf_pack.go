package minutes

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// The fonts in a file are compressed by whoever links the compressor: another release of Go may write other bytes
// for them. Here they are packed by PDF's run lengths (ISO 32000-1, 7.4.5) in place of it, whose one form stands below.

const flate = "/Filter /FlateDecode"

var (
	streamLength = regexp.MustCompile(`/Length (\d+)`)
	crossRef     = regexp.MustCompile(`xref\n0 (\d+)\n`)
	errForm      = errors.New("the file has not the form that its maker writes")
)

// repack writes each compressed stream of a PDF anew, and the table of where objects are.
func repack(in []byte) ([]byte, error) {
	starts, trailer, err := objects(in)
	if err != nil {
		return nil, fmt.Errorf("repack file: %w", err)
	}
	out := append([]byte(nil), in[:starts[0]]...)
	moved := make(map[int]int, len(starts)-1)
	for i, at := range starts[:len(starts)-1] {
		moved[at] = len(out)
		object, err := repackObject(in[at:starts[i+1]])
		if err != nil {
			return nil, fmt.Errorf("repack file: %w", err)
		}
		out = append(out, object...)
	}
	table := len(out)
	head := crossRef.FindSubmatchIndex(in[trailer:])
	count, err := strconv.Atoi(string(in[trailer+head[2] : trailer+head[3]]))
	if err != nil || count < 1 {
		return nil, fmt.Errorf("repack file: %w", errForm)
	}
	out = append(out, in[trailer:trailer+head[1]]...)
	const line = 20
	lines := in[trailer+head[1]:]
	for i := range count {
		entry := append([]byte(nil), lines[i*line:(i+1)*line]...)
		if i > 0 {
			at, err := strconv.Atoi(string(entry[:10]))
			now, ok := moved[at]
			if err != nil || !ok {
				return nil, fmt.Errorf("repack file: object %d: %w", i, errForm)
			}
			copy(entry, fmt.Appendf(nil, "%010d", now))
		}
		out = append(out, entry...)
	}
	rest := lines[count*line:]
	end := bytes.Index(rest, []byte("startxref\n"))
	if end < 0 {
		return nil, fmt.Errorf("repack file: %w", errForm)
	}
	out = append(out, rest[:end]...)
	return fmt.Appendf(out, "startxref\n%d\n%%%%EOF\n", table), nil
}

// objects are where each object begins, in the file's order, the last of them where the table of references does.
func objects(in []byte) (starts []int, table int, err error) {
	at := bytes.LastIndex(in, []byte("startxref\n"))
	if at < 0 {
		return nil, 0, errForm
	}
	digits, _, _ := bytes.Cut(in[at+len("startxref\n"):], []byte("\n"))
	if table, err = strconv.Atoi(string(digits)); err != nil || table < 0 || table > at {
		return nil, 0, errForm
	}
	if m := crossRef.FindIndex(in[table:]); m == nil || m[0] != 0 {
		return nil, 0, errForm
	}
	for i := 0; i < table; {
		begin := bytes.Index(in[i:table], []byte(" 0 obj\n"))
		if begin < 0 {
			break
		}
		begin = bytes.LastIndexByte(in[:i+begin], '\n') + 1
		starts = append(starts, begin)
		end, err := endOf(in[begin:table])
		if err != nil {
			return nil, 0, err
		}
		i = begin + end
	}
	if len(starts) == 0 {
		return nil, 0, errForm
	}
	return append(starts, table), table, nil
}

// endOf is the length of the object at the beginning of b; what is in its stream is skipped.
func endOf(b []byte) (int, error) {
	end := bytes.Index(b, []byte("endobj\n"))
	if s := bytes.Index(b, []byte("\nstream\n")); s >= 0 && (end < 0 || s < end) {
		n, err := lengthOf(b[:s])
		if err != nil {
			return 0, err
		}
		data := s + len("\nstream\n")
		if data+n > len(b) {
			return 0, errForm
		}
		end = data + n + bytes.Index(b[data+n:], []byte("endobj\n"))
		if end < data+n {
			return 0, errForm
		}
	}
	if end < 0 {
		return 0, errForm
	}
	return end + len("endobj\n"), nil
}

func lengthOf(dict []byte) (int, error) {
	m := streamLength.FindSubmatch(dict)
	if m == nil {
		return 0, errForm
	}
	return strconv.Atoi(string(m[1]))
}

func repackObject(b []byte) ([]byte, error) {
	s := bytes.Index(b, []byte("\nstream\n"))
	if s < 0 || !bytes.Contains(b[:s], []byte(flate)) {
		return b, nil
	}
	n, err := lengthOf(b[:s])
	if err != nil {
		return nil, err
	}
	data := s + len("\nstream\n")
	z, err := zlib.NewReader(bytes.NewReader(b[data : data+n]))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	packed := runLengths(plain)
	dict := bytes.Replace(b[:s], []byte(flate), []byte("/Filter /RunLengthDecode"), 1)
	dict = bytes.Replace(dict, fmt.Appendf(nil, "/Length %d", n), fmt.Appendf(nil, "/Length %d", len(packed)), 1)
	out := append(append([]byte(nil), dict...), "\nstream\n"...)
	return append(append(out, packed...), b[data+n:]...), nil
}

// runLengths packs bytes: n < 128 and n + 1 bytes as they are, or 257 - n and a byte that is there n times.
func runLengths(in []byte) (out []byte) {
	const most, short = 128, 3
	run := func(i int) int {
		n := 1
		for i+n < len(in) && n < most && in[i+n] == in[i] {
			n++
		}
		return n
	}
	for i := 0; i < len(in); {
		if n := run(i); n >= short {
			out = append(out, byte(257-n), in[i])
			i += n
			continue
		}
		from := i
		for i < len(in) && i-from < most && run(i) < short {
			i++
		}
		out = append(append(out, byte(i-from-1)), in[from:i]...)
	}
	return append(out, 128)
}
