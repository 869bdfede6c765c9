package preparation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
)

// Limits of a file of rows.
const (
	// MaxLine is the longest line, in bytes.
	MaxLine = 4096
	// MaxFile is the longest file of rows, in bytes: a list of 100,000 electors
	// has about 10 MB.
	MaxFile = 256 << 20
	// rowsBetween is how many rows are read between two looks at the context.
	rowsBetween = 4096
)

// table reads a file of rows: CSV in UTF-8, the first line names the columns, in
// any order; a row is one line.
type table struct {
	columns  []string
	required int // so many of the first columns must be there
	maxRows  int
	progress func(rows int)

	place []int // of each column in the file, -1 when absent
	width int
	rows  int
	bad   []BadRow
}

var errTooLong = errors.New("the line is too long")

// errTooBig says that a file can't be what it is said to be.
var errTooBig = fmt.Errorf("it has more than %d MB: this is no list of one commune", MaxFile>>20)

// read hands every row's fields, in the order of the table's columns and with
// single spaces, to row; what row refuses is noted in bad. The error is for what
// makes the whole file none of its kind.
func (t *table) read(ctx context.Context, r io.Reader, row func(line int, get []string) error) error {
	limited := &io.LimitedReader{R: r, N: MaxFile + 1}
	lines := bufio.NewReaderSize(limited, MaxLine)
	fields, get := make([]string, 0, len(t.columns)), make([]string, len(t.columns))
	for line := 1; ; line++ {
		text, err := readLine(lines, line)
		if wrong := new(encodingError); errors.As(err, &wrong) {
			return err
		}
		if limited.N == 0 {
			return errTooBig
		}
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, errTooLong) {
			return err
		}
		if line == 1 {
			if err := t.readHeader(text, err); err != nil {
				return because{err, whyFile}
			}
			continue
		}
		if err == nil && text == "" {
			continue
		}
		if err := t.count(ctx); err != nil {
			return err
		}
		if err == nil {
			fields, err = splitRow(text, fields[:0])
		}
		if err == nil {
			err = t.arrange(fields, get)
		}
		if err == nil {
			err = row(line, get)
		}
		if err != nil {
			t.bad = append(t.bad, badRow(line, err))
		}
	}
	if t.width == 0 {
		return refused(whyFile, "the file is empty: its first row must name the columns")
	}
	if t.progress != nil {
		t.progress(t.rows)
	}
	return nil
}

func (t *table) count(ctx context.Context) error {
	if t.rows++; t.rows > t.maxRows {
		return refused(whySize, "more than %d rows: this is no list of one commune", t.maxRows)
	}
	if t.rows%rowsBetween == 0 {
		if t.progress != nil {
			t.progress(t.rows)
		}
		return ctx.Err()
	}
	return nil
}

// arrange puts a row's fields in the order of the table's columns.
func (t *table) arrange(fields, get []string) error {
	if len(fields) != t.width {
		return fmt.Errorf("%d fields where the first row has %d", len(fields), t.width)
	}
	for c, k := range t.place {
		get[c] = ""
		if k < 0 {
			continue
		}
		get[c] = singleSpaced(fields[k])
		if strings.ContainsFunc(get[c], unicode.IsControl) {
			return fmt.Errorf("%s: a control character", t.columns[c])
		}
	}
	return nil
}

// singleSpaced is a field without spaces around it and with single ones inside.
func singleSpaced(s string) string {
	if !strings.Contains(s, "  ") && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && unicode.IsSpace(r) }) {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// openRows opens a file of rows; one that is too big is refused by its size,
// before any of it is read.
func openRows(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, wrongUse("%w", refused(whyFile, "%v: give the file of the list", err))
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = wrongUse("%w", refused(whyFile, "%s is a directory: give the file of the list", name))
	}
	if err == nil && st.Size() > MaxFile {
		err = wrongUse("%s: %w", name, errTooBig)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readLine is the next line without its end; errTooLong when it was passed over,
// an *encodingError when it is not UTF-8.
func readLine(r *bufio.Reader, line int) (string, error) {
	text, err := r.ReadSlice('\n')
	if err == nil || err == bufio.ErrBufferFull || err == io.EOF {
		if name := otherEncoding(whole(text, err), line == 1); name != "" {
			return "", &encodingError{line, name}
		}
	}
	if err == bufio.ErrBufferFull {
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return "", err
		}
		return "", errTooLong
	}
	if err != nil && (err != io.EOF || len(text) == 0) {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// whole takes off a character that the end of the buffer has cut.
func whole(text []byte, err error) []byte {
	if err != bufio.ErrBufferFull {
		return text
	}
	for k := len(text) - 1; k >= max(0, len(text)-4); k-- {
		if text[k] >= 0xc0 {
			return text[:k]
		}
		if text[k] < 0x80 {
			break
		}
	}
	return text
}

func (t *table) readHeader(text string, err error) error {
	text = strings.TrimPrefix(text, byteOrderMark) // as Excel saves UTF-8
	if err == nil && strings.Count(text, ";") > strings.Count(text, ",") {
		return errors.New("line 1: columns are separated by semicolons: save the list as CSV with commas")
	}
	var names []string
	if err == nil {
		names, err = splitRow(text, nil)
	}
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	t.place = make([]int, len(t.columns))
	for c := range t.place {
		t.place[c] = -1
	}
	for k, name := range names {
		c := slices.Index(t.columns, strings.ToLower(strings.TrimSpace(name)))
		switch {
		case c < 0:
			// Not quoted: without a first row of names this would be an elector's.
			return fmt.Errorf("line 1: unknown column (number %d): the first row names the columns, %s", k+1, strings.Join(t.columns, ","))
		case t.place[c] >= 0:
			return fmt.Errorf("line 1: column %s is there twice", t.columns[c])
		}
		t.place[c] = k
	}
	for c := range t.required {
		if t.place[c] < 0 {
			return fmt.Errorf("line 1: column %s is missing: the columns are %s", t.columns[c], strings.Join(t.columns, ","))
		}
	}
	t.width = len(names)
	return nil
}

// splitRow cuts a line into its fields (RFC 4180; a quoted field stays on its
// line, since none of these columns has two).
func splitRow(text string, fields []string) ([]string, error) {
	for {
		if !strings.HasPrefix(text, `"`) {
			field, rest, more := strings.Cut(text, ",")
			if strings.Contains(field, `"`) {
				return fields, errors.New(`a quote (") inside a field without quotes`)
			}
			fields = append(fields, field)
			if !more {
				return fields, nil
			}
			text = rest
			continue
		}
		field, rest, err := quoted(text[1:])
		if err != nil {
			return fields, err
		}
		fields = append(fields, field)
		if rest == "" {
			return fields, nil
		}
		if rest[0] != ',' {
			return fields, errors.New(`something follows a closing quote (")`)
		}
		text = rest[1:]
	}
}

// quoted reads a quoted field, behind its opening quote.
func quoted(text string) (field, rest string, err error) {
	var b strings.Builder
	for {
		part, after, closed := strings.Cut(text, `"`)
		if !closed {
			return "", "", errors.New(`a quote (") is opened and not closed on its line`)
		}
		b.WriteString(part)
		if !strings.HasPrefix(after, `"`) {
			return b.String(), after, nil
		}
		b.WriteByte('"')
		text = after[1:]
	}
}
