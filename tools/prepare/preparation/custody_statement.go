package preparation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"pointage/ledger"
)

const (
	custodyHeader = "pointage custody v1"
	// MaxStatement is the longest statement of custody, in bytes: the first names every
	// key of the Region.
	MaxStatement = 1 << 20
	// MaxStatements is how many statements a register of custody holds.
	MaxStatements = 1 << 16
)

// The acts that statements of custody tell of.
const (
	actOpened    = "opened"      // office <vkey> · key <number> <digest> · due <time>
	actHanded    = "handed-over" // key <number> <digest> · from <office> · to <office> · given <time>
	actConsulted = "consulted"   // commune <INS> · extract <SHA-256> <bytes>
	actValidated = "validated"   // commune <INS> <day> <day>
	actSettled   = "settled"     // drawn-up <day>
	actBegun     = "begun"       // site <what> · files <n> · missing <SHA-256> · searched <files> <bytes> · electors <n> · token-keys <n> · opaque <n>
	actDestroyed = "destroyed"   // site <what> · files <n> · bytes <n>, or by-hand
	actCertified = "certified"   // certificate <SHA-256>
	// actRefused is also the act of a line in a commune's record: act <name> · office <name>, or none
	// when its key did not open · reason <word> · line <n> · rows <n> · lines <n word, …> · encoding <name>
)

// CustodyStatement is one statement of custody. It names offices, keys, days and digests, and no
// person: names and reasons stand apart, under a salted digest, and are destroyed in
// the end, while the statements still verify.
//
// Signed, it is a C2SP signed note by one office, whose text is
//
//	pointage custody v1
//	<election>
//	<number, from 0>
//	<SHA-256 of the note before, 64 zeros for the first>
//	<time, RFC 3339 in UTC>
//	<act>
//	words <SHA-256>          when names or reasons belong to it
//	<fact> <value>…          as the act has them
type CustodyStatement struct {
	Election string
	Number   uint64
	Previous ledger.Hash
	At       time.Time
	Act      string
	Words    ledger.Hash
	Facts    []string
	Signer   string // the office's name
}

func (s *CustodyStatement) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%d\n%v\n%s\n%s\n", custodyHeader, s.Election, s.Number, s.Previous, s.At.Format(time.RFC3339), s.Act)
	if s.Words != (ledger.Hash{}) {
		fmt.Fprintf(&b, "words %v\n", s.Words)
	}
	for _, fact := range s.Facts {
		fmt.Fprintln(&b, fact)
	}
	return b.String()
}

// fact is the value of the first fact of that kind, "" for none.
func (s *CustodyStatement) fact(kind string) string {
	for _, value := range s.all(kind) {
		return value
	}
	return ""
}

// all are the values of the facts of one kind.
func (s *CustodyStatement) all(kind string) []string {
	var out []string
	for _, fact := range s.Facts {
		if k, value, _ := strings.Cut(fact, " "); k == kind {
			out = append(out, value)
		}
	}
	return out
}

// officeSigner signs statements; it implements note.Signer.
type officeSigner struct {
	*ledger.NoteKey
	office string
	key    ed25519.PrivateKey
}

// Sign implements note.Signer.
func (s officeSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func newOfficeSigner(election, office string, key ed25519.PrivateKey) officeSigner {
	return officeSigner{ledger.LogKey(election+"/"+office, key.Public().(ed25519.PublicKey)), office, key}
}

var errCustody = errors.New("the register of custody was changed or cut outside this program: bring back a copy")

// sign writes the statement as a note.
func (s *CustodyStatement) sign(by officeSigner) ([]byte, error) {
	file, err := note.Sign(&note.Note{Text: s.text()}, by)
	if err == nil && len(file) > MaxStatement {
		err = fmt.Errorf("a statement of %d bytes, at most %d", len(file), MaxStatement)
	}
	return file, err
}

// signNote signs another text as an office.
func signNote(text string, by officeSigner) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, by)
}

// parseCustody reads a statement in its one form; keys are those that may sign it.
func parseCustody(file []byte, keys note.Verifiers) (*CustodyStatement, error) {
	n, err := note.Open(file, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: the signature is missing or wrong", errCustody)
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) < 6 || lines[0] != custodyHeader || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return nil, errCustody
	}
	s := &CustodyStatement{Election: lines[1], Act: lines[5], Facts: lines[6:]}
	number, err1 := strconv.ParseUint(lines[2], 10, 64)
	previous, err2 := ledger.ParseHash(lines[3])
	at, err3 := time.Parse(time.RFC3339, lines[4])
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, errCustody
	}
	s.Number, s.Previous, s.At = number, previous, at
	if words := s.fact("words"); words != "" {
		if s.Words, err = ledger.ParseHash(words); err != nil {
			return nil, errCustody
		}
		s.Facts = s.Facts[1:]
	}
	s.Signer = strings.TrimPrefix(n.Sigs[0].Name, s.Election+"/")
	signature := fmt.Sprintf("\n— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64)
	if s.text()+signature != string(file) {
		return nil, errCustody
	}
	return s, nil
}

// splitNotes cuts a file of notes, each of which an empty line ends. What is behind
// the last one is of an act that a crash has cut.
func splitNotes(file []byte) (notes [][]byte, whole int) {
	signed := []byte("\n\n— ")
	for {
		rest := file[whole:]
		at := bytes.Index(rest, signed)
		if at < 0 {
			return notes, whole
		}
		end := bytes.Index(rest[at+2:], []byte("\n\n"))
		if end < 0 {
			return notes, whole
		}
		end += at + 3
		notes = append(notes, rest[:end])
		whole += end + 1
	}
}

// commitment is the salted digest under which names and reasons stand.
func commitment(salt, words []byte) ledger.Hash {
	return sha256.Sum256(append(append([]byte("pointage custody words v1\n"), salt...), words...))
}
