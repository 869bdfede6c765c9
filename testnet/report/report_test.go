package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
	"pointage/testnet/simulation"
)

// play is an invented day of n samples, with two faults.
func play(n int) *Record {
	r := new(Record)
	for i := 1; i <= n; i++ {
		s := simulation.Sample{
			Progress: simulation.Progress{CheckIns: 9 * i, Refused: i / 3, Expected: 9 * n, Anchored: uint64(5 * i)},
			At:       time.Duration(i) * 250 * time.Millisecond, Arrived: 10 * i, LedgerSize: uint64(6 * i),
			Faults: []simulation.FaultSpan{{Name: "leader-killed", Began: time.Second, Ended: 2 * time.Second, Over: true}, {Name: "adele-away", Began: 1500 * time.Millisecond}},
		}
		for b := range 8 {
			s.Bureaux = append(s.Bureaux, simulation.BureauSample{Bureau: ledger.BureauNumber(b + 1), Link: "linked", Behind: uint64(b * (i % 7)), Backlog: b % 3, CheckIns: i})
		}
		if i == n/2 {
			s.Bureaux[3].Link = ""
		}
		for k := range 9 {
			s.Home.Add(time.Duration(k+i%5) * time.Millisecond)
		}
		if i%4 == 0 {
			s.Away.Add(1100 * time.Millisecond)
		}
		r.Sample(s)
	}
	return r
}

func run(n int, broken ...simulation.Promise) Run {
	s := &simulation.Summary{
		Seed: 42, Commune: 21014, Bureaux: 8, Electors: 1234, CheckIns: 9 * n, SecondAttemptsRefused: 17, LedgerSize: uint64(6 * n), AnchoredSize: uint64(6 * n), Verified: true,
		Promises: append([]simulation.Promise{{Name: "S1 nobody is admitted <twice> & more", Asked: true, Held: true}}, broken...),
	}
	for _, p := range broken {
		if p.Asked && !p.Held {
			s.Broken = append(s.Broken, p.Name+": "+p.Seen)
		}
	}
	return Run{
		Summary: s, Record: play(n), Place: "Saint-Josse-ten-Noode – Sint-Joost-ten-Node", Command: "go run ./testnet --faults 'a b' --seed 42",
		Verify: "go run ./tools/verify out", Program: "testnet 1", Machine: "linux/amd64", Began: time.Date(2030, 10, 13, 6, 0, 0, 0, time.UTC),
	}
}

func write(t *testing.T, r Run) string {
	t.Helper()
	b, err := Page(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wellFormed reads a text as XML to its end, and returns how often each element opens.
func wellFormed(t *testing.T, s string) map[string]int {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	seen := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return seen
		}
		if err != nil {
			t.Fatalf("%v, near %q", err, s[max(0, d.InputOffset()-80):min(int64(len(s)), d.InputOffset()+20)])
		}
		if e, ok := token.(xml.StartElement); ok {
			seen[e.Name.Local]++
		}
	}
}

// table is the cells of the table with this id, row by row, its head first.
func table(t *testing.T, page, id string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(page, `id="`+id+`"`)
	body, _, ended := strings.Cut(rest, "</table>")
	if !ok || !ended {
		t.Fatalf("no table %s", id)
	}
	cell := regexp.MustCompile(`<t[hd][^>]*>([^<]*)</t[hd]>`)
	for _, tr := range strings.Split(body, "<tr>")[1:] {
		var row []string
		for _, m := range cell.FindAllStringSubmatch(tr, -1) {
			row = append(row, m[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// column sums a column of numbers.
func column(t *testing.T, rows [][]string, name string) (sum int) {
	t.Helper()
	for i, h := range rows[0] {
		if h != name {
			continue
		}
		for _, r := range rows[1:] {
			n, err := strconv.Atoi(r[i])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		return sum
	}
	t.Fatalf("no column %s in %q", name, rows[0])
	return 0
}

func TestTheSameRunGivesTheSameBytes(t *testing.T) {
	a, b := write(t, run(300)), write(t, run(300))
	if a != b {
		t.Error("two pages of one run differ")
	}
	if a == write(t, run(301)) {
		t.Error("two runs gave one page")
	}
}

func TestAPageAndItsDrawingsAreWellFormedAndNeedNothingFromElsewhere(t *testing.T) {
	page := write(t, run(300, simulation.Promise{Name: "L3 nobody is stuck", Asked: true, Seen: "2 never voted"}))
	seen := wellFormed(t, page)
	if seen["figure"] != 4 || seen["title"] != 5 || seen["desc"] != 4 || seen["details"] != 4 {
		t.Errorf("elements: %v", seen)
	}
	if seen["script"]+seen["link"]+seen["img"]+seen["image"]+seen["iframe"]+seen["use"]+seen["a"] > 0 {
		t.Errorf("elements that load: %v", seen)
	}
	bare := strings.NewReplacer(`xmlns="http://www.w3.org/2000/svg"`, "", `xmlns="http://www.w3.org/1999/xhtml"`, "").Replace(page)
	for _, loads := range []string{"://", "href", "src=", "url(", "@import", "javascript", "#010203"} {
		if strings.Contains(bare, loads) {
			t.Errorf("the page has %q", loads)
		}
	}
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	plots := 0
	for _, s := range drawings {
		wellFormed(t, s)
		if !strings.Contains(s, `role="img"`) {
			continue
		}
		plots++
		for _, want := range []string{"<title id=", "<desc id=", "aria-labelledby=", "1 leader-killed", "2 adele-away", "var(--s1)", "seconds since the opening"} {
			if !strings.Contains(s, want) {
				t.Errorf("a plot lacks %s", want)
			}
		}
	}
	if plots != 4 {
		t.Errorf("%d plots of %d drawings", plots, len(drawings))
	}
}

func TestTheNumbersOnAPageAreTheRuns(t *testing.T) {
	const n = 1000
	page := write(t, run(n))
	arrivals := table(t, page, "data-arrivals")
	if rows := len(arrivals) - 1; rows > maxIntervals || rows < maxIntervals/2 {
		t.Errorf("%d intervals", rows)
	}
	if came, lit, refused := column(t, arrivals, "arrivals"), column(t, arrivals, "check-ins"), column(t, arrivals, "refused"); came != 10*n || lit != 9*n || refused != n/3 {
		t.Errorf("%d arrivals, %d check-ins, %d refused", came, lit, refused)
	}
	waits := table(t, page, "data-waits")
	if home, away := column(t, waits, "answers at home"), column(t, waits, "answers elsewhere"); home != 9*n || away != n/4 {
		t.Errorf("%d and %d answers", home, away)
	}
	end := table(t, page, "data-ledger")
	if last := end[len(end)-1]; last[2] != fmt.Sprint(6*n) || last[3] != fmt.Sprint(5*n) || last[1] != "250.00" {
		t.Errorf("last row: %q", last)
	}
	down := 0
	for _, r := range table(t, page, "data-lag")[1:] {
		down += strings.Count(strings.Join(r, " "), "down")
	}
	bureaux := table(t, page, "bureaux")
	if down != 1 || bureaux[4][4] != "yes" || bureaux[8][2] != "42" || column(t, bureaux, "check-ins") != 8*n {
		t.Errorf("down in %d intervals; bureaux %q", down, bureaux)
	}
	for _, want := range []string{"<dd>9000</dd>", "<dd>17</dd>", "seed 42", "go run ./testnet --faults &#39;a b&#39; --seed 42", "✓ every promise held", "2030-10-13 06:00:00 UTC", "S1 nobody is admitted &lt;twice&gt; &amp; more"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if faults := table(t, page, "faults"); len(faults) != 3 || faults[1][1] != "leader-killed" || faults[1][3] != "1.0" || faults[1][4] != "2.0" || faults[2][4] != "–" {
		t.Errorf("faults: %q", faults)
	}
}

func TestABrokenPromiseIsToldAsSuchAndOneThatWasNotAskedIsNot(t *testing.T) {
	page := write(t, run(20, simulation.Promise{Name: "L3 nobody is stuck", Asked: true, Seen: "2 never voted"}, simulation.Promise{Name: "art. 10 proxies", Seen: "0 of 1"}))
	rows := table(t, page, "promises")
	if len(rows) != 4 || rows[1][1] != "✓ held" || rows[2][1] != "✗ broken" || rows[2][2] != "2 never voted" || rows[3][1] != "– not promised under these faults" {
		t.Errorf("promises: %q", rows)
	}
	if !strings.Contains(page, "✗ not held: L3 nobody is stuck: 2 never voted") || strings.Contains(page, "every promise held") {
		t.Error("the verdict is another")
	}
}

func TestADayOfAnyLengthAndSizeIsDrawn(t *testing.T) {
	for _, n := range []int{1, 2, 119, 120, 121, 240, 241, 5000} {
		if rows := len(play(n).Intervals()); rows > maxIntervals || rows < min(n, maxIntervals/2) {
			t.Errorf("%d samples: %d intervals", n, rows)
		}
		wellFormed(t, write(t, run(n)))
	}
	many := run(50)
	var s simulation.Sample
	s.At = 20 * time.Hour
	for i := range 9 {
		s.Faults = append(s.Faults, simulation.FaultSpan{Name: "split", Began: time.Duration(i) * time.Hour, Ended: time.Duration(i+3) * time.Hour, Over: true})
	}
	s.Bureaux = many.Record.last.Bureaux
	many.Record.Sample(s)
	page := write(t, many)
	if wellFormed(t, page)["figure"] != 4 || !strings.Contains(page, "hours since the opening") || strings.Contains(page, ">9 split<") {
		t.Error("a day of 20 hours and nine faults")
	}
	if _, err := Page(Run{Summary: many.Summary, Record: new(Record)}); !errors.Is(err, errNothing) {
		t.Errorf("a day without samples: %v", err)
	}
}

func TestTheMachineIsNamedInOneLine(t *testing.T) {
	if m := Machine(); m == "" || bytes.ContainsAny([]byte(m), "\n\t") || !strings.Contains(m, "go1.") {
		t.Errorf("%q", m)
	}
	if processor("/nowhere") != "" {
		t.Error("a processor out of nothing")
	}
}
