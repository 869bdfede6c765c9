package web

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/ledger/proxies"
	"pointage/node/daybook"
)

// Acts are what the screens of the table's other acts ask of the bureau: the statements that move no right, and
// proxies.
type Acts interface {
	RecordAttendance(ctx context.Context, member uint16, p ledger.Presence) (daybook.Refusal, error)
	Replace(ctx context.Context, x daybook.Replacement) (number uint16, why daybook.Refusal, err error)
	// RecordAccount seals the account number to the pay office; it is kept nowhere else.
	RecordAccount(ctx context.Context, member uint16, iban string) (daybook.Refusal, error)
	Counts(ctx context.Context) (daybook.Counts, error)
	RecordCount(ctx context.Context, issued, scanned uint32) (daybook.Tally, error)
	Flow(ctx context.Context) (daybook.Flow, error)
	ReportQueue(ctx context.Context, waiting int) (daybook.Refusal, error)
	Messages(ctx context.Context) ([]daybook.Message, error)
	SendMessage(ctx context.Context, to ledger.BureauNumber, text string) (daybook.Refusal, error)
	Dashboard(ctx context.Context) (daybook.Dashboard, daybook.Refusal, error)
	RecordCustody(ctx context.Context, x daybook.Handing) (daybook.Refusal, error)

	// ElectionDay is the day of the poll in Brussels.
	ElectionDay() proxies.Date
	// AdmitByProxy judges the paper, and admits the principal by the holder.
	AdmitByProxy(ctx context.Context, x Proxy) (ProxyAnswer, error)
}

// Proxy is one elector who votes for another, as the table has it from the form.
type Proxy struct {
	// Holder and Principal are numbers in the register.
	Holder, Principal int
	// Means is how the holder was identified.
	Means    ledger.Means
	Attester uint16
	// ChipNotProven is said of the holder's card, as in a Desk.
	ChipNotProven bool
	Paper         proxies.Paper
}

// ProxyAnswer is an Answer, or the rules that the paper breaks: then nobody's right was used.
type ProxyAnswer struct {
	Answer
	Rules []proxies.Rule
}

// The longest fields of these screens, in bytes; the node has its own bounds.
const (
	maxNumberField = 64
	maxTextField   = 16 << 10
	maxChoice      = 32
)

// typed is a whole number that a person wrote into a field; false for anything else, which is theirs to correct.
func (v *visit) typed(name string, bits int) (n uint64, ok bool, err error) {
	text, err := v.field(name, maxNumberField)
	if err != nil {
		return 0, false, err
	}
	n, bad := strconv.ParseUint(text, 10, bits)
	return n, bad == nil, nil
}

// told answers an act that states something: back to the page, with a line that says what came of it.
func (v *visit) told(why daybook.Refusal, good string) (reply, error) {
	if why == daybook.Recorded {
		v.said(true, good)
	} else {
		v.said(false, actRefusalKey(why))
	}
	return reply{to: "/" + v.page.name}, nil
}

func actRefusalKey(r daybook.Refusal) string { return fmt.Sprintf("act-refusal.%d", r) }

// at is a statement's time of the day in Brussels.
func at(t ledger.Instant) string { return minuteText(time.UnixMilli(int64(t))) }

// shortAt is at without the offset, where a column's title says whose time it is.
func shortAt(t ledger.Instant) string { return time.UnixMilli(int64(t)).In(brussels).Format("15:04") }

// actKeys lists the keys that these screens put together.
func actKeys() (out []string) {
	for _, r := range daybook.Refusals()[1:] {
		out = append(out, actRefusalKey(r))
	}
	for _, r := range proxies.Rules() {
		out = append(out, ruleKey(r))
	}
	for _, r := range proxies.Reasons() {
		out = append(out, reasonKey(r))
	}
	for e := proxies.Evidence(0); e <= proxies.School; e++ {
		out = append(out, evidenceKey(e))
	}
	for _, s := range []daybook.State{daybook.NotOpen, daybook.Linked, daybook.CatchingUp, daybook.Alone, daybook.Silent, daybook.Closed} {
		out = append(out, stateKey(s))
	}
	for p := ledger.Presence(0); p <= ledger.Absent; p++ {
		out = append(out, presenceKey(p))
	}
	for _, f := range memberFunctions {
		out = append(out, functionKey(f))
	}
	for _, s := range []daybook.CustodyStep{0, daybook.AtBureau, daybook.AtPrincipal, daybook.AtCollege} {
		out = append(out, stepKey(s))
	}
	return out
}

// maxMessage is shown beside the field.
const maxMessage = plaintext.MaxText

// Percent is a share in the language's way of writing it.
func (x *view) Percent(s proxies.Share) string {
	text := fmt.Sprintf("%d.%d %%", s.PerMille()/10, s.PerMille()%10)
	if x.Lang != english {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}

// At is a statement's time of the day in Brussels, ShortAt the same without its offset.
func (x *view) At(t ledger.Instant) string { return at(t) }

// ShortAt is At without the offset.
func (x *view) ShortAt(t ledger.Instant) string { return shortAt(t) }
