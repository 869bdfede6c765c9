package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pointage/ledger"
	"pointage/node/register"
)

// proxyCall is the desk's question: the holder votes for the principal too.
func proxyCall(principal, holder register.Elector) call {
	return call{path: "/proxies", body: fmt.Sprintf(
		`{"holder":{"by":"card","number":%q},"principal":{"by":"convocation","number":%q},"form":"21014/0017","reason":1,"evidence":2,"attester":3}`,
		holder.NationalNumber.Printed(), principal.ConvocationNumber.Digits())}
}

func (b *bureau) tryProxy(principal, holder register.Elector) (a ProxyAnswer, err error) {
	r, err := b.try(proxyCall(principal, holder))
	if err == nil {
		err = json.Unmarshal([]byte(r.body), &a)
	}
	if err == nil && r.code != http.StatusOK {
		err = fmt.Errorf("%d %s", r.code, r.body)
	}
	return a, err
}

func (b *bureau) byProxy(principal, holder register.Elector) ProxyAnswer {
	b.c.t.Helper()
	a, err := b.tryProxy(principal, holder)
	if err != nil {
		b.c.t.Fatalf("bureau %d: %v", b.number, err)
	}
	return a
}

func (b *bureau) admitsByProxy(principal, holder register.Elector) ProxyAnswer {
	b.c.t.Helper()
	a := b.byProxy(principal, holder)
	if !a.Admitted || !a.Recorded || a.Refusal != ledger.NotRefused || a.Record == "" || a.Of != "" {
		b.c.t.Fatalf("bureau %d: %+v, want an admission", b.number, a)
	}
	return a
}

// refusesProxy wants a refusal that names whose right it is and the rule.
func (b *bureau) refusesProxy(principal, holder register.Elector, want ledger.Refusal, of string) ProxyAnswer {
	b.c.t.Helper()
	a := b.byProxy(principal, holder)
	if a.Admitted || a.Recorded || a.Refusal != want || a.Of != of || !strings.HasPrefix(a.Reason, of+": "+want.String()) {
		b.c.t.Fatalf("bureau %d: %+v, want %q of the %s", b.number, a, want, of)
	}
	return a
}

// placed waits until every ledger has an admission.
func (c *commune) placed(x ledger.Right) {
	c.t.Helper()
	for n, b := range c.bureaux {
		c.until(fmt.Sprintf("bureau %d has the admission", n), func() bool { return b.node == nil || len(b.node.store.Admissions(x)) == 1 })
	}
}

func (c *commune) token(e register.Elector) ledger.ElectorToken {
	c.t.Helper()
	for _, b := range c.bureaux {
		if b.node == nil {
			continue
		}
		if i, ok := b.node.register.FindNationalNumber(e.NationalNumber); ok {
			return b.node.register.Token(i)
		}
	}
	c.t.Fatal("no token")
	return ledger.ElectorToken{}
}

func TestAHolderVotesForThePrincipalWhereverTheirRightsAre(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	desk := c.bureaux[1]
	for i, homes := range [][2]ledger.BureauNumber{{1, 1}, {2, 1}, {1, 3}, {2, 3}} {
		p, h := c.home(homes[0], i), c.home(homes[1], 10+i)
		first := desk.admitsByProxy(p, h)
		if a := desk.refusesProxy(p, h, ledger.AlreadyAdmitted, "principal"); a.Record != first.Record || a.At != 1 {
			t.Errorf("a second tap is told %+v, the first %+v", a, first)
		}
		c.placed(ledger.Right{Elector: c.token(p), Kind: ledger.Admit})
		c.placed(ledger.Right{Elector: c.token(h), Kind: ledger.Carry})
		for n, b := range c.bureaux {
			another := c.home(n, 20+i)
			if a := b.refusesProxy(another, h, ledger.ProxyAlreadyHeld, "holder"); a.At != 1 || a.When == "" || !strings.Contains(a.Reason, "one for each holder") {
				t.Errorf("bureau %d: %+v", n, a)
			}
			if a := b.refusesProxy(p, another, ledger.AlreadyAdmitted, "principal"); a.At != 1 || a.When == "" {
				t.Errorf("bureau %d: %+v", n, a)
			}
			if a := b.checkIn(p); a.Refusal != ledger.AlreadyAdmitted || a.At != 1 {
				t.Errorf("bureau %d: the principal himself is told %+v", n, a)
			}
		}
		c.bureaux[h.Bureau].admits(h) // his own vote
		if a := c.bureaux[2].checkIn(h); a.Admitted && h.Bureau != 2 {
			t.Errorf("the holder's own vote twice: %+v", a)
		}
	}
	if s := desk.node.book.Status().Tally; s.Proxies != 4 || s.Away != 2 {
		t.Errorf("tally %+v", s)
	}
	// Two persons attest that there was no ballot: the principal comes himself, the holder carries another's.
	p, h := c.home(2, 3), c.home(3, 13)
	r := desk.call(call{path: "/annulments", body: fmt.Sprintf(`{"by":"national","number":%q,"attester":3,"second":4,"reason":1}`, p.NationalNumber.Digits())})
	var done Correction
	if err := json.Unmarshal([]byte(r.body), &done); err != nil || !done.Done {
		t.Fatalf("annulment: %+v", r)
	}
	c.until("the principal's home has the right", func() bool { return c.bureaux[2].checkIn(p).Admitted })
	c.until("the holder's home has the right", func() bool { return c.bureaux[3].byProxy(c.home(3, 25), h).Admitted })
}

func TestTwoBureauxThatNeedEachOthersRightsBothEnd(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	one, two := c.bureaux[1], c.bureaux[2]
	var desks sync.WaitGroup
	lights := make([]int, 6)
	for i := range 6 {
		// At one instant: P1/H2 at bureau 1, P2/H1 at bureau 2, and one proxy at both.
		desks.Go(func() {
			if a, err := one.tryProxy(c.home(1, i), c.home(2, 10+i)); err != nil || !a.Admitted {
				t.Errorf("bureau 1: %+v, %v", a, err)
			}
		})
		desks.Go(func() {
			if a, err := two.tryProxy(c.home(2, i), c.home(1, 10+i)); err != nil || !a.Admitted {
				t.Errorf("bureau 2: %+v, %v", a, err)
			}
		})
		var mu sync.Mutex
		for _, b := range []*bureau{one, two} {
			desks.Go(func() {
				a, err := b.tryProxy(c.home(1, 20+i), c.home(2, 20+i))
				if err != nil || !a.Admitted && a.Of == "" {
					t.Errorf("bureau %d: %+v, %v", b.number, a, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if a.Admitted {
					lights[i]++
				}
			})
		}
	}
	desks.Wait()
	for i, n := range lights {
		if n > 1 {
			t.Errorf("proxy %d was admitted at %d bureaux", i, n)
		}
		c.until("nothing is stuck", func() bool {
			a := one.byProxy(c.home(1, 20+i), c.home(2, 20+i))
			return a.Admitted || a.Refusal == ledger.AlreadyAdmitted
		})
	}
	if a, b := one.node.book.Status().Tally, two.node.book.Status().Tally; a.Proxies+b.Proxies != 18 {
		t.Errorf("tallies %+v, %+v: want 18 proxies", a, b)
	}
}

func TestAProxyThatCannotBeHadIsRefusedAndNothingIsStuck(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.opened(1, 2, 3)
	one, two := c.bureaux[1], c.bureaux[2]
	c.bureaux[3].stop()
	var desks sync.WaitGroup
	desks.Go(func() { // what came from bureau 2 goes back
		if a, err := one.tryProxy(c.home(2, 0), c.home(3, 0)); err != nil || a.Refusal != ledger.HomeUnreachable || a.Of != "holder" {
			t.Errorf("%+v, %v", a, err)
		}
	})
	desks.Go(func() {
		if a, err := one.tryProxy(c.home(3, 1), c.home(2, 1)); err != nil || a.Refusal != ledger.HomeUnreachable || a.Of != "principal" {
			t.Errorf("%+v, %v", a, err)
		}
	})
	desks.Wait()
	c.until("the principal votes at home", func() bool { return two.checkIn(c.home(2, 0)).Admitted })
	c.until("the holder carries another's at home", func() bool { return two.byProxy(c.home(2, 2), c.home(2, 1)).Admitted })
	two.stop() // bureau 1 is alone
	a := one.admitsByProxy(c.home(1, 0), c.home(1, 1))
	if a.Replicated {
		t.Errorf("%+v with nobody there", a)
	}
	two.start()
	c.bureaux[3].start()
	c.linked(1, 2, 3)
	c.until("what was refused is had", func() bool { return one.byProxy(c.home(3, 1), c.home(3, 0)).Admitted })
	c.placed(ledger.Right{Elector: c.token(c.home(1, 0)), Kind: ledger.Admit})
	two.refusesProxy(c.home(2, 3), c.home(1, 1), ledger.ProxyAlreadyHeld, "holder")
}

func TestWrongProxiesAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	c, b := alone(t)
	good := proxyCall(c.home(1, 0), c.home(1, 1))
	for _, token := range []string{"none", "Bearer wrong"} {
		x := good
		x.token = token
		if r := b.call(x); r.code != http.StatusUnauthorized {
			t.Errorf("with %q: %+v", token, r)
		}
	}
	if r := b.call(call{method: http.MethodGet, path: "/proxies"}); r.code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %+v", r)
	}
	b.mediaLevel()
	media := contents(t, filepath.Join(b.dir, "disk"), filepath.Join(b.dir, "key1"), filepath.Join(b.dir, "key2"))
	for name, x := range map[string]call{
		"nothing":                  {path: "/proxies", body: "{}"},
		"no JSON":                  {path: "/proxies", body: "holder"},
		"an unknown name":          {path: "/proxies", body: strings.Replace(good.body, `"form"`, `"colour"`, 1)},
		"two of them":              {path: "/proxies", body: good.body + good.body},
		"no evidence":              {path: "/proxies", body: strings.Replace(good.body, `"evidence":2`, `"evidence":0`, 1)},
		"no reason":                {path: "/proxies", body: strings.Replace(good.body, `"reason":1`, `"reason":0`, 1)},
		"a reason beyond its byte": {path: "/proxies", body: strings.Replace(good.body, `"reason":1`, `"reason":256`, 1)},
		"no form":                  {path: "/proxies", body: strings.Replace(good.body, "21014/0017", "", 1)},
		"a long form":              {path: "/proxies", body: strings.Replace(good.body, "21014/0017", strings.Repeat("1", ledger.MaxFormNumber+1), 1)},
		"an accent in the form":    {path: "/proxies", body: strings.Replace(good.body, "21014/0017", "é", 1)},
		"a wrong card":             {path: "/proxies", body: strings.Replace(good.body, `"by":"card"`, `"by":"face"`, 1)},
		"a wrong number":           {path: "/proxies", body: strings.Replace(good.body, c.home(1, 0).ConvocationNumber.Digits(), "000000000", 1)},
		"one elector":              proxyCall(c.home(1, 0), c.home(1, 0)),
	} {
		r := b.call(x)
		if p := r.problem(t); r.code != http.StatusBadRequest || strings.Contains(p, "\n") || len(p) > 200 || strings.Contains(p, c.home(1, 0).NationalNumber.Digits()) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	media.same(t)
	known, strangers := map[ledger.NationalNumber]bool{}, 0
	for _, e := range c.electors {
		known[e.NationalNumber] = true
	}
	for _, p := range electorsOf(t, nextTown, 200, 1).People {
		if !known[p.NationalNumber] {
			b.refusesProxy(c.home(1, 0), p.Elector, ledger.NotOnTheRoll, "holder")
			b.refusesProxy(p.Elector, c.home(1, 0), ledger.NotOnTheRoll, "principal")
			strangers++
			break
		}
	}
	if strangers == 0 {
		t.Error("every elector of the next commune is one of this")
	}
	if s := b.node.book.Status().Tally; s.Admitted != 0 || s.Refused != 0 {
		t.Errorf("tally %+v", s)
	}
	b.admitsByProxy(c.home(1, 0), c.home(1, 1))
}
