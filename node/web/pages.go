package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// page is one screen.
type page struct {
	// name is its path, /<name>, its template, templates/<name>.html (which defines "content"), and the beginning of
	// its words: <name>.title, and <name>.nav for the menu.
	name string
	// who may see it and use its acts.
	who role
	// nav puts it into the menu; unlisted hides it there, nil for never.
	nav      bool
	unlisted func(*Server) bool
	// show is what the template gets as .Data.
	show func(*visit) (any, error)
	// acts are what its forms do, by the last part of their path: POST /<name>/<act>.
	acts map[string]act
	// files are what it gives out, by the last part of their path: GET /<name>/<file>.
	files map[string]func(*visit) error
}

// act is what a form does. The form's token, session, size and origin were checked before.
type act func(*visit) (reply, error)

// reply is what an act answers: another page to go to, where a reload does nothing again; or this page with data.
type reply struct {
	to   string
	data any
	// status is the code of a page with data, 0 for 200.
	status int
}

// role is who may do something.
type role uint8

// The roles.
const (
	assessor  role = 1
	president role = 2
)

// pages are all screens for who is signed in, in the order of the menu.
//
// To add one: a file of its own with `var xPage = page{name: "x", who: assessor, nav: true, show: showX, acts: …}`, a line
// here, templates/x.html with {{define "content"}}…{{end}}, and x.title, x.nav and its other words in words/*.txt.
// In the template {{$.T "x.some" arg}} is a text, every form holds {{template "token" $}}; its fields are read by
// visit.field, which bounds them, and a second person's secret by visit.second. What the page asks of the bureau is
// added to Bureau (bureau.go). Keys that code puts together are listed in families (language.go).
var pages []*page

func init() { // the pages' functions lead back to the list
	pages = []*page{&openingPage, &checkinPage, &proxiesPage, &flowPage, &countsPage, &messagesPage, &attendancePage, &accountsPage, &dashboardPage, &correctPage, &contestPage, &relabelPage, &closingPage, &eveningPage, &teamPage}
}

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// templates are each page's, with the layout and the shared parts.
var templates = func() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(template.FuncMap{
		"clock": clockText, "time": timeText, "offset": offsetText, "minute": minuteText, "day": dayText, "join": strings.Join,
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	out := map[string]*template.Template{}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(f, "templates/"), ".html")
		if name != "layout" && name != "parts" {
			out[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, f))
		}
	}
	return out
}()

// visit is one request in a session.
type visit struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	session *session
	// who is signed in; nobody on the sign-in page.
	who  person
	lang language
	page *page
	// card is the one that names the elector of this form, nil where he is named otherwise.
	card *Card
}

// view is what every template gets.
type view struct {
	v     *visit
	Facts Facts
	State State
	Lang  language
	Who   person
	Data  any
	// Token is the session's, for its forms.
	Token   string
	Notices []notice
	Now     time.Time
}

// T is a text in the session's language.
func (x *view) T(key string, with ...any) string { return x.Lang.say(key, with...) }

// In is a text in another language, such as the elector's.
func (x *view) In(l, key string, with ...any) string {
	other, _ := languageOf(l)
	return other.say(key, with...)
}

// Page is the page's name.
func (x *view) Page() string { return x.v.page.name }

// Title is the page's title.
func (x *view) Title() string { return x.T(x.v.page.name + ".title") }

// Menu lists the pages that this person may see.
func (x *view) Menu() (out []*page) {
	if x.Who.Code == 0 {
		return nil
	}
	for _, p := range pages {
		if p.nav && p.who <= x.Who.role() && (p.unlisted == nil || !p.unlisted(x.v.Server)) {
			out = append(out, p)
		}
	}
	return out
}

// Name is the page's name, for the menu.
func (p *page) Name() string { return p.name }

// Nav is the page's word in the menu.
func (x *view) Nav(p *page) string { return x.T(p.name + ".nav") }

// Languages are those that can be switched to.
func (x *view) Languages() []language { return languages }

// Commune is the commune's name.
func (x *view) Commune() string { return x.Lang.communeName(x.Facts.NameFR, x.Facts.NameNL) }

// Place is where a bureau sits.
func (x *view) Place(b ledger.BureauNumber) string { return x.v.bureau.Place(b) }

// Here is this page's path, to come back to.
func (x *view) Here() string { return "/" + x.v.page.name }

// IsPresident says who sees what only the president does.
func (x *view) IsPresident() bool { return x.Who.President }

// Hash is a hash in groups that can be read aloud.
func (x *view) Hash(h ledger.Hash) string {
	text, out := fmt.Sprintf("%x", h[:]), ""
	for i := 0; i < len(text); i += 8 {
		out += text[i:i+8] + " "
	}
	return strings.TrimSpace(out)
}

// LinkKey is the word of how the bureau stands with its group; where nobody is checked in, it doesn't go on.
func (x *view) LinkKey() string {
	if !x.State.Open && x.State.Link == pollbook.Alone {
		return "link.shut"
	}
	return linkKey(x.State.Link)
}

// Entry is an entry's name (ledger.EntryName) in the language.
func (x *view) Entry(name string) string { return x.Lang.entryText(name) }

func (v *visit) view(data any) *view {
	return &view{
		v: v, Facts: v.bureau.Facts(), State: v.bureau.State(), Lang: v.lang, Who: v.who, Data: data, Token: v.session.token, Now: v.now(),
	}
}

// render writes the page with data. A request that names a part of the page, as the script does, gets that alone.
func (v *visit) render(status int, data any) error {
	x := v.view(data)
	part := v.r.Header.Get(partHeader)
	if part == "" {
		part = "layout"
		x.Notices = v.session.takeNotices()
	}
	var b bytes.Buffer
	t := templates[v.page.name]
	if t.Lookup(part) == nil { // a fault in place of an answer
		part = "fault"
	}
	if err := t.ExecuteTemplate(&b, part, x); err != nil {
		return fmt.Errorf("draw page %s: %w", v.page.name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // the browser is gone otherwise
	return nil
}

// part draws one part of a page for the stream of events.
func (v *visit) part(name string, data any) (string, error) {
	var b strings.Builder
	if err := templates[v.page.name].ExecuteTemplate(&b, name, v.view(data)); err != nil {
		return "", fmt.Errorf("draw %s: %w", name, err)
	}
	return b.String(), nil
}

// partHeader is the request's header in which the script names the part of a page that it wants.
const partHeader = "Pointage-Part"

// errField is a form's field that no page of ours sends: the act is not done.
type errField string

func (e errField) Error() string { return "field " + string(e) }

// field is a form's field of at most so many bytes, without white space around it. A longer one is errField.
func (v *visit) field(name string, most int) (string, error) {
	text := strings.TrimSpace(v.r.PostForm.Get(name))
	if len(text) > most {
		return "", errField(name)
	}
	return text, nil
}

// notice is one line that the next page shows.
type notice struct {
	Text string
	// Good is a confirmation, else it warns.
	Good bool
}

// said puts a line on the next page.
func (v *visit) said(good bool, key string, with ...any) {
	v.session.addNotice(notice{v.lang.say(key, with...), good})
}
