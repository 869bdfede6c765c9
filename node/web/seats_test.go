package web_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pointage/node/web"
)

// seat is somebody at the screens: a person at a browser (tab), or, where there is no Chromium, the pages' own forms as a
// browser without script sends them (visitor).
type seat interface {
	get(path string) page
	// post presses a form's button, with fields by their names.
	post(path string, fields ...string) page
	checkIn(number string) page
	// checks is checkIn for whoever works beside the test.
	checks(number string) (page, error)
	// file is what a page gives out.
	file(path string) []byte
}

// signsIn has a member, 0 for the president, sit down at the screens.
func (s *station) signsIn(who, secret string) seat {
	s.t.Helper()
	if web.HasChromium() {
		x := s.tab()
		x.signIn(who, secret)
		return x
	}
	v := s.visitor()
	v.get("/sign-in")
	if p := v.post("/sign-in", "who", who, "secret", secret); p.path == "/sign-in" {
		s.t.Fatalf("%s could not sign in: %d %s", who, p.status, p.text())
	}
	return v
}

// shows is the page that is shown.
func (x *tab) shows() (p page, err error) {
	text, err := chromedp.Run(x.ctx, chromedp.Evaluate[string](`JSON.stringify([location.pathname, document.documentElement.outerHTML])`))
	if err != nil {
		return p, fmt.Errorf("read page: %w", err)
	}
	var got [2]string
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return p, fmt.Errorf("read page: %w", err)
	}
	return page{status: 200, path: got[0], body: got[1]}, nil
}

func (x *tab) seen() page {
	x.t.Helper()
	p, err := x.shows()
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

func (x *tab) get(path string) page {
	x.t.Helper()
	x.open(path, "main h1")
	return x.seen()
}

// press fills the form of this page that leads to a path, and whose hidden fields say nothing else than what is asked
// for, and presses its button.
const press = `(() => {
	const [action, ...given] = %s, fields = [];
	for (let i = 0; i < given.length; i += 2) fields.push([given[i], given[i + 1]]);
	const at = (f, n, v) => [...f.elements].filter((e) => e.name === n && !(/^(radio|submit)$/.test(e.type) && e.value !== v));
	const form = [...document.forms].find((f) => f.getAttribute("action") === action && fields.every(([n, v]) => {
		const e = at(f, n, v); return e.length && (e[0].type !== "hidden" || e[0].value === v); }));
	if (!form) return false;
	let button = form.querySelector("button");
	for (const [n, v] of fields) for (const e of at(form, n, v)) {
		if (e.type === "submit") button = e; else if (/^(radio|checkbox)$/.test(e.type)) e.checked = true; else e.value = v;
	}
	window.pressed = true;
	setTimeout(() => button.click(), 0);
	return true;
})()`

func (x *tab) post(path string, fields ...string) page {
	x.t.Helper()
	asked, err := json.Marshal(append([]string{path}, fields...))
	if err != nil {
		x.t.Fatal(err)
	}
	x.says("there is a form for "+path, fmt.Sprintf(press, asked))
	x.says(path+" is answered", `window.pressed === undefined && document.readyState === "complete" && document.querySelector("main h1") !== null`)
	return x.seen()
}

func (x *tab) checkIn(number string) page {
	x.t.Helper()
	p, err := x.checks(number)
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

// checks has a scanner read a number: the field has the focus.
func (x *tab) checks(number string) (p page, err error) {
	if on, _ := chromedp.Run(x.ctx, chromedp.Evaluate[bool](`location.pathname.startsWith("/check-in")`)); !on {
		if err := chromedp.Do(x.ctx, chromedp.Navigate(x.s.url+"/check-in")); err != nil {
			return p, fmt.Errorf("go to the check-in: %w", err)
		}
	}
	ready := `(() => { const a = document.querySelector("#answer"); if (!a || document.activeElement.id !== "number") return false;
		for (const old of a.children) old.dataset.old = "yes"; return true; })()`
	if err := x.until("the field has the focus", ready); err != nil {
		return p, err
	}
	if err := chromedp.Do(x.ctx, web.Pasted(number), chromedp.KeyEvent(kb.Enter)); err != nil {
		return p, fmt.Errorf("type: %w", err)
	}
	if err := x.until("an answer", `(() => { const a = document.querySelector("#answer").firstElementChild; return a !== null && !a.dataset.old; })()`); err != nil {
		return p, err
	}
	return x.shows()
}

func (x *tab) file(path string) []byte {
	x.t.Helper()
	text, err := chromedp.Run(x.ctx, chromedp.Evaluate[string](fmt.Sprintf(`fetch(%q).then((r) => r.arrayBuffer()).then((b) => {
		let s = ""; for (const c of new Uint8Array(b)) s += String.fromCharCode(c); return btoa(s); })`, path), chromedp.EvalAwaitPromise))
	if err != nil {
		x.t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// atTheScreens says how the tables are worked.
func atTheScreens(t *testing.T) {
	t.Helper()
	if !web.HasChromium() {
		t.Log("left out: chromium is not installed; the day is played by the pages' forms without their script")
	}
}
