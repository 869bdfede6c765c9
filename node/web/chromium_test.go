package web

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// tabTime bounds one test's work in the browser.
const tabTime = 3 * time.Minute

// shared is the one Chromium of all tests, which the first that needs it starts and EndChromium ends: starting one takes
// longer than most tests. Each test gets a window with cookies of its own.
var shared struct {
	mu   sync.Mutex
	ctx  context.Context
	stop func()
	dir  string
}

// HasChromium says whether there is a browser.
func HasChromium() bool {
	_, err := exec.LookPath("chromium")
	return err == nil
}

// ChromiumTab is a window of its own until the test ends; a test that needs one is left out, by name, where there is no
// Chromium.
func ChromiumTab(t *testing.T, opts ...chromedp.ContextOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("left out: chromium is not installed")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.ctx == nil {
		startChromium(t, path)
	}
	ctx, leave := chromedp.NewContext(shared.ctx, append(opts, chromedp.WithNewBrowserContext())...)
	ctx, end := context.WithTimeout(ctx, tabTime)
	t.Cleanup(func() { leave(); end() })
	// Windows that work beside each other all have the focus, as if each had a screen.
	focused := func(ctx context.Context, w *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, w, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return chromedp.Void{}, err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1024, 768), focused); err != nil {
		t.Fatalf("open a window: %v", err)
	}
	return ctx
}

// startChromium starts it; shared.mu is held.
func startChromium(t *testing.T, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pointage-chromium-*")
	if err != nil {
		t.Fatal(err)
	}
	shared.dir = dir
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-lcd-text", true), chromedp.Flag("accept-lang", "fr"), chromedp.WindowSize(1024, 768),
		chromedp.WSURLReadTimeout(90*time.Second))
	allocated, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, leave := chromedp.NewContext(allocated)
	shared.stop = func() { leave(); stop() }
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	shared.ctx = ctx
}

// EndChromium ends the browser, if any test has started it.
func EndChromium() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.stop != nil {
		shared.stop()
		os.RemoveAll(shared.dir)
	}
}

// Pasted writes a text where the focus is, at once, as a scanner does that needs no time.
func Pasted(text string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, w *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, w, input.InsertText, input.InsertTextParams{Text: text})
		return chromedp.Void{}, err
	}
}

// AxeScript is axe-core; a test that needs it is left out, by name, where it is not.
func AxeScript(t *testing.T) string {
	t.Helper()
	for _, at := range []string{os.Getenv("AXE_JS"), "node_modules/axe-core/axe.min.js", "../../node_modules/axe-core/axe.min.js"} {
		if b, err := os.ReadFile(at); err == nil {
			return string(b)
		}
	}
	t.Skip("left out: axe-core is not there (AXE_JS, or node_modules/axe-core/axe.min.js)")
	return ""
}

// Fits looks at the page that is shown: nothing that axe finds, nothing wider than the screen. A picture is kept where
// SCREENS says, which is how screens/ is made. What costs the most, the contrast of all texts, is looked at in French
// alone: the same styles draw the others.
func Fits(ctx context.Context, t *testing.T, name, axe string) {
	t.Helper()
	const drawn = `new Promise((r) => document.readyState === 'complete' ? r(true) : addEventListener('load', () => r(true)))`
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](drawn, chromedp.EvalAwaitPromise)); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](axe+";true")); err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`axe.run({resultTypes:['violations'],rules:document.documentElement.lang.startsWith('fr')?{}:{'color-contrast':{enabled:false}},runOnly:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}).then(r=>JSON.stringify(r.violations.map(v=>v.id+': '+v.nodes.map(n=>n.html).join(' | '))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	var violations []string
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("%s: %s", name, v)
	}
	if wide, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); err != nil || wide > 1024 {
		t.Errorf("%s is %d wide at 1024, %v", name, wide, err)
	}
	picture(ctx, t, name)
}

// picture keeps the page as a small PNG where SCREENS says.
func picture(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("SCREENS")
	if dir == "" {
		return
	}
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, fewColours(img)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// HasChromiumOrSkip leaves a test out, by name, where there is no browser, before it has begun anything.
func HasChromiumOrSkip(t *testing.T) {
	t.Helper()
	if !HasChromium() {
		t.Skip("left out: chromium is not installed")
	}
}
