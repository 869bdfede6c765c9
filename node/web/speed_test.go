package web_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pointage/node/register"
	"pointage/node/web"
)

// How much is measured; without flags it is as much as shows that the measurement works.
var (
	electorsMeasured = flag.Int("electors", 3_000, "how many electors TestEnterToAnswerIsMeasured has; 90,000 is the Region's largest commune")
	scansMeasured    = flag.Int("scans", 12, "how many electors it checks in at one table, and at each of three at once")
	paceMeasured     = flag.Duration("pace", 0, "how long each of the three takes from one elector to the next; without it none, as fast as they are answered")
)

// stopwatch measures in the page: from the Enter key until the answer has been drawn.
const stopwatch = `window.took = []; window.enterAt = 0;
	addEventListener('keydown', (e) => { if (e.key === 'Enter') enterAt = e.timeStamp; }, true);
	new MutationObserver(() => { const at = enterAt; requestAnimationFrame(() => {
		const drawn = new MessageChannel(); drawn.port1.onmessage = () => took.push(performance.now() - at); drawn.port2.postMessage(0); });
	}).observe(document.querySelector('#answer'), {childList: true}); 'ready'`

// timed is a bureau that measures the protocol's own time of each check-in.
type timed struct {
	web.Bureau
	mu   sync.Mutex
	took []time.Duration
}

func (b *timed) CheckIn(ctx context.Context, d web.Desk) (web.Answer, error) {
	begun := time.Now()
	a, err := b.Bureau.CheckIn(ctx, d)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took = append(b.took, time.Since(begun))
	return a, err
}

// since gives what was measured, and begins anew.
func (b *timed) since() (out []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out, b.took = b.took, nil
	return out
}

// spread says how long things took.
func spread(took []time.Duration) string {
	slices.Sort(took)
	at := func(share int) time.Duration {
		return took[min(len(took)*share/100, len(took)-1)].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("median %v, p99 %v, longest %v", at(50), at(99), at(100))
}

// TestEnterToAnswerIsMeasured prints how long a table waits, in a commune whose three bureaux run: from Enter until the
// answer is drawn, at one table and at three at once, and a search by name. No time fails it.
func TestEnterToAnswerIsMeasured(t *testing.T) {
	o := usual()
	o.electors = *electorsMeasured
	c := newCommune(t, o)
	s, bureau := c.stations[1], &timed{}
	s.behind = func(b web.Bureau) web.Bureau { bureau.Bureau = b; return bureau }
	for _, s := range c.stations {
		s.start(nil)
		if err := s.node.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the bureaux are linked", func() bool { return s.node.Status().Link == "linked" })
	p := s.president()
	m := &measurement{t: t, c: c, s: s, bureau: bureau, next: map[bool]int{}}
	m.searches(p)
	x := s.tab()
	x.signIn("0", s.pass)
	m.tables("one table", x)
	var three []*tab
	for k := range 3 {
		a, code := s.assessor(p, k)
		a.post("/lock")
		w := s.tab()
		w.signIn(fmt.Sprint(code), fmt.Sprintf("%06d", 482915+k))
		three = append(three, w)
	}
	m.tables("three tables at once", three...)
	for _, path := range []string{"/check-in", "/proxies", "/flow", "/counts", "/messages", "/attendance", "/accounts", "/dashboard", "/correct", "/evening", "/closing", "/team"} {
		if n := len(p.get(path).body); n > maxPage {
			t.Errorf("%s has %d bytes, at most %d", path, n, maxPage)
		}
	}
}

// measurement is what the parts of TestEnterToAnswerIsMeasured share.
type measurement struct {
	t      *testing.T
	c      *commune
	s      *station
	bureau *timed
	// next is the next elector to check in: of this bureau, true, or of another one.
	mu   sync.Mutex
	next map[bool]int
}

// elector is somebody who was not checked in: every fourth is at home at another bureau.
func (m *measurement) elector(i int) register.Elector {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := i%4 != 3
	for {
		e := m.c.electors[m.next[own]%len(m.c.electors)]
		m.next[own]++
		if (e.Bureau == m.s.number) == own {
			return e
		}
	}
}

// tables has each table check in as many as the flag says, at its pace, and prints how long they waited.
func (m *measurement) tables(what string, tables ...*tab) {
	m.t.Helper()
	before, each := m.s.node.Status().Admitted, *scansMeasured
	for _, x := range tables {
		x.open("/check-in", "#number")
		x.says("the field has the focus", `document.activeElement.id === 'number'`)
		x.value(stopwatch)
	}
	m.bureau.since()
	errs := make([]error, len(tables))
	var working sync.WaitGroup
	for k, x := range tables {
		working.Go(func() { errs[k] = m.scans(x, each) })
	}
	working.Wait()
	var took []time.Duration
	for k, x := range tables {
		if errs[k] != nil {
			m.t.Fatal(errs[k])
		}
		var ms []float64
		if err := json.Unmarshal([]byte(x.value(`JSON.stringify(took)`)), &ms); err != nil {
			m.t.Fatal(err)
		}
		for _, n := range ms {
			took = append(took, time.Duration(n*float64(time.Millisecond)))
		}
	}
	slow := 0 // none who checks in an elector a second still waits when the next one comes
	for _, d := range took {
		if d > time.Second {
			slow++
		}
	}
	own := m.bureau.since()
	m.t.Logf("%s, %d electors, %d check-ins: Enter to answer %s; of which the protocol %s; %d took more than a second", what, len(m.c.electors), len(took), spread(took), spread(own), slow)
	if n := m.s.node.Status().Admitted - before; n != each*len(tables) || len(took) != n || len(own) != n {
		m.t.Errorf("%s: %d are checked in, %d answers drawn, %d acts measured, want %d", what, n, len(took), len(own), each*len(tables))
	}
}

// scans has a table check in so many electors, each as soon as its turn comes and the one before is answered.
func (m *measurement) scans(x *tab, n int) error {
	turn := time.NewTicker(max(*paceMeasured, time.Nanosecond))
	defer turn.Stop()
	for i := range n {
		<-turn.C
		if err := chromedp.Do(x.ctx, web.Pasted(m.elector(i).ConvocationNumber.Digits()), chromedp.KeyEvent(kb.Enter)); err != nil {
			return fmt.Errorf("type: %w", err)
		}
		if err := x.until("an answer", fmt.Sprintf(`took.length >= %d && document.querySelector('#answer .admit') !== null`, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// searches prints how long a name is looked for: the president's page with the answer, as the browser asks for it.
func (m *measurement) searches(p *visitor) {
	m.t.Helper()
	p.get("/check-in")
	var took []time.Duration
	all := len(m.c.electors)
	for i := range *scansMeasured {
		e := m.c.electors[i*all / *scansMeasured]
		letters := []rune(strings.ToLower(e.Surname))
		begun := time.Now()
		got := p.post("/check-in/search", "query", string(letters[:min(len(letters), 3+i%6)]))
		took = append(took, time.Since(begun))
		if !strings.Contains(got.body, `class="found"`) {
			m.t.Fatalf("no answer to a search: %s", got.text())
		}
	}
	first := took[0]
	m.t.Logf("search by name among %d electors, %d searches: %s; the first of the day %v", all, len(took), spread(took), first.Round(100*time.Microsecond))
}
