package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
)

// The codes of reasons, as they stand in statements; numbered for ever. Their words are correct.reason-N and
// check-in.provisional-N.
const (
	// voidedByTable is the reason of a void that the table itself asked for, before the light; 1 is the group's
	// (rights.VoidedByGroup), and says something else to who reads the answer.
	voidedByTable   = 2
	lastUndo        = 4
	lastProvisional = 3
	// maxWhy is the length of a reason in words, in bytes.
	maxWhy = 512
	// contestedFresh is how long a count of contested rows is shown.
	contestedFresh = 2 * time.Second
	// rowsKept is how far back a row can be corrected here: the whole day of a bureau.
	rowsKept = 2000
)

func codeKeys() (out []string) {
	for i := 1; i <= lastUndo; i++ {
		out = append(out, fmt.Sprintf("correct.reason-%d", i))
	}
	for i := 1; i <= lastProvisional; i++ {
		out = append(out, fmt.Sprintf("check-in.provisional-%d", i))
	}
	return out
}

// Reasons are the words of the codes of a correction, by their numbers.
func (x *view) Reasons(prefix string) (out []choice) {
	last := map[string]int{"correct.reason": lastUndo, "check-in.provisional": lastProvisional}[prefix]
	for i := 1; i <= last; i++ {
		out = append(out, choice{i, x.T(fmt.Sprintf("%s-%d", prefix, i))})
	}
	return out
}

type choice struct {
	Code int
	Text string
}

var correctPage = page{name: "correct", who: assessor, show: showCorrect, acts: map[string]act{"do": doCorrect}}

// correctView is one row, and what came of its correction.
type correctView struct {
	// Row is nil while none is chosen: then Rows lists the latest.
	Row  *rowView
	Rows []rowView
	Lost bool
	// Contested are marks that electors contest, Part of all; Of is what the elector of this row said, elsewhere.
	Contested, Of []contested
	Part          stretch
}

// contested is one contest, with the key of this bureau's row that it is about, empty when none stands.
type contested struct {
	Contested
	Key, By string
}

// Asked says whether an elector contests this bureau's row.
func (c contested) Asked(here ledger.BureauNumber) bool { return c.At == here && c.Key != "" }

// contests are what electors said against marks, as far as this bureau may read it.
func (v *visit) contests() (out []contested, err error) {
	all, err := v.bureau.Contested(v.r.Context())
	for _, c := range all {
		x := contested{Contested: c, By: v.nameOf(c.Attester)}
		if c.Row != nil {
			x.Key = rowKey(c.Row.Record)
		}
		out = append(out, x)
	}
	return out, err
}

// countContested keeps how many rows of this bureau are contested and stand, for the line of every page. The stream of
// events asks, at its pace; reading them takes the ledger's newest entries along.
func (v *visit) countContested() error {
	if at := v.contestedAt.Load(); time.Since(time.Unix(0, at)) < contestedFresh {
		return nil
	}
	v.contestedAt.Store(time.Now().UnixNano())
	all, err := v.contests()
	if err != nil {
		return err
	}
	here, rows := v.bureau.Facts().Bureau, map[string]bool{}
	for _, c := range all {
		if c.Asked(here) {
			rows[c.Key] = true
		}
	}
	v.contestedRows.Store(int32(len(rows)))
	return nil
}

// Contested is how many rows of this bureau are contested and stand.
func (x *view) Contested() int { return int(x.v.contestedRows.Load()) }

func showCorrect(v *visit) (any, error) {
	return v.correcting(v.r.URL.Query().Get("row"))
}

func (v *visit) correcting(key string) (correctView, error) {
	rows, err := v.bureau.Rows(rowsKept)
	if err != nil {
		return correctView{}, err
	}
	out := correctView{Lost: key != ""}
	if out.Contested, err = v.contests(); err != nil {
		return correctView{}, err
	}
	for i, r := range rows {
		x := rowView{r, rowKey(r.Record), v.nameOf(r.Attester)}
		if x.Key == key {
			out.Row, out.Lost = &x, false
		}
		if x.Key == key {
			for _, c := range out.Contested {
				if c.Key == key {
					out.Of = append(out.Of, c)
				}
			}
		}
		if i < 3*rowsShown {
			out.Rows = append(out.Rows, x)
		}
	}
	const around = 600 // of what was said: the elector, where, when, to whom, the way to the row
	out.Part = v.stretch(len(out.Contested), func(i int) int { return around + len(template.HTMLEscapeString(out.Contested[i].Text)) })
	out.Contested = out.Contested[out.Part.From:out.Part.To]
	return out, nil
}

// doCorrect annuls a row: the light is out, so that two different persons attest that this elector got no ballot.
func doCorrect(v *visit) (reply, error) {
	key, err := v.field("row", 64)
	if err != nil {
		return reply{}, err
	}
	data, err := v.correcting(key)
	if err != nil || data.Row == nil {
		return reply{data: data}, err
	}
	reason, err := v.number("reason", lastUndo)
	if err != nil || reason == 0 {
		v.said(false, "correct.no-reason")
		return reply{data: data}, nil
	}
	second, ok, err := v.second()
	if err != nil || !ok {
		return reply{data: data}, err
	}
	d := Desk{Elector: data.Row.Elector.Number, Means: data.Row.Means, Attester: v.who.Code}
	got, err := v.bureau.Annul(v.r.Context(), d, uint8(reason), second.Code)
	if err != nil {
		return reply{}, err
	}
	if got.Refusal != ledger.NotRefused && got.Refusal != ledger.Withdrawn {
		v.said(false, refusalKey(got.Refusal, "what"), got.At)
		return reply{data: data}, nil
	}
	v.session.mu.Lock()
	v.session.last = lastCheckIn{}
	v.session.mu.Unlock()
	v.contestedAt.Store(0)
	v.said(true, "correct.done", v.personText(v.who.Code), v.personText(second.Code))
	v.said(true, "correct.then")
	return reply{to: "/check-in"}, nil
}

var contestPage = page{name: "contest", who: assessor, show: showContest, acts: map[string]act{"ask": askContest, "do": doContest}}

// contestView is what an elector says against a mark.
type contestView struct {
	Elector *Elector
	// Lines say who was marked where, when and by whom.
	Lines []string
	At    ledger.BureauNumber
	Text  string
	Most  int
	Long  bool
}

func showContest(*visit) (any, error) { return contestView{Most: maxWhy}, nil }

// askContest opens the form for an elector of an answer; nothing is recorded.
func askContest(v *visit) (reply, error) {
	data, err := v.contested()
	return reply{data: data}, err
}

func (v *visit) contested() (contestView, error) {
	n, err := v.number("elector", 1<<32)
	if err != nil {
		return contestView{}, err
	}
	at, err := v.number("at", ledger.MaxBureaux)
	if err != nil {
		return contestView{}, err
	}
	e, found := v.bureau.Elector(int(n))
	if !found {
		return contestView{}, errField("elector")
	}
	out := contestView{Elector: &e, At: ledger.BureauNumber(at), Most: maxWhy}
	got, err := v.bureau.Marked(int(n))
	if err != nil {
		return contestView{}, err
	}
	out.Lines = v.earlier(got)
	return out, nil
}

// doContest records the elector's word, sealed, for the principal bureau, the other bureau and the experts.
func doContest(v *visit) (reply, error) {
	data, err := v.contested()
	if err != nil {
		return reply{}, err
	}
	text := strings.TrimSpace(v.r.PostForm.Get("text"))
	if text == "" || len(text) > maxWhy || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' }) {
		data.Text, data.Long = text, true
		return reply{data: data, status: 422}, nil
	}
	c := Contest{Elector: data.Elector.Number, At: data.At, Attester: v.who.Code, Text: text}
	if err := v.bureau.Contest(v.r.Context(), c); err != nil {
		return reply{}, err
	}
	v.said(true, "contest.done")
	if c.At != 0 && c.At != v.bureau.Facts().Bureau {
		v.said(true, "contest.then", c.At)
	}
	return reply{to: "/check-in"}, nil
}
