package minutes

import "pointage/ledger"

// Language is the one of a document; numbered as in the register.
type Language uint8

// The Region's two languages.
const (
	French Language = 1
	Dutch  Language = 2
)

// Languages are both.
var Languages = [...]Language{French, Dutch}

// String is the language's tag: "fr" or "nl".
func (l Language) String() string {
	if l == Dutch {
		return "nl"
	}
	return "fr"
}

// ParseLanguage reads what String writes.
func ParseLanguage(tag string) (Language, bool) {
	for _, l := range Languages {
		if l.String() == tag {
			return l, true
		}
	}
	return 0, false
}

// Document is what is printed: blocks from top to bottom, in one language.
type Document struct {
	Language Language
	// Title and Subtitle stand at the top, Foot at the foot of each page.
	Title, Subtitle, Foot string
	// Watermark lies under each page, and Banner on top of the first; both are empty for a live election.
	Watermark, Banner string
	// Made is the date in the file: a fact of the election, not of whoever draws it.
	Made   ledger.Instant
	Blocks []Block
}

// Block is one of Heading, Text, Alert, Facts, Table, Code, Signatures.
type Block interface{ isBlock() }

// Heading opens a section.
type Heading struct{ Text string }

// Text is a paragraph.
type Text struct{ Text string }

// Alert is a paragraph that nobody may overlook.
type Alert struct{ Text string }

// Facts are names with their values, a line each.
type Facts struct {
	Caption string
	Rows    [][2]string
}

// Table has a header that every page repeats.
type Table struct {
	Caption string
	Columns []Column
	Rows    [][]string
	// Boxes says that the first column is a box to tick, ticked where its cell is not empty.
	Boxes bool
}

// Column is one of a table's; its share of the width is Weight of the sum of all. Right sets figures to the right.
type Column struct {
	Title  string
	Weight int
	Right  bool
}

// Code is a QR code with what it says, and text beside it.
type Code struct {
	Content string
	Text    string
	// Alt says what it is to whoever can't see it.
	Alt string
}

// Signatures are places to sign, each with who signs there.
type Signatures struct {
	Made string
	Who  []string
}

func (Heading) isBlock()    {}
func (Text) isBlock()       {}
func (Alert) isBlock()      {}
func (Facts) isBlock()      {}
func (Table) isBlock()      {}
func (Code) isBlock()       {}
func (Signatures) isBlock() {}
