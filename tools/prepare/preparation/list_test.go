package preparation

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pointage/ledger"
	"pointage/node/register"
)

const header = "national_number,surname,first_names,street,number,box,postcode,municipality,language,sector,bureau,convocation_number\n"

// Rows that are good for Saint-Josse, by national number.
const (
	rowA = "85.07.30-033.28,Lefèvre,Éléonore,Rue de l'Église,12A,,1210,Saint-Josse-ten-Noode,fr,,,\n"
	rowB = "93051822361,\"Van den Berghe, dit \"\"le Grand\"\"\",Jan,Kerkstraat,3,b 4,1210,SINT JOOST TEN NODE,NL,,,\n"
	rowC = "17 07 30 033 84,Diallo,,,,,,saint-josse-ten-noode,FR,,,\n"
)

func imported(t *testing.T, text string, rules Rules) (*List, []BadRow, error) {
	t.Helper()
	rules.Commune = 21014
	return Import(t.Context(), strings.NewReader(text), rules)
}

func TestGoodListIsImported(t *testing.T) {
	for name, text := range map[string]string{
		"plain":         header + rowA + rowB + rowC,
		"Excel":         "\ufeff" + strings.ReplaceAll(header+rowA+rowB+rowC, "\n", "\r\n"),
		"no last break": strings.TrimSuffix(header+rowA+rowB+rowC, "\n"),
		"blank lines":   header + rowA + "\n" + rowB + rowC + "\n\n",
	} {
		list, bad, err := imported(t, text, Rules{})
		if err != nil || len(bad) > 0 {
			t.Fatalf("%s: %v %v", name, err, bad)
		}
		if len(list.People) != 3 || list.Method != 0 || list.Bureaux != 0 {
			t.Fatalf("%s: %d people, %v, %d bureaux", name, len(list.People), list.Method, list.Bureaux)
		}
		b := list.People[1]
		if b.Surname != `Van den Berghe, dit "le Grand"` || b.FirstNames != "Jan" || b.NationalNumber.Printed() != "93.05.18-223.61" ||
			b.Language != register.Dutch || b.Address.Street != "Kerkstraat" || b.Address.Box != "b 4" {
			t.Errorf("%s: second row is read as %s %s, %s", name, b.Surname, b.FirstNames, b.Address.Street)
		}
	}
}

func TestColumnsMayStandInAnyOrder(t *testing.T) {
	list, bad, err := imported(t, "language,municipality,postcode,box,number,street,first_names,surname,national_number\n"+
		"fr,Saint-Josse-ten-Noode,1210,,1,Rue Haute,Luc,Maes,85.07.30-033.28\n", Rules{})
	if err != nil || len(bad) > 0 || list.People[0].Surname != "Maes" {
		t.Error(err, bad)
	}
}

// badRows gives for each bad row what its reason must say.
var badRows = []struct{ row, reason string }{
	{"85.07.30-033.29,A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "national_number: the check digits do not match"},
	{",A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "national_number: it is empty"},
	{"85.07.30-033,A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "national_number: wrong count of digits"},
	{"85.13.30-033.38,A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "national_number:"},
	{"85x07,A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "national_number: only digits"},
	{"80.01.01-008.97,,B,,,,,Saint-Josse-ten-Noode,fr,,,", "surname: it is empty"},
	{"80.01.01-008.97,A,B,,,,,Schaerbeek,fr,,,", "municipality: not Saint-Josse-ten-Noode / Sint-Joost-ten-Node"},
	{"80.01.01-008.97,A,B,,,,,,fr,,,", "municipality: not"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,en,,,", "language: neither fr nor nl"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,0,", "bureau: not a number from 1"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,513,", "bureau: not a number from 1 to 512"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,x,", "bureau: not a number"},
	{"80.01.01-008.97,A,B,,,,12,Saint-Josse-ten-Noode,fr,,,", "postcode: not four digits"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,,140000100", "convocation_number: the check digits do not match"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,,010000106", "convocation_number: the number belongs to another commune"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,,14", "convocation_number: wrong count of digits"},
	{"80.01.01-008.97,A,B", "3 fields where the first row has 12"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr,,,,", "13 fields"},
	{"80.01.01-008.97,\"A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "is opened and not closed"},
	{"80.01.01-008.97,A\"A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "inside a field without quotes"},
	{"80.01.01-008.97,\"A\"A,B,,,,,Saint-Josse-ten-Noode,fr,,,", "follows a closing quote"},
	{"80.01.01-008.97,A\x00,B,,,,,Saint-Josse-ten-Noode,fr,,,", "surname: a control character"},
	{"80.01.01-008.97," + strings.Repeat("A", 256) + ",B,,,,,Saint-Josse-ten-Noode,fr,,,", "surname: longer than 255 bytes"},
	{"80.01.01-008.97,A,B,,,,,Saint-Josse-ten-Noode,fr," + strings.Repeat("A", 65) + ",,", "sector: longer than 64 bytes"},
	{"80.01.01-008.97,A," + strings.Repeat("B", 5000) + ",,,,,Saint-Josse-ten-Noode,fr,,,", "too long"},
	{strings.TrimSuffix(rowA, "\n"), "national_number: the same as on line 2"},
}

func TestEveryBadRowIsRefusedWithLineAndReason(t *testing.T) {
	var text strings.Builder
	text.WriteString(header + rowA)
	for _, b := range badRows {
		text.WriteString(b.row + "\n")
	}
	text.WriteString(rowB)
	for _, skip := range []bool{false, true} {
		list, bad, err := imported(t, text.String(), Rules{SkipBad: skip})
		if err != nil {
			t.Fatal(err)
		}
		if (list != nil) != skip || skip && len(list.People) != 2 {
			t.Errorf("skip %v: what is imported is wrong", skip)
		}
		if len(bad) != len(badRows) {
			t.Fatalf("%d bad rows, want %d: %v", len(bad), len(badRows), bad)
		}
		for k, b := range bad {
			if b.Line != k+3 || !strings.Contains(b.Reason, badRows[k].reason) {
				t.Errorf("%v; want line %d: %s", b, k+3, badRows[k].reason)
			}
			if strings.ContainsAny(b.Reason, "\n") || strings.Contains(b.Reason, "80.01.01") || strings.Contains(b.Reason, "Lefèvre") {
				t.Errorf("the reason repeats the row: %v", b)
			}
		}
	}
}

func TestFileThatIsNoListIsRefused(t *testing.T) {
	for want, text := range map[string]string{
		"the file is empty":     "",
		"semicolons":            strings.ReplaceAll(header+rowA, ",", ";"),
		"unknown column":        "national_number,name\n",
		"surname is missing":    "national_number,first_names,street,number,box,postcode,municipality,language\n",
		"surname is there twic": "surname,surname\n",
		"no elector is left":    header,
		"not UTF-8":             "national_number,surn\xe9me\n",
		"too long":              strings.Repeat("a", 10_000) + "\n",
	} {
		list, _, err := imported(t, text, Rules{})
		if err == nil || list != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if _, _, err := Import(t.Context(), strings.NewReader(header+rowA), Rules{Commune: 21020}); err == nil {
		t.Error("a commune that is not in the Region")
	}
}

func TestTestNumbersAreRefusedInALiveElection(t *testing.T) {
	var text bytes.Buffer
	if err := Synthetic(&text, 1, 21014, 20); err != nil {
		t.Fatal(err)
	}
	_, bad, err := imported(t, text.String(), Rules{Live: true})
	if err != nil || len(bad) != 20 || !strings.Contains(bad[0].Reason, "given to nobody") {
		t.Error(err, bad)
	}
}

// withNumbers is rows A, B, C with convocation numbers.
func withNumbers(numbers ...string) string {
	text := header
	for k, row := range []string{rowA, rowB, rowC}[:len(numbers)] {
		text += strings.TrimSuffix(row, "\n") + numbers[k] + "\n"
	}
	return text
}

// number makes a convocation number of Saint-Josse by the rule itself.
func number(serial int, method ledger.Modulo97) string {
	body := 1400000 + serial
	if method == ledger.Complement {
		return fmt.Sprintf("%07d%02d", body, 97-body%97)
	}
	if body%97 == 0 {
		return fmt.Sprintf("%07d97", body)
	}
	return fmt.Sprintf("%07d%02d", body, body%97)
}

func TestMethodOfCheckDigitsIsDetected(t *testing.T) {
	both := 0 // a serial whose number both methods accept
	for number(both, ledger.Complement) != number(both, ledger.Remainder) {
		both++
	}
	for _, e := range []struct {
		numbers []string
		want    ledger.Modulo97
	}{
		{[]string{number(5, ledger.Complement), "", number(7, ledger.Complement)}, ledger.Complement},
		{[]string{number(5, ledger.Remainder), number(both, ledger.Remainder), ""}, ledger.Remainder},
		{[]string{number(both, ledger.Complement)}, 0},
		{[]string{"", ""}, 0},
	} {
		list, bad, err := imported(t, withNumbers(e.numbers...), Rules{})
		if err != nil || len(bad) > 0 || list.Method != e.want {
			t.Errorf("%v: %v, %v, %v", e.numbers, list, bad, err)
		}
	}
	for _, skip := range []bool{false, true} {
		_, _, err := imported(t, withNumbers(number(5, ledger.Complement), number(6, ledger.Remainder)), Rules{SkipBad: skip})
		if err == nil || !strings.Contains(err.Error(), "line 2 is by complement, on line 3 by remainder") {
			t.Errorf("mixed: %v", err)
		}
	}
	_, bad, err := imported(t, withNumbers(number(5, ledger.Complement)), Rules{Method: ledger.Remainder})
	if err != nil || len(bad) != 1 || !strings.Contains(bad[0].Reason, "remainder") {
		t.Errorf("the other method: %v, %v", bad, err)
	}
	_, bad, err = imported(t, withNumbers(number(5, ledger.Complement), number(5, ledger.Complement)), Rules{})
	if err != nil || len(bad) != 1 || bad[0].String() != "line 3: convocation_number: the same as on line 2" {
		t.Errorf("twice: %v, %v", bad, err)
	}
}

func TestNumberingFillsWhatTheListLeavesFree(t *testing.T) {
	for _, method := range []ledger.Modulo97{ledger.Complement, ledger.Remainder} {
		list, _, err := imported(t, withNumbers("", number(1, method), ""), Rules{})
		if err != nil {
			t.Fatal(err)
		}
		if err := list.Divide(1); err != nil {
			t.Fatal(err)
		}
		if err := list.Number(method); err != nil {
			t.Fatal(err)
		}
		var serials []uint32
		for _, p := range list.People {
			if !p.ConvocationNumber.IsOf(21014) {
				t.Error("a number of another commune")
			}
			serials = append(serials, p.ConvocationNumber.Serial())
		}
		if !slices.Equal(serials, []uint32{3, 1, 2}) { // Diallo before Lefèvre
			t.Errorf("%v: serials %v", method, serials)
		}
		if err := list.Number(3 - method); err == nil {
			t.Error("numbered again by the other method")
		}
	}
}

func TestACommuneHasAHundredThousandNumbers(t *testing.T) {
	list := &List{Commune: Communes[13], People: make([]Person, ledger.MaxElectors)}
	if err := list.Number(ledger.Complement); err != nil {
		t.Fatal(err)
	}
	seen := map[ledger.ConvocationNumber]bool{}
	for _, p := range list.People {
		seen[p.ConvocationNumber] = true
	}
	if len(seen) != ledger.MaxElectors {
		t.Errorf("%d different numbers", len(seen))
	}
	list.People = append(list.People, Person{})
	if err := list.Number(ledger.Complement); err == nil {
		t.Error("one more")
	}
}

// synthetic is an imported synthetic list.
func synthetic(t testing.TB, n int) *List {
	t.Helper()
	var text bytes.Buffer
	if err := Synthetic(&text, 7, 21014, n); err != nil {
		t.Fatal(err)
	}
	list, bad, err := Import(context.Background(), &text, Rules{Commune: 21014})
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	return list
}

func loads(l *List) []int {
	n := make([]int, l.Bureaux)
	for _, p := range l.People {
		n[p.Bureau-1]++
	}
	return n
}

func TestDivisionIsEven(t *testing.T) {
	for _, e := range []struct{ electors, bureaux, want int }{
		{1000, 0, 1},
		{884, 0, 1},
		{13_000, 0, 14},
		{13_000, 12, 12},
		{7, 12, 12},
	} {
		list := synthetic(t, e.electors)
		if err := list.Divide(e.bureaux); err != nil {
			t.Fatal(err)
		}
		if n := loads(list); len(n) != e.want || slices.Max(n)-slices.Min(n) > 1 {
			t.Errorf("%d electors: %v", e.electors, n)
		}
	}
	if err := synthetic(t, 5).Divide(ledger.MaxBureaux + 1); err == nil {
		t.Error("too many bureaux")
	}
}

func TestNeighboursVoteTogether(t *testing.T) {
	list := synthetic(t, 5000)
	if err := list.Divide(5); err != nil {
		t.Fatal(err)
	}
	bureaux := map[string]map[ledger.BureauNumber]bool{}
	for _, p := range list.People {
		if bureaux[p.Address.Street] == nil {
			bureaux[p.Address.Street] = map[ledger.BureauNumber]bool{}
		}
		bureaux[p.Address.Street][p.Bureau] = true
	}
	split := 0
	for _, b := range bureaux {
		split += len(b) - 1
	}
	if split != 4 { // five blocks of streets have four cuts
		t.Errorf("%d cuts through streets", split)
	}
}

func TestBureauOfTheFileIsKeptAndTheRestEvensOut(t *testing.T) {
	list := synthetic(t, 1000)
	for i := range 300 {
		list.People[i].Bureau = 3
	}
	list.Bureaux = 3
	if err := list.Divide(2); err == nil {
		t.Error("fewer bureaux than the file names")
	}
	if err := list.Divide(0); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if list.People[i].Bureau != 3 {
			t.Fatal("an elector's bureau was changed")
		}
	}
	if n := loads(list); slices.Max(n)-slices.Min(n) > 1 {
		t.Errorf("%v", n)
	}
}

func TestSectorsStayTogether(t *testing.T) {
	list := synthetic(t, 6000)
	for i := range list.People {
		list.People[i].Sector = fmt.Sprintf("A%02d", i*i%37)
	}
	if err := list.Divide(6); err != nil {
		t.Fatal(err)
	}
	home := map[string]ledger.BureauNumber{}
	for _, p := range list.People {
		if b, ok := home[p.Sector]; ok && b != p.Bureau {
			t.Fatalf("sector %s is in bureaux %d and %d", p.Sector, b, p.Bureau)
		}
		home[p.Sector] = p.Bureau
	}
	if n := loads(list); slices.Max(n) > 1200 || slices.Min(n) < 800 {
		t.Errorf("%v", n)
	}
}

func TestASectorLargerThanAShareIsCut(t *testing.T) {
	list := synthetic(t, 1000)
	for i := range list.People {
		list.People[i].Sector = "all"
	}
	if err := list.Divide(4); err != nil {
		t.Fatal(err)
	}
	if n := loads(list); slices.Max(n) != 250 {
		t.Errorf("%v", n)
	}
}

func TestSyntheticElectorsAreValidAndNobody(t *testing.T) {
	list := synthetic(t, 20_000)
	accents, particles, dutch, bis := 0, 0, 0, 0
	for _, p := range list.People {
		if !p.NationalNumber.IsUnassigned() {
			t.Fatal("a number that somebody may have")
		}
		year, known := p.NationalNumber.BirthYear()
		if !known || year < firstBirthYear || year > lastBirthYear {
			t.Fatalf("born in %d", year)
		}
		if register.Fold(p.Surname) != strings.ToLower(p.Surname) {
			accents++
		}
		if strings.Contains(p.Surname, " ") {
			particles++
		}
		if p.Language == register.Dutch {
			dutch++
		}
		if p.NationalNumber.IsBis() {
			bis++
		}
	}
	if accents < 500 || particles < 1000 || dutch < 2000 || dutch > 6000 || bis > 200 {
		t.Errorf("%d surnames with accents, %d with particles, %d in Dutch, %d bis numbers", accents, particles, dutch, bis)
	}
	var a, b, other bytes.Buffer
	for w, seed := range map[*bytes.Buffer]uint64{&a: 3, &b: 3, &other: 4} {
		if err := Synthetic(w, seed, 21015, 500); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), other.Bytes()) {
		t.Error("the seed does not decide the list")
	}
}

func TestTheLargestCommuneHasSyntheticElectorsEnough(t *testing.T) {
	var text bytes.Buffer
	if err := Synthetic(&text, 1, 21004, ledger.MaxElectors); err != nil {
		t.Fatal(err)
	}
	list, bad, err := Import(t.Context(), &text, Rules{Commune: 21004})
	if err != nil || len(bad) > 0 || len(list.People) != ledger.MaxElectors {
		t.Error(err, bad)
	}
	if err := Synthetic(&text, 1, 21004, ledger.MaxElectors+1); err == nil {
		t.Error("one more than a commune has")
	}
}

func TestSharesOfCommunitiesMakeAHundred(t *testing.T) {
	sum := 0
	for _, c := range communities {
		sum += c.share
	}
	if sum != 100 {
		t.Error(sum)
	}
}

func FuzzImport(f *testing.F) {
	f.Add(header + rowA + rowB + rowC)
	for _, b := range badRows {
		f.Add(header + b.row)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, bad, err := Import(context.Background(), strings.NewReader(text), Rules{Commune: 21014, SkipBad: true})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
			return
		}
		if len(list.People)+len(bad) > strings.Count(text, "\n")+1 {
			t.Error("more rows than lines")
		}
		for _, p := range list.People {
			if p.NationalNumber.IsZero() || p.Surname == "" || p.Language == 0 {
				t.Error("an elector without number, name or language")
			}
		}
		if err := list.Divide(3); err == nil {
			err = list.Number(max(list.Method, 1))
			if err != nil {
				t.Error(err)
			}
		}
	})
}
