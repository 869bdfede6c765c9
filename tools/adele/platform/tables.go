package platform

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A BadRow says why a row of an upload is refused; it never repeats a name or a number.
type BadRow struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// table is a CSV file in UTF-8 whose first row names its columns, in any order.
type csvTable struct {
	columns  []string
	required int // the first so many must be there
	maxRows  int
}

// read gives row every line's columns, "" for those that are not there, and collects what it
// refuses; the outcome is for what makes the whole file no table.
func (t *csvTable) read(raw []byte, row func(line int, get []string) error) ([]BadRow, *outcome) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if name := otherEncoding(raw); name != "" {
		return nil, refuse(http.StatusUnprocessableEntity, "encoding", fmt.Sprintf("the file is not UTF-8 but %s: save it as UTF-8", name))
	}
	in := csv.NewReader(bytes.NewReader(raw))
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "no table", "the file is no CSV with a first row of columns")
	}
	at, err := t.places(header)
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "columns", err.Error())
	}
	var bad []BadRow
	get := make([]string, len(t.columns))
	for n := 0; ; n++ {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return bad, nil
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			return nil, refuse(http.StatusUnprocessableEntity, "no table", fmt.Sprintf("line %d: %v", parse.Line, parse.Err))
		}
		if n >= t.maxRows {
			return nil, refuse(http.StatusUnprocessableEntity, "too many rows", fmt.Sprintf("more than %d rows", t.maxRows))
		}
		line, _ := in.FieldPos(0)
		if err := t.fill(get, record, at); err == nil {
			err = row(line, get)
			if err == nil {
				continue
			}
			bad = append(bad, BadRow{line, err.Error()})
		} else {
			bad = append(bad, BadRow{line, err.Error()})
		}
	}
}

// places says where in a row each column stands, -1 for one that is not there.
func (t *csvTable) places(header []string) ([]int, error) {
	at := make([]int, len(t.columns))
	for i, name := range t.columns {
		at[i] = slices.Index(header, name)
		if at[i] < 0 && i < t.required {
			return nil, fmt.Errorf("the first row names no column %q; it needs %s", name, strings.Join(t.columns[:t.required], ","))
		}
	}
	return at, nil
}

func (t *csvTable) fill(get, record []string, at []int) error {
	for i, k := range at {
		get[i] = ""
		if k < 0 {
			continue
		}
		get[i] = strings.TrimSpace(record[k])
		if len(get[i]) > MaxField || strings.ContainsFunc(get[i], unicode.IsControl) {
			return fmt.Errorf("%s: longer than %d bytes, or not printable", t.columns[i], MaxField)
		}
	}
	return nil
}

// otherEncoding names the encoding of a text that is not UTF-8, "" when it is.
func otherEncoding(raw []byte) string {
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}):
		return "UTF-16 (little-endian)"
	case bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return "UTF-16 (big-endian)"
	case bytes.IndexByte(raw[:min(len(raw), 64)], 0) >= 0:
		return "UTF-16, or no text"
	case utf8.Valid(raw):
		return ""
	}
	for _, b := range raw {
		if b >= 0x80 && b < 0xa0 {
			return "Windows-1252"
		}
	}
	return "ISO 8859-1 (Latin-1) or Windows-1252"
}

// refuseRows answers with every bad row; nothing of the file is kept.
func refuseRows(bad []BadRow) *outcome {
	total := len(bad)
	out := answerJSON(http.StatusUnprocessableEntity, struct {
		Refused int      `json:"refused"`
		Rows    []BadRow `json:"rows"`
	}{total, bad[:min(total, MaxBadRows)]})
	out.refused, out.why, out.count = true, "bad rows", total
	return out
}

// writeCSV is a table as bytes.
func writeCSV(header []string, rows [][]string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(header) // a buffer takes everything
	_ = w.WriteAll(rows)
	return b.Bytes()
}

func answerCSV(header []string, rows [][]string) *outcome {
	return &outcome{status: http.StatusOK, kind: "text/csv; charset=utf-8", body: writeCSV(header, rows), count: len(rows)}
}
