package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// actsBrowser is a window at a stage's screens, signed in.
func actsBrowser(t *testing.T, s *stage, lang language) (ctx context.Context, g *guest, axe string) {
	t.Helper()
	axe, ctx = AxeScript(t), ChromiumTab(t)
	g = visiting(t, s, lang)
	sign := `document.querySelector('#who').value='0';document.querySelector('#secret').value='stage';document.querySelector('main form').submit();true`
	err := chromedp.Do(ctx, chromedp.Navigate(g.base+"/sign-in"), chromedp.WaitVisible("#secret"))
	if err == nil {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[bool](sign))
	}
	if err == nil {
		err = chromedp.Do(ctx, chromedp.WaitVisible(".languages"), chromedp.Click(`.languages button[value="`+string(lang)+`"]`), chromedp.WaitVisible(`html[lang="`+string(lang)+`"] .languages`))
	}
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	return ctx, g, axe
}

func TestActsScreensAreAccessible(t *testing.T) {
	for _, lang := range []language{french, dutch} {
		t.Run(string(lang), func(t *testing.T) {
			t.Parallel()
			s := shownStage()
			if _, err := s.RecordCount(t.Context(), 75, 75); err != nil {
				t.Fatal(err)
			}
			s.queue = 9
			ctx, g, axe := actsBrowser(t, s, lang)
			for _, p := range actPages[1:] { // the wizard has a test of its own
				if err := chromedp.Do(ctx, chromedp.Navigate(g.base+"/"+p), chromedp.WaitVisible("main h1")); err != nil {
					t.Fatal(err)
				}
				Fits(ctx, t, p+"."+string(lang), axe)
			}
		})
	}
}

// TestAProxyIsDoneByTheKeyboardAlone walks through the wizard with keys only; what has the focus gets them.
func TestAProxyIsDoneByTheKeyboardAlone(t *testing.T) {
	for _, lang := range []language{french, dutch} {
		t.Run(string(lang), func(t *testing.T) {
			t.Parallel()
			s := shownStage()
			ctx, g, axe := actsBrowser(t, s, lang)
			if err := chromedp.Do(ctx, chromedp.Navigate(g.base+"/proxies"), chromedp.WaitVisible("#number")); err != nil {
				t.Fatal(err)
			}
			choose := string(lang.say("proxies.reason-8")[0:6])
			for i, step := range []struct{ keys, then string }{
				{nationalNumbers[0] + kb.Enter, `form[action="/proxies/principal"]`},
				{nationalNumbers[1] + kb.Enter, `form[action="/proxies/form"]`},
				{"21014/7" + kb.Tab + choose + kb.Tab + lang.say("proxies.evidence-4")[:24] + kb.Tab + kb.Enter, `form[action="/proxies/admit"]`},
				{" " + kb.Tab + " " + kb.Tab + " " + kb.Tab + " " + kb.Tab + "12/10/2030" + kb.Enter, `.answer.admit`},
			} {
				Fits(ctx, t, "proxies-"+string(rune('1'+i))+"."+string(lang), axe)
				if err := chromedp.Do(ctx, chromedp.KeyEvent(step.keys)); err != nil {
					t.Fatal(err)
				}
				limit, end := context.WithTimeout(ctx, time.Minute)
				err := chromedp.Do(limit, chromedp.WaitVisible(step.then))
				end()
				if err != nil {
					at, _ := chromedp.Run(ctx, chromedp.Text("main"))
					t.Fatalf("step %d: %v: %s", i+1, err, strings.Join(strings.Fields(at), " "))
				}
			}
			Fits(ctx, t, "proxies-5."+string(lang), axe)
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.proxies) != 1 || s.proxies[0].Paper.Reason != 8 || s.proxies[0].Paper.Evidence != 4 || s.proxies[0].Paper.MayorOn != "2030-10-12" {
				t.Errorf("recorded: %+v", s.proxies)
			}
		})
	}
}
