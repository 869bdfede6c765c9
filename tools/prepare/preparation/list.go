package preparation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"pointage/ledger"
	"pointage/node/register"
)

// Limits of a list of electors.
const (
	// MaxRows is how many rows are read; a commune numbers fewer electors, so
	// what is beyond is no list of one commune.
	MaxRows = 4 * ledger.MaxElectors
	// MaxSector is the longest name of a sector, in bytes.
	MaxSector = 64
)

// The columns of a list, by the names in its first row. The first nine must be
// there, in any order.
const (
	colNationalNumber = iota
	colSurname
	colFirstNames
	colStreet
	colNumber
	colBox
	colPostcode
	colMunicipality
	colLanguage
	colSector
	colBureau
	colConvocation
	columnCount
	// A working list also has what the later acts have found out.
	colCandidate = iota - 1
	colFunction
	colServes
	colMember
	workingColumns
	requiredColumns = colLanguage + 1
)

var columns = [workingColumns]string{
	"national_number", "surname", "first_names", "street", "number", "box", "postcode", "municipality", "language",
	"sector", "bureau", "convocation_number",
	"candidate", "function", "serves", "member",
}

// Person is an elector with what only the preparation needs.
type Person struct {
	register.Elector
	Address register.Address
	Sector  string
	Line    int // in the file, from 1
	// Candidate is the mark from MARTINE: no candidate is designated as a member
	// of a bureau (decree, article 6).
	Candidate bool
	// Function, Serves and Member are those of somebody convened as a member of a
	// bureau (decree, article 8 §1): what for, where, and the number in the
	// commune's list of members; all 0 for others.
	Function register.Function
	Serves   ledger.BureauNumber
	Member   uint16
}

// Home is the bureau at which the elector votes: for a member the one where the
// member serves, else the one of the division.
func (p *Person) Home() ledger.BureauNumber {
	if p.Serves != 0 {
		return p.Serves
	}
	return p.Bureau
}

// List is a commune's electors, as imported, then divided and numbered.
type List struct {
	Commune Commune
	People  []Person
	// Method is that of the list's convocation numbers; 0 when it has none, or
	// only such as both methods accept.
	Method ledger.Modulo97
	// Bureaux is the largest bureau of the file, 0 when it named none; after
	// Divide, the number of bureaux.
	Bureaux int
}

// BadRow says why a row is refused. It never repeats a name or a number.
type BadRow struct {
	Line   int
	Reason string
	why    reason
}

func badRow(line int, err error) BadRow {
	why := reasonOf(err)
	if why == whyOther {
		why = whyRow
	}
	return BadRow{line, err.Error(), why}
}

// String is "line 12: national_number: the check digits do not match".
func (b BadRow) String() string { return fmt.Sprintf("line %d: %s", b.Line, b.Reason) }

// Rules say how strictly a list is read.
type Rules struct {
	Commune ledger.Commune
	// Live refuses numbers that are given to nobody: test data.
	Live bool
	// SkipBad leaves bad rows out instead of refusing the list.
	SkipBad bool
	// Method is the one that convocation numbers must have; 0 detects it.
	Method ledger.Modulo97
	// Bureaux is how many the commune has, when that is known: a row that names
	// another is refused. 0 accepts any.
	Bureaux int
	// Progress, when set, hears how many rows were read, now and then.
	Progress func(rows int)
	// working reads a working list, which has more columns.
	working bool
}

// Import reads a list of electors: CSV in UTF-8, one elector a line, columns as
// named in its first row. Every bad row is reported, in one pass. With bad rows
// and without SkipBad the list is nil. The error is for what makes the whole
// file no list: its header, its length, mixed methods of check digits, or the
// reader's own fault.
func Import(ctx context.Context, r io.Reader, rules Rules) (*List, []BadRow, error) {
	commune, err := FindCommune(rules.Commune)
	if err != nil {
		return nil, nil, err
	}
	in := &importer{
		rules: rules, list: &List{Commune: commune},
		table:      table{columns: columns[:columnCount], required: requiredColumns, maxRows: MaxRows, progress: rules.Progress},
		byNational: map[ledger.NationalNumber]int{}, byConvocation: map[ledger.ConvocationNumber]int{},
	}
	if rules.working {
		in.columns, in.required = columns[:], len(columns)
	}
	if err := in.read(ctx, r, in.row); err != nil {
		return nil, nil, fmt.Errorf("import list of %d: %w", rules.Commune, err)
	}
	if err := in.settleMethod(); err != nil {
		return nil, nil, fmt.Errorf("import list of %d: %w", rules.Commune, err)
	}
	slices.SortStableFunc(in.bad, func(a, b BadRow) int { return a.Line - b.Line })
	if len(in.bad) > 0 && !rules.SkipBad {
		return nil, in.bad, nil
	}
	if len(in.list.People) > ledger.MaxElectors {
		return nil, nil, fmt.Errorf("import list of %d: %d electors, a commune numbers at most %d", rules.Commune, len(in.list.People), ledger.MaxElectors)
	}
	if len(in.list.People) == 0 {
		return nil, in.bad, fmt.Errorf("import list of %d: no elector is left in it", rules.Commune)
	}
	return in.list, in.bad, nil
}

// importer is the state of one Import.
type importer struct {
	table
	rules Rules
	list  *List

	byNational    map[ledger.NationalNumber]int // place in the list
	byConvocation map[ledger.ConvocationNumber]int
	// Lines of the first number that only one method accepts, 0 for none.
	onlyComplement, onlyRemainder int
}

// row reads one elector, or says why it is refused.
func (in *importer) row(line int, get []string) error {
	p := Person{Line: line}
	var err error
	if p.NationalNumber, err = in.nationalNumber(get[colNationalNumber]); err != nil {
		return fmt.Errorf("%s: %w", columns[colNationalNumber], err)
	}
	if first, twice := in.byNational[p.NationalNumber]; twice {
		return in.twice(&in.list.People[first], get)
	}
	if err := p.fill(get, in.list.Commune, in.rules.Bureaux); err != nil {
		return err
	}
	if err := in.convocation(&p, get[colConvocation]); err != nil {
		return fmt.Errorf("%s: %w", columns[colConvocation], err)
	}
	if in.rules.working {
		if err := p.fillWorking(get[columnCount:]); err != nil {
			return err
		}
	}
	in.byNational[p.NationalNumber] = len(in.list.People)
	in.list.Bureaux = max(in.list.Bureaux, int(p.Bureau))
	in.list.People = append(in.list.People, p)
	return nil
}

// twice refuses a row whose national number an earlier one has.
func (in *importer) twice(first *Person, get []string) error {
	name := ""
	if get[colSurname] != first.Surname || get[colFirstNames] != first.FirstNames {
		name = ", there under another name: find out whose it is"
	}
	return refused(whyTwice, "%s: the same as on line %d%s", columns[colNationalNumber], first.Line, name)
}

var errEmpty = errors.New("it is empty")

var errTestNumber = errors.New("serial 000 or 999 is given to nobody: test data has no place in a live election")

func (in *importer) nationalNumber(text string) (ledger.NationalNumber, error) {
	if text == "" {
		return ledger.NationalNumber{}, errEmpty
	}
	n, err := ledger.ParseNationalNumber(text)
	if err == nil && in.rules.Live && n.IsUnassigned() {
		err = errTestNumber
	}
	return n, err
}

// fill reads all columns but the two numbers.
func (p *Person) fill(get []string, commune Commune, bureaux int) error {
	p.Surname, p.FirstNames = get[colSurname], get[colFirstNames]
	p.Address = register.Address{
		NationalNumber: p.NationalNumber, Street: get[colStreet], Number: get[colNumber], Box: get[colBox],
		Postcode: get[colPostcode], Municipality: get[colMunicipality],
	}
	p.Sector = get[colSector]
	if p.Surname == "" {
		return fmt.Errorf("%s: %w", columns[colSurname], errEmpty)
	}
	for c := colSurname; c <= colSector; c++ {
		limit := register.MaxName
		if c == colSector {
			limit = MaxSector
		}
		if len(get[c]) > limit {
			return fmt.Errorf("%s: longer than %d bytes", columns[c], limit)
		}
	}
	if code := p.Address.Postcode; code != "" && (len(code) != 4 || strings.Trim(code, "0123456789") != "") {
		return fmt.Errorf("%s: not four digits", columns[colPostcode])
	}
	if !commune.IsNamed(p.Address.Municipality) {
		return refused(whyCommune, "%s: not %s", columns[colMunicipality], commune)
	}
	switch strings.ToLower(get[colLanguage]) {
	case "fr":
		p.Language = register.French
	case "nl":
		p.Language = register.Dutch
	default:
		return fmt.Errorf("%s: neither fr nor nl", columns[colLanguage])
	}
	if text := get[colBureau]; text != "" {
		var err error
		if p.Bureau, err = parseBureau(text, bureaux); err != nil {
			return fmt.Errorf("%s: %w", columns[colBureau], err)
		}
	}
	return nil
}

// parseBureau reads a bureau's number; bureaux is how many there are, 0 when that
// is not known.
func parseBureau(text string, bureaux int) (ledger.BureauNumber, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || n < 1 || n > ledger.MaxBureaux:
		return 0, refused(whyBureau, "not a number from 1 to %d", ledger.MaxBureaux)
	case bureaux > 0 && int(n) > bureaux:
		return 0, refused(whyBureau, "there is no bureau %d: the commune has %d", n, bureaux)
	}
	return ledger.BureauNumber(n), nil
}

// fillWorking reads what a working list has more.
func (p *Person) fillWorking(get []string) error {
	const at = columnCount
	p.Candidate = get[colCandidate-at] == "yes"
	if get[colFunction-at] == "" {
		return nil
	}
	var err error
	if p.Function, err = register.ParseFunction(get[colFunction-at]); err != nil {
		return fmt.Errorf("%s: %w", columns[colFunction], err)
	}
	if p.Serves, err = parseBureau(get[colServes-at], 0); err != nil {
		return fmt.Errorf("%s: %w", columns[colServes], err)
	}
	n, err := strconv.ParseUint(get[colMember-at], 10, 16)
	if err != nil || n < 1 {
		return fmt.Errorf("%s: no number", columns[colMember])
	}
	p.Member = uint16(n)
	return nil
}

// convocation reads a convocation number and notes which method accepts it.
func (in *importer) convocation(p *Person, text string) error {
	if text == "" {
		return nil
	}
	number, complementErr := ledger.ParseConvocationNumber(text, ledger.Complement)
	other, remainderErr := ledger.ParseConvocationNumber(text, ledger.Remainder)
	if complementErr != nil {
		number = other
	}
	switch {
	case complementErr != nil && remainderErr != nil:
		return complementErr
	case in.rules.Method == ledger.Complement && complementErr != nil,
		in.rules.Method == ledger.Remainder && remainderErr != nil:
		return refused(whyMixed, "its check digits are not those of the method in use, the %v", in.rules.Method)
	case !number.IsOf(in.list.Commune.INS):
		return ledger.ErrNumberCommune
	}
	if first, twice := in.byConvocation[number]; twice {
		return refused(whyTwice, "the same as on line %d", first)
	}
	in.byConvocation[number] = p.Line
	if remainderErr != nil && in.onlyComplement == 0 {
		in.onlyComplement = p.Line
	}
	if complementErr != nil && in.onlyRemainder == 0 {
		in.onlyRemainder = p.Line
	}
	p.ConvocationNumber = number
	return nil
}

// settleMethod decides the list's method of check digits.
func (in *importer) settleMethod() error {
	switch {
	case in.onlyComplement > 0 && in.onlyRemainder > 0:
		return refused(whyMixed, "two methods of check digits are mixed: the convocation number on line %d is by %v, on line %d by %v: ask the commune for a list with one method",
			in.onlyComplement, ledger.Complement, in.onlyRemainder, ledger.Remainder)
	case in.rules.Method != 0:
		in.list.Method = in.rules.Method
	case in.onlyRemainder > 0:
		in.list.Method = ledger.Remainder
	case in.onlyComplement > 0:
		in.list.Method = ledger.Complement
	}
	return nil
}
