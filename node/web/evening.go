package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/daybook"
)

// Papers are what the evening's screen asks of the bureau. What is of other bureaux, of the commune, or has addresses is
// asked for at the principal bureau, and members' lists at its deputy too.
type Papers interface {
	Evening(ctx context.Context) (daybook.Evening, error)
	// RecordMinutes states a closed bureau's minutes once; again it gives what was stated.
	RecordMinutes(ctx context.Context, of ledger.BureauNumber) (*ledger.Minutes, error)
	// RecordCommune states the commune's, unless they were stated another number of times than was seen.
	RecordCommune(ctx context.Context, seen int) (recorded bool, err error)
	// Minutes are a bureau's, 0 for the commune's.
	Minutes(ctx context.Context, of ledger.BureauNumber, lang minutes.Language) (*minutes.Document, error)
	PaperList(ctx context.Context, lang minutes.Language) (*minutes.Document, error)
	AbsentElectors(ctx context.Context, lang minutes.Language) (*minutes.Document, error)
	AbsentMembers(ctx context.Context, lang minutes.Language) (*minutes.Document, error)
}

// eveningPage leads from the closing to signed minutes, and gives out the papers.
var eveningPage = page{
	name: "evening", who: president, nav: true, show: showEvening, acts: map[string]act{"record": recordOwn, "commune": recordCommune},
	files: map[string]func(*visit) error{"paper": (*visit).paper},
}

// paperTimeout bounds what reads the whole ledger: recording and drawing.
const paperTimeout = 2 * time.Minute

// allowed is the time that a request gets.
func allowed(path string) time.Duration {
	if strings.HasPrefix(path, "/evening/") || path == "/closing/do" {
		return paperTimeout
	}
	return actTimeout
}

// The papers by their names in addresses, which name nobody.
const (
	minutesPaper  = "minutes"
	listPaper     = "paper-list"
	electorsPaper = "absent-electors"
	membersPaper  = "absent-members"
)

// step is one of the evening's, with its state.
type step struct {
	// Mark is ok, doubt, todo, or next for the first that is to be done.
	Mark, Title, Text, Do string
	// To is a page that it leads to, Link the words; Said is what the mark means.
	To, Link, Said string
}

// Sign is the mark as a character.
func (s step) Sign() string {
	return map[string]string{"ok": "✔", "doubt": "!", "todo": "○", "next": "➜"}[s.Mark]
}

func markKey(mark string) string { return "mark." + mark }

// eveningKeys lists the keys that this page puts together.
func eveningKeys() []string {
	return []string{markKey("ok"), markKey("doubt"), markKey("todo"), markKey("next")}
}

// eveningView is the evening, step by step.
type eveningView struct {
	daybook.Evening
	// Count, Close, Record, Sign and Hand are the bureau's steps; All, Each and Whole those of the principal bureau.
	Count, Close, Record, Sign, Hand step
	All, Each, Whole                 step
	// Recordable: the minutes can be recorded now; Doubt: the president says so without a count that agrees.
	Recordable, Doubt bool
	// Leads: this is the principal bureau or its deputy, closed. Times is how often the commune's minutes were recorded.
	Leads bool
	Times int
	// Papers are this bureau's, CommunePapers the commune's.
	Papers, CommunePapers []paperRow
	// missing are the bureaux that have not closed, unrecorded those without minutes.
	missing, unrecorded []ledger.BureauNumber
}

// paperRow is a paper with the addresses of its files.
type paperRow struct {
	Name  string
	Files []paperFile
}

// paperFile is a file that can be had.
type paperFile struct{ To, Form, Label string }

// row is a paper in both languages and forms; of is the bureau of minutes.
func (v *visit) row(what string, of ledger.BureauNumber, name string) paperRow {
	out := paperRow{Name: name}
	for _, l := range []language{french, dutch} {
		for _, form := range []string{"pdf", "html"} {
			out.Files = append(out.Files, paperFile{
				fmt.Sprintf("/evening/paper?what=%s&of=%d&lang=%s&as=%s", what, of, l, form), l.Short() + " " + strings.ToUpper(form),
				fmt.Sprintf("%s: %s %s", name, l.Short(), strings.ToUpper(form)),
			})
		}
	}
	return out
}

func showEvening(v *visit) (any, error) {
	e, err := v.bureau.Evening(v.r.Context())
	if err != nil {
		return nil, err
	}
	f, st := v.bureau.Facts(), v.bureau.State()
	closed := st.Closed && !st.Open
	out := eveningView{Evening: e, Leads: leads(v.Server), Recordable: closed && e.Own == nil, Count: v.countStep(&e)}
	out.Doubt = out.Recordable && !settled(&e)
	v.eveningSteps(&out, st)
	if closed && e.Own != nil {
		out.Papers = append(out.Papers, v.row(minutesPaper, f.Bureau, v.lang.say("evening.paper-minutes", f.Bureau)))
	}
	out.Papers = append(out.Papers, v.row(listPaper, f.Bureau, v.lang.say("evening.paper-list")))
	if out.Leads = out.Leads && closed; out.Leads { // in the morning there is nothing to be drawn
		v.eveningOfCommune(&out, f)
	}
	first(&out.Count, &out.Close, &out.Record, &out.Sign, &out.Hand)
	for _, s := range []*step{&out.Count, &out.Close, &out.Record, &out.Sign, &out.Hand, &out.All, &out.Each, &out.Whole} {
		s.Said = v.lang.say(markKey(s.Mark))
	}
	return out, nil
}

// first marks the first step that is to be done.
func first(steps ...*step) {
	for _, s := range steps {
		if s.Mark == "todo" {
			s.Mark = "next"
			return
		}
	}
}

// countStep says how the ballots agree with the check-ins.
func (v *visit) countStep(e *daybook.Evening) step {
	say := v.lang.say
	s := step{Mark: "todo", Title: say("evening.count"), Do: say("evening.count-do"), To: "/counts", Link: say("counts.title")}
	switch {
	case e.Own != nil && (e.Last == nil || e.Last.Time > e.Own.Time):
		s.Mark, s.Text, s.Do = "doubt", say("evening.count-late"), ""
	case e.Last == nil:
		s.Text = say("evening.count-none", e.CheckedIn)
	case !e.Counted():
		s.Text = say("evening.count-old", at(e.Last.Time), e.Last.CheckedIn, e.CheckedIn)
	case e.Last.Alert:
		s.Mark, s.Text, s.Do = "doubt", say("evening.count-gap", gapOf(e.Last)), say("evening.count-gap-do")
	default:
		s.Mark, s.Text, s.Do = "ok", say("evening.count-ok", e.CheckedIn, e.Last.Issued, e.Last.Scanned), ""
	}
	return s
}

// eveningSteps are the bureau's: close, record, sign, hand over.
func (v *visit) eveningSteps(out *eveningView, st State) {
	say := v.lang.say
	out.Close = step{Mark: "ok", Title: say("evening.close"), Text: say("closing.is-closed", st.Admitted)}
	out.Record = step{Mark: "todo", Title: say("evening.record"), Text: say("evening.record-later")}
	out.Sign = step{Mark: "todo", Title: say("evening.sign"), Text: say("evening.sign-later")}
	out.Hand = step{Mark: "todo", Title: say("evening.hand"), Text: say("evening.hand-later")}
	switch {
	case st.Open || !st.Closed:
		out.Close = step{Mark: "todo", Title: out.Close.Title, Text: say("evening.close-later"), To: "/closing", Link: say("closing.title")}
	case out.Own == nil:
		out.Record.Text = say("evening.record-now")
	default:
		out.Record.Mark, out.Record.Text = "ok", say("evening.record-is", at(out.Own.Time))
		out.Sign.Text, out.Sign.Do = say("evening.sign-now"), say("evening.sign-do")
		out.Hand.Text, out.Hand.Do = say("evening.hand-level"), say("evening.hand-do")
		if f := v.bureau.Facts(); f.Bureau == f.Principal {
			out.Hand.Do = say("evening.hand-here")
		}
		if st.Backlog > 0 {
			out.Hand.Mark, out.Hand.Text = "doubt", say("evening.hand-backlog", st.Backlog)
		}
	}
}

// eveningOfCommune adds what the principal bureau and its deputy do.
func (v *visit) eveningOfCommune(out *eveningView, f Facts) {
	say := v.lang.say
	for _, b := range out.Others {
		if !b.Closed {
			out.missing = append(out.missing, b.Bureau)
		}
		if !b.Recorded {
			out.unrecorded = append(out.unrecorded, b.Bureau)
		}
	}
	out.All = step{Mark: "ok", Title: say("evening.all"), Text: say("evening.all-closed")}
	if len(out.missing) > 0 {
		out.All.Mark, out.All.Text, out.All.Do = "doubt", say("evening.all-missing", numbers(out.missing)), say("evening.all-do")
	}
	out.Each = step{Mark: "ok", Title: say("evening.each"), Text: say("evening.each-recorded")}
	if len(out.unrecorded) > 0 {
		out.Each.Mark, out.Each.Text, out.Each.Do = "doubt", say("evening.each-missing", numbers(out.unrecorded)), say("evening.each-do")
	}
	out.Whole = step{Mark: "todo", Title: say("evening.commune"), Text: say("evening.commune-later")}
	if len(out.missing) == 0 {
		out.Whole.Mark = "next"
	}
	if c := out.Commune; c != nil {
		out.Times = c.Times
		out.Whole.Mark, out.Whole.Text, out.Whole.Do = "ok", say("evening.commune-is", at(c.Time), c.By), say("evening.commune-again")
	}
	out.CommunePapers = []paperRow{v.row(minutesPaper, 0, say("evening.paper-commune")), v.row(membersPaper, 0, say("evening.paper-members"))}
	if f.Bureau == f.Principal {
		out.CommunePapers = append(out.CommunePapers, v.row(electorsPaper, 0, say("evening.paper-electors")))
	}
}

// maxNumbers is how many bureaux a line names.
const maxNumbers = 20

// numbers lists bureaux.
func numbers(all []ledger.BureauNumber) string {
	var out []string
	for i, b := range all {
		if i == maxNumbers {
			out = append(out, fmt.Sprintf("… (%d)", len(all)))
			break
		}
		out = append(out, fmt.Sprint(b))
	}
	return strings.Join(out, ", ")
}

// recordOwn records this bureau's minutes; pressed again it finds them recorded.
func recordOwn(v *visit) (reply, error) {
	ctx := v.r.Context()
	e, err := v.bureau.Evening(ctx)
	if err != nil {
		return reply{}, err
	}
	switch st := v.bureau.State(); {
	case st.Open || !st.Closed:
		v.said(false, "evening.close-first")
	case e.Own == nil && !settled(&e) && v.r.PostForm.Get("anyway") != "yes":
		v.said(false, "evening.count-first")
	default:
		if _, err := v.bureau.RecordMinutes(ctx, v.bureau.Facts().Bureau); err != nil {
			return reply{}, err
		}
		v.said(true, "evening.recorded")
	}
	return reply{to: "/evening"}, nil
}

// recordCommune records the commune's minutes anew, once for each time that the page showed them.
func recordCommune(v *visit) (reply, error) {
	seen, ok, err := v.typed("seen", 31)
	if err != nil {
		return reply{}, err
	}
	if !ok {
		return reply{}, errField("seen")
	}
	if !leads(v.Server) {
		return v.told(daybook.PrincipalOnly, "")
	}
	recorded, err := v.bureau.RecordCommune(v.r.Context(), int(seen))
	switch {
	case err != nil:
		return reply{}, err
	case recorded:
		v.said(true, "evening.commune-recorded")
	default:
		v.said(true, "evening.commune-was")
	}
	return reply{to: "/evening"}, nil
}

// paper gives out a paper as a file: one at a time, so that the tables are answered meanwhile.
func (v *visit) paper() error {
	q := v.r.URL.Query()
	what, form := q.Get("what"), q.Get("as")
	lang, ok := minutes.ParseLanguage(q.Get("lang"))
	of, err := strconv.ParseUint(q.Get("of"), 10, 16)
	if !ok || err != nil || form != "pdf" && form != "html" {
		return errField("paper")
	}
	draw, refused := v.drawing(what, ledger.BureauNumber(of))
	if refused != "" {
		v.problem(http.StatusForbidden, v.lang.say(refused))
		return nil
	}
	if draw == nil {
		return errField("paper")
	}
	select {
	case v.drawn <- struct{}{}:
		defer func() { <-v.drawn }()
	case <-v.r.Context().Done():
		return v.r.Context().Err()
	}
	doc, err := draw(v.r.Context(), lang)
	if err != nil {
		return err
	}
	var body []byte
	if form == "pdf" {
		body, err = doc.PDF()
	} else {
		body, err = doc.HTML()
	}
	if err != nil {
		return err
	}
	v.log.Info("a paper was drawn", "paper", what, "of", of, "language", lang.String(), "form", form, "member", v.who.Code)
	f := v.bureau.Facts()
	answerBy(v.w, paperTimeout)
	return v.sendPaper(form, fmt.Sprintf("%s-%d-%03d-%v.%s", what, f.Commune, of, lang, form), body)
}

type drawPaper = func(context.Context, minutes.Language) (*minutes.Document, error)

// drawing is how a paper is drawn, nil for none of that name, or the text that refuses it here and now.
func (v *visit) drawing(what string, of ledger.BureauNumber) (draw drawPaper, refused string) {
	f := v.bureau.Facts()
	switch {
	case what == listPaper:
		return v.bureau.PaperList, ""
	case what == minutesPaper && of == f.Bureau, what == minutesPaper && leads(v.Server):
		return func(ctx context.Context, lang minutes.Language) (*minutes.Document, error) {
			return v.bureau.Minutes(ctx, of, lang)
		}, ""
	case what == membersPaper && leads(v.Server):
		return v.bureau.AbsentMembers, ""
	case what == electorsPaper && f.Bureau == f.Principal:
		return v.bureau.AbsentElectors, ""
	case what == minutesPaper || what == membersPaper || what == electorsPaper:
		return nil, "evening.elsewhere"
	}
	return nil, ""
}

// styleIn finds the one style of a document's page.
var styleIn = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

// sendPaper sends a document to be looked at, printed and kept. A page's own style is allowed by its hash; a browser's own
// viewer of PDF is a page around the file, with a style and the file in it.
func (v *visit) sendPaper(form, name string, body []byte) error {
	h := v.w.Header()
	h.Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", name))
	if form == "pdf" {
		h.Set("Content-Type", "application/pdf")
		h.Set("Content-Security-Policy", "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	} else {
		h.Set("Content-Type", "text/html; charset=utf-8")
		style := ""
		if m := styleIn.FindSubmatch(body); m != nil {
			sum := sha256.Sum256(m[1])
			style = "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; "
		}
		h.Set("Content-Security-Policy", "default-src 'none'; "+style+"frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = v.w.Write(body) // the browser is gone otherwise
	return nil
}
