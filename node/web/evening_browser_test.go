package web_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pointage/node/web"
)

// TestAnswersAndPapersAreAccessibleAndFit shows a card, an elector whose bureau does not answer, a proxy that breaks a rule,
// and the evening from the count to the minutes as a page.
func TestAnswersAndPapersAreAccessibleAndFit(t *testing.T) {
	axe := web.AxeScript(t)
	for _, lang := range []string{"fr", "nl"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			c := newCommune(t, usual())
			s := c.stations[1]
			cards := make(chan web.Card)
			s.start(cards)
			if err := s.node.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			name := func(n string) string { return n + "." + lang }
			x := s.tab()
			x.signIn("0", s.pass)
			x.speak(lang)
			x.open("/check-in", "#number")
			cards <- card(c.home(1, 0))
			x.reads("#card", c.home(1, 0).Surname)
			x.fit(name("check-in-card"), axe)
			x.send("#card button.main", "#answer .admit")
			cards <- web.Card{Gone: true}
			x.do(web.Pasted(c.home(2, 0).NationalNumber.Digits()), chromedp.KeyEvent(kb.Enter))
			x.shown("#answer .elsewhere")
			x.fit(name("check-in-elsewhere"), axe)
			proxy(x, c.home(1, 3), c.home(1, 4), "13/10/2030")
			x.fit(name("proxies-refused"), axe)
			x.open("/relabel", "main form")
			x.fit(name("relabel"), axe)
			x.open("/evening", ".steps")
			x.fit(name("evening"), axe)
			x.open("/counts", "#issued")
			x.post("/counts/record", "issued", "1", "scanned", "1")
			x.open("/closing", "#queue")
			x.fit(name("closing-counted"), axe)
			x.click("#queue")
			x.send(".card button.main", "#sure")
			x.click("#sure")
			x.send(".card button.main", ".papers")
			x.fit(name("evening-recorded"), axe)
			x.post("/evening/commune")
			x.fit(name("evening-commune"), axe)
			x.open(fmt.Sprintf("/evening/paper?what=minutes&of=1&lang=%s&as=html", lang), "main h1")
			x.fit(name("minutes"), axe)
			if got := x.value(`getComputedStyle(document.querySelector("th")).borderTopStyle`); got != "solid" {
				t.Errorf("the minutes' own style is not applied: %q", got)
			}
		})
	}
}
