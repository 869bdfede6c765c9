package web

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// signinPage is the only one that a stranger sees.
var signinPage = page{name: "sign-in"}

// signinView is what it shows.
type signinView struct {
	Team []seat
	// To is where to go afterwards.
	To string
	// Chosen is who was chosen last, 0 for the president.
	Chosen uint16
}

// seat is one person of the team, as a stranger may see him.
type seat struct {
	Code     uint16
	Initials string
}

func (s *Server) seats() (out []seat) {
	for _, m := range s.team.list() {
		out = append(out, seat{m.Code, initials(s.nameOf(m.Code))})
	}
	return out
}

func (v *visit) signinView(to string) signinView {
	return signinView{Team: v.seats(), To: v.inside(to)}
}

// inside keeps a path to come back to within the pages.
func (v *visit) inside(to string) string {
	name := strings.TrimPrefix(to, "/")
	if slices.ContainsFunc(pages, func(p *page) bool { return p.name == name }) {
		return "/" + name
	}
	return ""
}

// showSignin is GET /sign-in.
func (v *visit) showSignin() error {
	if v.who.Code != 0 {
		v.redirect("/")
		return nil
	}
	return v.render(http.StatusOK, v.signinView(v.r.URL.Query().Get("to")))
}

// signIn is POST /sign-in: the person who was chosen, and the secret. A new session begins with a new cookie.
func (v *visit) signIn() error {
	to, err := v.field("to", 64)
	if err != nil {
		return err
	}
	who, ok, err := v.identified("who", "secret")
	if err != nil {
		return err
	}
	if !ok {
		data := v.signinView(to)
		code, _ := v.number("who", 1<<16-1)
		data.Chosen = uint16(code)
		return v.render(http.StatusForbidden, data)
	}
	v.sessions.end(v.r, v.cookie)
	x, cookie := v.sessions.begin(v.r, who, v.lang)
	v.sessions.inherit(x)
	v.setCookie(cookie)
	v.log.Info("signed in", "code", who.Code, "president", who.President)
	if to = v.inside(to); to == "" {
		to = "/"
	}
	v.redirect(to)
	return nil
}

// identified checks a person's secret: whose is the field who, 0 for the president's passphrase. Why it was refused is
// said on the next page.
func (v *visit) identified(whoField, secretField string) (person, bool, error) {
	code, err := v.number(whoField, 1<<16-1)
	if err != nil {
		return person{}, false, err
	}
	secret, err := v.field(secretField, 1024)
	if err != nil {
		return person{}, false, err
	}
	c := uint16(code)
	if wait := v.tries.wait(c); wait > 0 {
		v.said(false, "sign-in.wait", int(wait.Round(time.Second)/time.Second)+1)
		return person{}, false, nil
	}
	var right bool
	if c == 0 {
		right = v.bureau.OpensKey(secret)
	} else {
		right = v.team.right(c, secret)
	}
	v.tries.said(c, right)
	if !right {
		v.log.Warn("a secret was wrong", "code", c)
		if c == 0 {
			v.said(false, "sign-in.wrong-passphrase")
		} else {
			v.said(false, "sign-in.wrong-pin")
		}
		return person{}, false, nil
	}
	if c == 0 {
		p, err := v.presidentNow(v.r.Context())
		return p, err == nil, err
	}
	return person{Code: c, Name: v.nameOf(c)}, true, nil
}

// second is the other person of an act that needs two: the form's fields second (a code, 0 for the president) and
// second_secret. False says that it was refused, and why is on the next page.
func (v *visit) second() (person, bool, error) {
	p, ok, err := v.identified("second", "second_secret")
	if err != nil || !ok {
		return p, ok, err
	}
	if p.Code == v.who.Code {
		v.said(false, "sign-in.same-person")
		return p, false, nil
	}
	return p, true, nil
}

// Others are those who can be the second person.
func (x *view) Others() (out []seat) {
	for _, m := range x.v.team.list() {
		if m.Code != x.Who.Code {
			out = append(out, seat{m.Code, x.v.nameOf(m.Code)})
		}
	}
	return out
}

// lockTable is POST /lock.
func (v *visit) lockTable() error {
	v.sessions.end(v.r, v.cookie)
	v.setCookie("")
	v.redirect("/sign-in")
	return nil
}

// speak is POST /language: this session's language from now on.
func (v *visit) speak() error {
	text, err := v.field("language", 2)
	if err != nil {
		return err
	}
	l, ok := languageOf(text)
	if !ok {
		return errField("language")
	}
	v.session.speak(l)
	here, err := v.field("here", 64)
	if err != nil {
		return err
	}
	if here = v.inside(here); here == "" {
		here = "/sign-in"
	}
	v.redirect(here)
	return nil
}
