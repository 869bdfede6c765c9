package preparation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pointage/ledger"
	"pointage/node/machine"
)

// A reason is why an act was refused, as a record keeps it. It is one of these words: a record
// of refusals repeats nothing that somebody has typed, nor what stands in a file.
type reason string

const (
	whyFile      reason = "file"             // it is missing, or no file of rows
	whySize      reason = "size"             // it is too long to be what it is said to be
	whyEncoding  reason = "encoding"         // it is not UTF-8
	whyRow       reason = "row"              // a row is no row of its kind
	whyDigits    reason = "check-digits"     // a number's check digits do not match
	whyMixed     reason = "mixed-methods"    // two methods of check digits
	whyTwice     reason = "duplicate"        // it is there twice
	whyCommune   reason = "other-commune"    // of another commune
	whyBureau    reason = "unknown-bureau"   // the commune has no such bureau
	whyStranger  reason = "not-on-the-list"  // nobody on the commune's list
	whyCandidate reason = "candidate"        // a candidate as member, or a member as candidate
	whyTest      reason = "test-data"        // invented people in a live election
	whyTurn      reason = "turn"             // another act comes before it
	whyBounds    reason = "bounds"           // a bureau lies outside the legal bounds
	whyTaken     reason = "taken"            // something is there already
	whyOffice    reason = "other-office"     // it is for another office to do
	whySealed    reason = "key-did-not-open" // the office's key, or its letter, is another one
	whyEarly     reason = "early"            // the law does not allow it yet
	whyDay       reason = "day"              // it lies ahead, or before another
	whyKey       reason = "usb-key"          // another USB key, or another digest, or it is elsewhere
	whyLeft      reason = "data-left"        // a file that was not named holds personal data
	whyOther     reason = "other"
)

// because gives an error its reason.
type because struct {
	error
	why reason
}

// Unwrap gives the error itself.
func (b because) Unwrap() error { return b.error }

func refused(why reason, format string, args ...any) error {
	return because{fmt.Errorf(format, args...), why}
}

// reasonOf is the reason of a refusal: the one nearest to what is said.
func reasonOf(err error) reason {
	b, encoding := because{}, new(encodingError)
	switch {
	case errors.As(err, &b):
		return b.why
	case errors.As(err, &encoding):
		return whyEncoding
	case errors.Is(err, errTooBig):
		return whySize
	case errors.Is(err, ledger.ErrNumberCheckDigits):
		return whyDigits
	case errors.Is(err, ledger.ErrNumberCommune):
		return whyCommune
	case errors.Is(err, errTestNumber):
		return whyTest
	case errors.Is(err, errTaken):
		return whyTaken
	}
	return whyOther
}

// isRefusal tells what was refused from what failed, and from what somebody has cut off. What
// has failed may not even be recorded.
func isRefusal(err error) bool {
	wrong, path := usageError{}, new(fs.PathError)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		machine.IsFull(err), errors.Is(err, errRecord), errors.Is(err, errCustody):
		return false
	case errors.As(err, &wrong):
		return true
	}
	return !errors.As(err, &path)
}

// rowsRefused are bad rows that were told one by one.
type rowsRefused struct {
	bad []BadRow
	say string
}

// Error says how many there are.
func (r *rowsRefused) Error() string { return fmt.Sprintf("%v: %d; %s", errBadRows, len(r.bad), r.say) }

// Unwrap says that they are bad rows.
func (r *rowsRefused) Unwrap() error { return errBadRows }

// maxLinesKept is how many bad rows a record names by their lines; the rest is counted.
const maxLinesKept = 20

// recordable is what a record keeps of a refusal: the reason, the first line that it is about, 0
// for none, and of bad rows how many, and the reason of each of the first ones.
func recordable(err error) (why reason, line int, details map[string]string) {
	details = map[string]string{}
	rows, encoding := new(rowsRefused), new(encodingError)
	switch {
	case errors.As(err, &rows) && len(rows.bad) > 0:
		why, line = rows.bad[0].why, rows.bad[0].Line
		details["rows"] = strconv.Itoa(len(rows.bad))
		var lines []string
		for _, b := range rows.bad[:min(len(rows.bad), maxLinesKept)] {
			lines = append(lines, fmt.Sprintf("%d %s", b.Line, b.why))
		}
		if len(lines) > 1 {
			details["lines"] = strings.Join(lines, ", ")
		}
	case errors.As(err, &encoding):
		why, line = whyEncoding, encoding.line
		details["encoding"] = encoding.name
	default:
		why = reasonOf(err)
	}
	details["reason"] = string(why)
	return why, line, details
}

// record keeps in the records of all communes that were to be in the election that it was refused.
func (m *makeFlags) record(args []string, dryRun bool, err error) error {
	if m.work == "" || dryRun || !isRefusal(err) {
		return err
	}
	files, wrong := communesOf(job{name: "make"}, args)
	if wrong != nil {
		return err
	}
	wf := workFlags{work: m.work, by: m.by}
	for _, ins := range slices.Sorted(maps.Keys(files)) {
		w, none := openState(m.work, ins)
		if none != nil {
			continue // nothing was begun there, or another run is at work
		}
		err = errors.Join(wf.record(w, job{name: "make"}, Source{}, err), w.Close())
	}
	return err
}
