package web

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// printed is the text of each sheet of a page that a browser prints.
func printed(ctx context.Context, t *testing.T, url string) []string {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(url), chromedp.WaitVisible("main h1")); err != nil {
		t.Fatal(err)
	}
	pdf := func(ctx context.Context, w *chromedp.Target) ([]byte, error) {
		r, err := cdp.Call(ctx, w, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PaperHeight: 5.8})
		return r.Data, err
	}
	b, err := chromedp.Run(ctx, chromedp.Action[[]byte](pdf))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := exec.CommandContext(t.Context(), "pdftotext", "-layout", "-", "-")
	c.Stdin, c.Stdout = bytes.NewReader(b), &out
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\f"), "\f")
}

// TestEverySheetThatIsPrintedOfARehearsalSaysSo prints screens of several sheets as a browser does, without backgrounds: each sheet
// says in three languages that it is a rehearsal, and none does of a live election.
func TestEverySheetThatIsPrintedOfARehearsalSaysSo(t *testing.T) {
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("left out: pdftotext is not installed")
	}
	for _, live := range []bool{false, true} {
		ctx := ChromiumTab(t)
		p := &posed{stage: newStage(), facts: func(f *Facts) { f.Live = live }}
		g := visitingAt(t, p, french)
		sign := `document.querySelector('#secret').value='stage';document.querySelector('main form').submit();true`
		if err := chromedp.Do(ctx, chromedp.Navigate(g.base+"/sign-in"), chromedp.WaitVisible("#secret")); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](sign)); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.WaitVisible(".languages")); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/opening", "/flow", "/attendance"} {
			sheets := printed(ctx, t, g.base+path)
			if path == "/opening" && len(sheets) < 2 {
				t.Errorf("%s is one sheet only: nothing is shown by it", path)
			}
			for i, text := range sheets {
				if strings.Contains(text, "RÉPÉTITION · OEFENING · REHEARSAL") == live {
					t.Errorf("%s, sheet %d of %d, live %v: %.300s", path, i+1, len(sheets), live, text)
				}
			}
			if live && !strings.Contains(sheets[0], french.say("layout.live")) {
				t.Errorf("%s: the first sheet does not say that it is live", path)
			}
		}
	}
}
