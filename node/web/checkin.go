package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/election"
	"pointage/ledger/plaintext"
)

const (
	// rowsShown is how many of the latest check-ins are listed; foundShown how many electors a search lists.
	rowsShown, foundShown = 12, 12
	// sameWithin is how long after an answer the same person's same elector is the same check-in: a scanner that
	// reads twice, a second press.
	sameWithin = 5 * time.Second
	// maxQuery is the length of a name that is looked for, in bytes.
	maxQuery = 120
)

var checkinPage = page{
	name: "check-in", who: assessor, nav: true, show: showCheckin,
	acts: map[string]act{"do": doCheckin, "cancel": cancelCheckin, "search": searchName},
}

// checkinView is what the page shows.
type checkinView struct {
	Answer *answer
	Rows   []rowView
	Card   *cardView
	// Query and Found are a search by name; More is how many are not listed.
	Query string
	Found []Elector
	More  int
	// Searched: the list answers a search.
	Searched bool
}

// answer is what is said about one elector: a class of colour with its sign, words, and what to do now.
type answer struct {
	// Class is admit, refuse, elsewhere, look (look again: a number that can't be one) or wait.
	Class, Sign, Title string
	Lines              []string
	Do                 string
	Elector            *Elector
	// Row is the key of this bureau's own row, to correct it.
	Row string
	// Contest: another bureau's or table's mark may be contested. Provisional and Redirect: the president may admit
	// all the same, with a reason.
	Contest, Provisional, Redirect bool
	// Why is a reason that could not be taken, to be shortened.
	Why string
	// Means and ChipNotProven are how the elector was named, for those forms.
	Means         ledger.Means
	ChipNotProven bool
	At            ledger.BureauNumber
}

// lastCheckIn is a session's last one.
type lastCheckIn struct {
	elector int
	at      time.Time
	answer  *answer
}

type rowView struct {
	Row
	Key, By string
}

type cardView struct {
	Serial int
	Card
	TroubleKey string
}

func showCheckin(v *visit) (any, error) { return v.checkin(nil) }

func (v *visit) checkin(a *answer) (checkinView, error) {
	rows, err := v.rows()
	return checkinView{Answer: a, Rows: rows, Card: v.cardView()}, err
}

func (v *visit) rows() (out []rowView, err error) {
	rows, err := v.bureau.Rows(rowsShown)
	for _, r := range rows {
		out = append(out, rowView{r, rowKey(r.Record), v.nameOf(r.Attester)})
	}
	return out, err
}

// cardView is the card that lies in the reader. A tablet has none: the reader is the machine's.
func (v *visit) cardView() *cardView {
	serial, c := v.desk.read()
	if c == nil || v.r.TLS != nil {
		return nil
	}
	x := &cardView{Serial: serial, Card: *c}
	if c.Trouble != 0 {
		x.TroubleKey = cardKey(c.Trouble)
	}
	return x
}

func rowKey(id ledger.StatementID) string { return fmt.Sprintf("%x-%d", id.Session, id.Sequence) }

// RowKey names a row.
func (x *view) RowKey(id ledger.StatementID) string { return rowKey(id) }

// MeansKey is the word of how somebody was identified.
func (x *view) MeansKey(m ledger.Means) string { return meansKey(m) }

// CanSearch says that this person may look for a name.
func (x *view) CanSearch() bool { return x.Who.President }

// doCheckin is the check-in: the number that was typed or scanned, the card that was read, or the row of a search.
func doCheckin(v *visit) (reply, error) {
	e, means, wrong, err := v.named()
	if err != nil {
		return reply{}, err
	}
	if wrong != nil {
		return v.answered(wrong)
	}
	of := v.cardLines()
	if a := v.same(e); a != nil {
		return v.answered(a)
	}
	d := Desk{Elector: e.Number, Means: means, Attester: v.who.Code, ChipNotProven: v.chipNotProven(means)}
	why, refused, err := v.exception(e, &d)
	if err != nil {
		return reply{}, err
	}
	if refused != nil {
		return v.answered(refused)
	}
	away := ledger.BureauNumber(0)
	if e.Home != v.bureau.Facts().Bureau {
		away = e.Home
	}
	ctx, over := v.under(d, away)
	defer over()
	if why != "" { // the president's reason stands in the chain before what it allows
		if err := v.bureau.Contest(v.r.Context(), Contest{Elector: e.Number, At: e.Home, Attester: v.who.Code, Text: why, Redirected: true}); err != nil {
			return reply{}, err
		}
	}
	got, err := v.bureau.CheckIn(ctx, d)
	if errors.Is(err, context.Canceled) && v.r.Context().Err() == nil {
		return v.answered(v.cancelled())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return v.answered(&answer{Class: "wait", Sign: "…", Title: v.lang.say("check-in.slow"), Do: v.lang.say("check-in.slow-do"), Elector: &e})
	}
	if err != nil {
		return reply{}, err
	}
	if err := v.sawCut(); err != nil {
		return reply{}, err
	}
	a := v.answer(e, d, got)
	if a.Class == "admit" {
		a.Lines = append(a.Lines, of...)
	}
	v.session.mu.Lock()
	v.session.last = lastCheckIn{e.Number, v.now(), a}
	v.session.mu.Unlock()
	return v.answered(a)
}

func (v *visit) answered(a *answer) (reply, error) {
	data, err := v.checkin(a)
	return reply{data: data}, err
}

// same is the answer that this person got for this elector a moment ago.
func (v *visit) same(e Elector) *answer {
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	l := v.session.last
	if l.answer == nil || l.elector != e.Number || v.now().Sub(l.at) > sameWithin || l.answer.Class != "admit" {
		return nil
	}
	a := *l.answer
	a.Lines = append([]string{v.lang.say("check-in.same")}, a.Lines...)
	return &a
}

// exception is what only the president may ask for: an away check-in where the policy sends electors home, with a
// reason in words, and a provisional admission.
func (v *visit) exception(e Elector, d *Desk) (why string, refused *answer, err error) {
	f := v.bureau.Facts()
	code := uint64(0)
	if v.r.PostForm.Has("provisional") && v.who.President && f.Policy == election.ProvisionalAdmit {
		if code, err = v.number("provisional", lastProvisional); err != nil {
			return "", nil, err
		}
		d.Provisional = uint8(code)
	}
	if f.Where != election.Redirect || e.Home == f.Bureau {
		return "", nil, nil
	}
	why = strings.TrimSpace(v.r.PostForm.Get("why"))
	if why == "" || len(why) > maxWhy || plaintext.CheckRemark(why) != nil || !v.who.President {
		a := v.refusal(e, ledger.OtherBureau, e.Home)
		a.Redirect, a.Means, a.ChipNotProven = v.who.President, d.Means, d.ChipNotProven
		if why != "" && v.who.President {
			a.Why, a.Lines = why, append(a.Lines, v.lang.say("check-in.why-unfit", maxWhy, len(why)))
		}
		return "", a, nil
	}
	return why, nil, nil
}

// named is who was named, or why nobody was. Somebody who is not an elector of the commune is not found by any number.
func (v *visit) named() (e Elector, means ledger.Means, wrong *answer, err error) {
	switch by := v.r.PostForm.Get("by"); by {
	case "card":
		return v.byCard()
	case "name", "again":
		n, err := v.number("elector", 1<<32)
		if err != nil {
			return e, 0, nil, err
		}
		means := ledger.ByName
		if by == "again" { // the elector of an answer that the president allows all the same
			m, err := v.number("means", uint64(ledger.ByName))
			if err != nil || m == 0 {
				return e, 0, nil, errField("means")
			}
			means = ledger.Means(m)
		}
		e, found := v.bureau.Elector(int(n))
		if !found || !v.who.President {
			return e, 0, nil, errField("elector")
		}
		return e, means, nil, nil
	}
	text, err := v.field("number", 16<<10)
	if err != nil {
		return e, 0, nil, err
	}
	return v.byNumber(text)
}

func (v *visit) byCard() (e Elector, means ledger.Means, wrong *answer, err error) {
	serial, err := v.number("serial", 1<<31)
	if err != nil {
		return e, 0, nil, err
	}
	at, c := v.desk.read()
	if c == nil || at != int(serial) || c.Trouble != 0 {
		return e, 0, v.look("card.again", "card.again-do"), nil
	}
	e, found, err := v.bureau.Find(ledger.ByCard, c.Number.Digits())
	if err != nil {
		return e, 0, nil, err
	}
	if !found {
		return e, 0, v.notOnTheList(), nil
	}
	v.card = c
	return e, ledger.ByCard, nil, nil
}

// byNumber reads nine digits as a convocation number and eleven as a national number.
func (v *visit) byNumber(text string) (e Elector, means ledger.Means, wrong *answer, err error) {
	means, key := classify(text)
	if key != "" {
		return e, 0, v.look(key, key+"-do"), nil
	}
	e, found, err := v.bureau.Find(means, text)
	switch {
	case errors.Is(err, ledger.ErrNumberCheckDigits):
		return e, 0, v.look("number.digits", "number.digits-do"), nil
	case errors.Is(err, ledger.ErrNumberDate):
		return e, 0, v.look("number.date", "number.date-do"), nil
	case err != nil:
		return e, 0, v.look("number.text", "number.text-do"), nil
	case found:
		return e, means, nil, nil
	}
	if means == ledger.ByConvocationNumber {
		f := v.bureau.Facts()
		digits := strings.Map(onlyDigits, text)
		var ins uint32
		fmt.Sscanf(digits[:2], "%d", &ins)
		if ins != uint32(f.Commune)%100 {
			a := v.notOnTheList()
			a.Title = v.lang.say("number.other-commune", digits[:2])
			if names, known := f.Communes[ins]; known {
				a.Title = v.lang.say("number.other-commune", v.lang.communeName(names[0], names[1]))
			}
			a.Do = v.lang.say("number.other-commune-do")
			return e, 0, a, nil
		}
	}
	return e, 0, v.notOnTheList(), nil
}

// classify says what a text would be: by its count of digits, or the key of what is wrong with it.
func classify(text string) (means ledger.Means, key string) {
	if text == "" {
		return 0, "number.empty"
	}
	if len(text) > ledger.MaxNumberText {
		return 0, "number.long"
	}
	switch digits := strings.Map(onlyDigits, text); {
	case strings.ContainsFunc(text, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }):
		return 0, "number.text"
	case len(digits) == 9:
		return ledger.ByConvocationNumber, ""
	case len(digits) == 11:
		return ledger.ByNationalNumber, ""
	case len(digits) < 9:
		return 0, "number.short"
	case len(digits) == 10:
		return 0, "number.ten"
	}
	return 0, "number.long"
}

func onlyDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

func numberKeys() (out []string) {
	for _, k := range []string{"empty", "short", "ten", "long", "text", "digits", "date"} {
		out = append(out, "number."+k, "number."+k+"-do")
	}
	return append(out, cardKeys()...)
}

// cancelCheckin takes back the check-in that this person has under way, before its light.
func cancelCheckin(v *visit) (reply, error) {
	v.session.mu.Lock()
	d, leave := v.session.under, v.session.leave
	v.session.mu.Unlock()
	if d == nil {
		return v.answered(v.look("check-in.nothing-under-way", "check-in.nothing-under-way-do"))
	}
	got, err := v.bureau.Undo(v.r.Context(), *d, voidedByTable)
	if err != nil {
		return reply{}, err
	}
	if got.Refusal == ledger.Withdrawn || got.Refusal == ledger.NotRefused {
		return v.answered(&answer{Class: "elsewhere", Sign: "↩", Title: v.lang.say("refusal.13.what"), Do: v.lang.say("refusal.13.do")})
	}
	if got.Refusal == ledger.NothingToCorrect { // it waits for another bureau: nothing is recorded yet
		leave()
		return v.answered(v.cancelled())
	}
	return v.answered(v.look("check-in.too-late", "check-in.too-late-do"))
}

// cancelled is said when the table stopped waiting; whether something had been recorded at that very moment the next
// scan tells.
func (v *visit) cancelled() *answer {
	return &answer{Class: "elsewhere", Sign: "↩", Title: v.lang.say("check-in.cancelled"), Do: v.lang.say("check-in.slow-do")}
}

// searchName lists electors by name, for the president (decree art. 9 knows card and numbers; the name is for who has
// neither with him).
func searchName(v *visit) (reply, error) {
	if !v.who.President {
		return reply{}, errField("query")
	}
	query, err := v.field("query", maxQuery)
	if err != nil {
		return v.answered(v.look("number.long", "number.long-do"))
	}
	data, err := v.checkin(nil)
	if err != nil {
		return reply{}, err
	}
	total := 0
	data.Query, data.Searched = query, true
	data.Found, total = v.bureau.Search(query, foundShown)
	data.More = total - len(data.Found)
	return reply{data: data}, nil
}
