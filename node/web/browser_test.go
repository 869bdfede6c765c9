package web_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pointage/node/web"
)

// askFor bounds one question to a page.
const askFor = time.Second

// tab is one window of its own, at the table. Whatever its scripts complain of fails the test.
type tab struct {
	t   *testing.T
	s   *station
	ctx context.Context

	mu     sync.Mutex
	errors []string
}

func (s *station) tab() *tab {
	s.t.Helper()
	x := &tab{t: s.t, s: s}
	x.ctx = web.ChromiumTab(s.t, chromedp.WithListener(func(e any) {
		if thrown, ok := e.(*runtime.EventExceptionThrown); ok {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.errors = append(x.errors, fmt.Sprintf("%s line %d: %s", thrown.ExceptionDetails.URL, thrown.ExceptionDetails.LineNumber, thrown.ExceptionDetails.Text))
		}
	}))
	s.t.Cleanup(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, e := range x.errors {
			s.t.Errorf("script: %s", e)
		}
	})
	return x
}

func (x *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := chromedp.Do(x.ctx, actions...); err != nil {
		x.t.Fatal(err)
	}
}

func (x *tab) open(path, shown string) {
	x.t.Helper()
	err := chromedp.Do(x.ctx, chromedp.Navigate(x.s.url+path))
	for i := 0; i < 3 && err != nil && strings.Contains(err.Error(), "ERR_ABORTED"); i++ {
		err = chromedp.Do(x.ctx, chromedp.Navigate(x.s.url+path)) // another page was still on its way
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.shown(shown)
}

// shown waits until something stands on the page.
func (x *tab) shown(selector string) {
	x.t.Helper()
	x.says(selector+" is shown", fmt.Sprintf(`(document.querySelector(%q)||{getClientRects:()=>[]}).getClientRects().length > 0`, selector))
}

func (x *tab) keys(text string) { x.t.Helper(); x.do(chromedp.KeyEvent(text)) }

// says waits until an expression is true, on this page or on the one that it leads to.
func (x *tab) says(what, expression string) {
	x.t.Helper()
	if err := x.until(what, expression); err != nil {
		x.t.Fatal(err)
	}
}

// until is says for whoever works beside the test.
func (x *tab) until(what, expression string) error {
	limit, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		// While a page gives way to the next there is nobody to ask, and a question may get no answer at all.
		ctx, cancel := context.WithTimeout(x.ctx, askFor)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		cancel()
		if err == nil && ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit:
			ctx, cancel := context.WithTimeout(x.ctx, askFor)
			got, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname + ': ' + document.querySelector('main').innerText`))
			cancel()
			return fmt.Errorf("not within %v: %s; the page says %q", patience, what, got)
		}
	}
}

// reads waits until a part of the page has a text.
func (x *tab) reads(selector, text string) {
	x.t.Helper()
	x.says(selector+" reads "+text, fmt.Sprintf(`(document.querySelector(%q)||{innerText:''}).innerText.includes(%q)`, selector, text))
}

func (x *tab) value(expression string) (out string) {
	x.t.Helper()
	out, err := chromedp.Run(x.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		x.t.Fatal(err)
	}
	return out
}

// signIn signs in by the keyboard alone; the field of the secret has the focus.
func (x *tab) signIn(who, secret string) {
	x.t.Helper()
	x.open("/sign-in", "#secret")
	if who != "0" {
		x.fill("#who", who)
	}
	x.keys(secret + kb.Enter)
	x.says("signed in", `document.querySelector('#status') !== null`)
}

func (x *tab) speak(lang string) {
	x.t.Helper()
	x.says("a word is left on this page", `window.before = true`) // which may speak the language already
	x.click(`.languages button[value="` + lang + `"]`)
	x.says("the screens speak "+lang, fmt.Sprintf(`window.before === undefined && document.readyState === 'complete' && document.documentElement.lang === %q`, lang))
}

// fit looks at a page as it is shown.
func (x *tab) fit(name, axe string) { x.t.Helper(); web.Fits(x.ctx, x.t, name, axe) }

// send clicks and waits for the next page.
func (x *tab) send(button, shown string) {
	x.t.Helper()
	x.click(button)
	x.shown(shown)
}

// click clicks on the first of what is there. The question may have to be asked again when its answer is late: a box that is
// ticked stays ticked.
func (x *tab) click(selector string) {
	x.t.Helper()
	x.says(selector+" is clicked", fmt.Sprintf(`(() => { const at = document.querySelector(%q); if (!at) return false; setTimeout(() => { if (!(at.type === "checkbox" && at.checked)) at.click(); }, 0); return true; })()`, selector))
}

// fill writes into a field as a person would who pastes.
func (x *tab) fill(selector, text string) {
	x.t.Helper()
	x.says(selector+" is filled", fmt.Sprintf(`(() => { const at = document.querySelector(%q); if (!at) return false; at.value = %q; return true; })()`, selector, text))
}

func TestEveryScreenIsAccessibleAndFits(t *testing.T) {
	axe := web.AxeScript(t)
	for _, lang := range []string{"fr", "nl"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			c := newCommune(t, usual())
			s := c.stations[1]
			s.start(nil)
			name := func(n string) string { return n + "." + lang }
			x := s.tab()
			x.open("/sign-in", "#secret")
			x.speak(lang)
			x.fit(name("sign-in"), axe)
			x.keys("wrong" + kb.Enter)
			x.shown(".notice.warn")
			x.fit(name("sign-in-wrong"), axe)
			x.keys(s.pass + kb.Enter)
			x.shown(".checks")
			x.fit(name("opening"), axe)
			x.open("/relabel", "#place")
			x.fit(name("relabel"), axe)
			x.open("/opening", "#confirm")
			x.click("#confirm")
			x.send(".card button.main", "#number")
			x.fit(name("check-in"), axe)
			x.open("/team", "table")
			pin := "#pin-" + text(member(1, s, "assessor", 0))
			x.fill(pin, "482915")
			x.send(pin+" + button", ".notice.good")
			x.fit(name("team"), axe)
			x.open("/check-in", "#number")
			for i := range 4 {
				x.keys(c.home(1, i).ConvocationNumber.Digits() + kb.Enter)
				x.reads("#answer", c.home(1, i).Surname)
			}
			x.reads("#rows", c.home(1, 0).Surname)
			x.fit(name("check-in-admit"), axe)
			s.at.forward(10 * time.Second)
			x.says("the scanner is ready", `document.activeElement.id === 'number'`)
			x.keys(c.home(1, 1).NationalNumber.Digits() + kb.Enter)
			x.shown("#answer .refuse")
			x.fit(name("check-in-already"), axe)
			x.send("#answer form button", "#text")
			x.fit(name("contest"), axe)
			x.open("/check-in", "#number")
			x.keys("14000" + kb.Enter)
			x.shown("#answer .look")
			x.fit(name("check-in-half-a-scan"), axe)
			x.fill("#query", c.home(1, 6).Surname)
			x.send("#query + button", ".found table")
			x.fit(name("check-in-search"), axe)
			x.send("#rows a", "#second")
			x.fit(name("correct"), axe)
			x.open("/correct", "table")
			x.fit(name("correct-choose"), axe)
			x.open("/closing", "#queue")
			x.fit(name("closing"), axe)
			x.click("#queue")
			x.send(".card button.main", "#sure")
			x.fit(name("closing-sure"), axe)
			x.click("#sure")
			x.send(".card button.main", ".notice.good")
			x.fit(name("closed"), axe)
			x.open("/contest/do", "main h1")
			x.fit(name("contest-empty"), axe)
		})
	}
}

// TestATableIsWorkedByItsScannerAlone: three bureaux, one of them at a browser whose keyboard is a scanner.
func TestATableIsWorkedByItsScannerAlone(t *testing.T) {
	t.Parallel()
	c := newCommune(t, usual())
	for _, s := range c.stations {
		s.start(nil)
	}
	for _, s := range c.stations {
		if err := s.node.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "the bureaux are linked", func() bool { return s.node.Status().Link == "linked" })
	}
	s := c.stations[1]
	x := s.tab()
	x.signIn("0", s.pass)
	x.says("the field has the focus", `document.activeElement.id === 'number'`)

	e := c.home(1, 0)
	x.keys(e.ConvocationNumber.Digits() + kb.Enter + e.ConvocationNumber.Digits() + kb.Enter) // read twice
	x.reads("#answer .admit", e.Surname)
	x.reads("#rows tr.green", "chez tous") // amber becomes green by itself
	if n := s.node.Status(); n.Admitted != 1 || n.Refused != 0 {
		t.Errorf("a double scan: %d checked in, %d refused", n.Admitted, n.Refused)
	}
	if got := x.value(`document.querySelector('#number').value`); got != "" {
		t.Errorf("the field still holds %d characters", len(got))
	}

	// Digits are checked while they are typed, before anything is sent.
	digits := c.home(1, 1).ConvocationNumber.Digits()
	x.keys(digits)
	x.reads("#hint.good", "corrects")
	x.keys(kb.Backspace + string('0'+(digits[8]-'0'+1)%10))
	x.reads("#hint.bad", "ne peut pas exister")
	x.keys(kb.Enter)
	x.reads("#answer .look", "chiffres de contrôle")

	// A click elsewhere loses no scan, nor does a list that has the focus.
	x.do(chromedp.Click("h1"))
	x.says("the field has the focus again", `document.activeElement.id === 'number'`)
	x.keys(c.home(1, 1).NationalNumber.Digits() + kb.Enter)
	x.reads("#answer .admit", c.home(1, 1).Surname)

	// An elector of bureau 2, then one of bureau 3, which does not answer any more: the table sees whom it waits for.
	x.keys(c.home(2, 0).ConvocationNumber.Digits() + kb.Enter)
	x.reads("#answer .admit", "Électeur du bureau 2")
	c.stations[3].stop()
	x.keys(c.home(3, 0).ConvocationNumber.Digits() + kb.Enter)
	x.reads("#asking", "Demande au bureau 3")
	x.says("it can be cancelled", `!document.querySelector('#cancel').hidden`)
	x.reads("#answer .elsewhere", "Le bureau 3 ne répond pas")
	x.says("nothing is awaited", `document.querySelector('#asking').textContent === ''`)

	// The back button and a new page lose and double nothing.
	x.open("/closing", "#queue")
	x.do(chromedp.NavigateBack())
	x.shown("#number")
	if n := s.node.Status().Admitted; n != 3 {
		t.Errorf("%d are checked in, want 3", n)
	}

	// An idle table goes to the sign-in page by itself.
	s.at.forward(11 * time.Minute)
	x.says("the table is locked", `location.pathname === '/sign-in'`)
}

func TestABureauIsOpenedByTheKeyboardAlone(t *testing.T) {
	t.Parallel()
	c := newCommune(t, usual())
	s := c.stations[1]
	s.start(nil)
	x := s.tab()
	x.signIn("0", s.pass)
	x.shown(".checks")
	for i := 0; x.value(`document.activeElement.id`) != "confirm"; i++ {
		if i > 40 {
			t.Fatal("Tab does not lead to the box")
		}
		x.keys(kb.Tab)
	}
	x.keys(" " + kb.Tab + kb.Enter)
	x.says("the bureau is open", `location.pathname === '/check-in' && document.activeElement.id === 'number'`)
	if !s.node.Status().Open {
		t.Error("it is not open")
	}
}
