package preparation

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// readLine is the next line without its end; errTooLong when it was passed over.
func readLine(r *bufio.Reader) (string, error) {
	text, err := r.ReadSlice('\n')
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

func (in *importer) readHeader(text string, err error) error {
	text = strings.TrimPrefix(text, "\ufeff") // as Excel saves UTF-8
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
	for c := range in.place {
		in.place[c] = -1
	}
	for k, name := range names {
		c := slices.Index(columns[:], strings.ToLower(strings.TrimSpace(name)))
		switch {
		case c < 0:
			return fmt.Errorf("line 1: unknown column %.40q: the columns are %s", name, strings.Join(columns[:], ","))
		case in.place[c] >= 0:
			return fmt.Errorf("line 1: column %s is there twice", columns[c])
		}
		in.place[c] = k
	}
	for c := range requiredColumns {
		if in.place[c] < 0 {
			return fmt.Errorf("line 1: column %s is missing: the columns are %s", columns[c], strings.Join(columns[:], ","))
		}
	}
	in.width = len(names)
	return nil
}

// splitRow cuts a line into its fields (RFC 4180; a quoted field stays on its
// line, since none of these columns has two).
func splitRow(text string, fields []string) ([]string, error) {
	if !utf8.ValidString(text) {
		return fields, errors.New("the line is not UTF-8: save the list as UTF-8")
	}
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
