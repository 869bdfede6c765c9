package preparation

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

func TestOtherEncodingsAreRefusedByName(t *testing.T) {
	text := header + strings.Repeat(rowA, 1) + rowB
	for name, e := range map[string]struct {
		encoding encoding.Encoding
		says     string
	}{
		"UTF-16 LE":       {unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "UTF-16 (little-endian)"},
		"UTF-16 BE":       {unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "UTF-16 (big-endian)"},
		"LE without mark": {unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "UTF-16 (little-endian)"},
		"BE without mark": {unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "UTF-16 (big-endian)"},
		"UTF-32":          {utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), "UTF-32"},
		"Latin-1":         {charmap.ISO8859_1, "ISO 8859-1 (Latin-1) or Windows-1252"},
		"Windows":         {charmap.Windows1252, "Windows-1252"},
		"DOS":             {charmap.CodePage850, "code page 850 (DOS)"},
	} {
		in := text
		if name == "Windows" {
			in = strings.Replace(text, "Lefèvre", "d’Œuvre", 1)
		}
		encoded, err := e.encoding.NewEncoder().String(in)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := imported(t, encoded, Rules{SkipBad: true})
		wrong := new(encodingError)
		if list != nil || !errors.As(err, &wrong) || wrong.name != e.says {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, bad, err := imported(t, byteOrderMark+text, Rules{})
	if err != nil || len(bad) > 0 || len(list.People) != 2 {
		t.Errorf("UTF-8 with a mark: %v %v", bad, err)
	}
}

func TestALongLineCutInACharacterIsStillUTF8(t *testing.T) {
	for pad := range 4 {
		_, bad, err := imported(t, header+rowA+strings.Repeat("x", pad)+strings.Repeat("é", MaxLine)+"\n", Rules{})
		if err != nil || len(bad) != 1 || bad[0].Line != 3 || bad[0].Reason != errTooLong.Error() {
			t.Errorf("%v %v", bad, err)
		}
	}
}

func TestAFileOfTwoGigabytesIsRefusedAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "huge.csv")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(2 << 30); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	for _, args := range [][]string{{"import", "--dry-run", "21014=" + name}, {"import", "--work", t.TempDir(), "--by", "A", "21014=" + name}} {
		var out bytes.Buffer
		if code := Command(t.Context(), args, &out, &out); code != exitUsage || !strings.Contains(out.String(), "more than 256 MB") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("exit %d: %s", code, out.String())
		}
	}
}

func TestAPipeWithoutEndIsCutOff(t *testing.T) {
	_, _, err := Import(t.Context(), &endless{left: MaxFile + 10}, Rules{Commune: 21014})
	if !errors.Is(err, errTooBig) {
		t.Errorf("%v", err)
	}
}

// endless is one line that does not end.
type endless struct{ left int }

func (e *endless) Read(b []byte) (int, error) {
	n := min(len(b), e.left)
	for i := range b[:n] {
		b[i] = 'x'
	}
	e.left -= n
	if n == 0 {
		return 0, errors.New("read beyond the limit")
	}
	return n, nil
}

func TestOneNumberUnderTwoNamesNamesBothLines(t *testing.T) {
	_, bad, err := imported(t, header+rowA+strings.Replace(rowA, "Lefèvre", "Autre", 1)+rowA, Rules{})
	if err != nil || len(bad) != 2 {
		t.Fatal(bad, err)
	}
	if want := "line 3: national_number: the same as on line 2, there under another name: find out whose it is"; bad[0].String() != want {
		t.Errorf("%v", bad[0])
	}
	if want := "line 4: national_number: the same as on line 2"; bad[1].String() != want {
		t.Errorf("%v", bad[1])
	}
}

func TestUnknownBureauIsRefusedByLine(t *testing.T) {
	row := "80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,13,\n"
	_, bad, err := imported(t, header+row, Rules{Bureaux: 12})
	if err != nil || len(bad) != 1 || bad[0].Reason != "bureau: there is no bureau 13: the commune has 12" {
		t.Errorf("%v %v", bad, err)
	}
}

func TestAListWithoutItsFirstRowNamesNobody(t *testing.T) {
	_, _, err := imported(t, rowA+rowB, Rules{})
	if err == nil || strings.Contains(err.Error(), "85.07") || strings.Contains(err.Error(), "Lef") {
		t.Errorf("%v", err)
	}
}

// fuzzTable reads any bytes with one of the parsers of people's files: it must not
// panic, nor repeat in a reason what the file holds.
func fuzzTable(f *testing.F, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
		f.Add([]byte(byteOrderMark + strings.ReplaceAll(s, "\n", "\r\n")))
		var wide bytes.Buffer
		for _, u := range utf16.Encode([]rune(s)) {
			wide.Write([]byte{byte(u), byte(u >> 8)})
		}
		f.Add(wide.Bytes())
	}
}

func quiet(t *testing.T, bad []BadRow, err error) {
	t.Helper()
	texts := make([]string, 0, len(bad)+1)
	for _, b := range bad {
		texts = append(texts, b.String())
	}
	if err != nil {
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		if strings.ContainsAny(text, "\n\r") || strings.Contains(text, "85.07.30") || strings.Contains(text, "Lefèvre") {
			t.Fatalf("%q", text)
		}
	}
}

func FuzzUpdates(f *testing.F) {
	fuzzTable(f, updateHead+"strike,85.07.30-033.28,death,,,,,,,,,\nadd,93.05.18-223.61,court-decision,J1,Lefèvre,Jan,,,,,Saint-Josse-ten-Noode,fr\n",
		updateHead+"amend,85.07.30-033.28,moved,,Lefèvre,-,,,,,,\n")
	f.Fuzz(func(t *testing.T, text []byte) {
		w := fuzzed(t)
		before := len(w.List.People)
		n, traces, bad, err := w.Update(t.Context(), bytes.NewReader(text))
		quiet(t, bad, err)
		if got := len(w.List.People); got != before+n.Added-n.Struck || (err != nil || len(bad) > 0) && got != before || len(traces) != n.Added+n.Struck+n.Amended {
			t.Fatalf("%d electors after %+v of %d", got, n, before)
		}
	})
}

func FuzzMembersAndCandidates(f *testing.F) {
	fuzzTable(f, "national_number,bureau,function\n85.07.30-033.28,1,president\n93.05.18-223.61,2,assessor\n",
		"national_number,list,commune,place,surname,first_names\n85.07.30-033.28,L,21014,1,Lefèvre,\n", "bureau,place,role\n1,Lefèvre,principal\n2,B,second\n")
	f.Fuzz(func(t *testing.T, text []byte) {
		w := fuzzed(t)
		_, _, bad, err := w.Mark(t.Context(), bytes.NewReader(text))
		quiet(t, bad, err)
		_, _, bad, err = w.Designate(t.Context(), bytes.NewReader(text))
		quiet(t, bad, err)
		for i := range w.List.People {
			if p := &w.List.People[i]; p.Candidate && p.Member != 0 || (p.Member == 0) != (p.Function == 0) || int(p.Serves) > w.Bureaux {
				t.Fatalf("elector %d: candidate %v, member %d, %v of %d", i, p.Candidate, p.Member, p.Function, p.Serves)
			}
		}
		_, bad, err = ReadOffices(t.Context(), bytes.NewReader(text), 2)
		quiet(t, bad, err)
	})
}

// fuzzed is a working state of two electors in two bureaux, in memory only.
func fuzzed(t *testing.T) *Working {
	list, _, err := imported(t, header+rowA+rowB, Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(list.Divide(2), list.Number(1)); err != nil {
		t.Fatal(err)
	}
	w := &Working{List: list}
	w.Bureaux, w.Method = 2, 1
	return w
}
