package simulation

import (
	"testing"
	"time"

	"pointage/ledger"
	"pointage/node"
)

func TestEveryProxyHasAHolderWhoComesHimself(t *testing.T) {
	homes := make([]ledger.BureauNumber, 20_000)
	for i := range homes {
		homes[i] = ledger.BureauNumber(1 + i%4)
	}
	vs := visitors(7, homes, []ledger.BureauNumber{1, 2, 3, 4}, 0.8, time.Minute)
	byElector := map[int]*visitor{}
	for i := range vs {
		byElector[vs[i].elector] = &vs[i]
	}
	proxies, over, elsewhere := 0, 0, 0
	carries := map[int]bool{}
	for i, v := range vs {
		if i > 0 && v.at < vs[i-1].at {
			t.Fatal("not in the order of their coming")
		}
		if !v.byProxy() {
			continue
		}
		proxies++
		holder := byElector[v.by.holder]
		switch {
		case holder == nil || holder.byProxy() || holder.elector == v.elector:
			t.Fatalf("the holder of %+v is %+v", v, holder)
		case v.by.home != holder.home || v.at != holder.at || v.twin == v.to || v.again == v.to:
			t.Fatalf("%+v is held by %+v", v, holder)
		case carries[v.by.holder]:
			over++
		case v.to != v.home || v.to != holder.home:
			elsewhere++
		}
		carries[v.by.holder] = true
	}
	if share := float64(proxies) / float64(len(vs)); share < 0.8*proxyShare || share > 1.2*proxyShare {
		t.Errorf("%.4f vote by proxy, want about %.4f", share, proxyShare)
	}
	if over == 0 || over > proxies/2 || elsewhere == 0 {
		t.Errorf("of %d proxies %d are one too many, %d need another bureau's right", proxies, over, elsewhere)
	}
	if least := leastProxies(vs); least == 0 || least > proxies-over {
		t.Errorf("at least %d of %d proxies, %d of them too many", least, proxies, over)
	}
}

// TestTheJudgeSeesProxies breaks each promise about them in what the desks were told.
func TestTheJudgeSeesProxies(t *testing.T) {
	one, two := &visitor{elector: 1, home: 1, by: proxy{9, 1}}, &visitor{elector: 2, home: 2, by: proxy{9, 1}}
	light1 := func(record string) node.Answer { return node.Answer{Admitted: true, Record: record} }
	t.Run("a holder who carries two", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: one, at: 1, proxy: true}, light1("a/1"))
		d.note(attempt{visitor: two, at: 2, proxy: true}, light1("b/1"))
		if d.double() != 1 || d.proxies != 2 || d.checkIns != 2 {
			t.Errorf("%d doubles, %v", d.double(), d)
		}
	})
	t.Run("a principal who comes himself as well", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: one, at: 2, proxy: true}, light1("a/1"))
		d.note(attempt{visitor: one, at: 1}, light1("b/1"))
		if d.double() != 1 || d.proxies != 1 || d.away != 1 {
			t.Errorf("%d doubles, %v", d.double(), d)
		}
	})
	t.Run("a second tap is neither", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: one, at: 1, proxy: true}, light1("a/1"))
		d.note(attempt{visitor: one, at: 1, proxy: true, repeat: true}, node.Answer{Refusal: ledger.AlreadyAdmitted, At: 1, Record: "a/1"})
		if d.double() != 0 || d.proxies != 1 || d.checkIns != 1 {
			t.Errorf("%d doubles, %v", d.double(), d)
		}
	})
	t.Run("a proxy that the ledger has by half", func(t *testing.T) {
		d := newTold()
		d.note(attempt{visitor: one, at: 1, proxy: true}, light1("a/1"))
		live, right := map[int][]ledger.BureauNumber{1: {1}}, map[int][]light{9: {{1, "a/1"}}}
		if d.lost(live) != 0 || d.uncarried(live, right) != 0 {
			t.Error("a whole one is lost")
		}
		for name, carried := range map[string]map[int][]light{
			"none": nil, "another's": {8: {{1, "a/1"}}}, "another record": {9: {{1, "a/2"}}}, "another bureau": {9: {{2, "a/1"}}},
		} {
			if d.uncarried(live, carried) != 1 {
				t.Errorf("%s: not counted", name)
			}
		}
		if d.lost(nil)+d.uncarried(nil, nil) != 1 {
			t.Error("one that is lost whole counts once")
		}
	})
	t.Run("a proxy refused where both rights are at home", func(t *testing.T) {
		for _, c := range []struct {
			v    *visitor
			ans  node.Answer
			want int
		}{
			{one, node.Answer{Refusal: ledger.HomeUnreachable}, 1},
			{one, node.Answer{Refusal: ledger.ProxyAlreadyHeld}, 0},
			{two, node.Answer{Refusal: ledger.HomeUnreachable}, 0}, // the principal's right is elsewhere
		} {
			d := newTold()
			d.note(attempt{visitor: c.v, at: 1, proxy: true}, c.ans)
			if d.homeRefused != c.want || d.refused != 1 || d.checkIns != 0 {
				t.Errorf("%v: %d refused at home", c.ans.Refusal, d.homeRefused)
			}
		}
	})
}

func TestADayOfProxiesHoldsEveryPromise(t *testing.T) {
	s, err := Run(t.Context(), Plan{Commune: 21014, Bureaux: 3, Electors: 400, Day: 3 * time.Second, Turnout: 0.8, Seed: 2, Out: t.TempDir() + "/out"})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Broken) > 0 {
		t.Errorf("broken: %v", s.Broken)
	}
	if s.Proxies == 0 || s.Proxies >= s.CheckIns || s.DoubleAdmissions != 0 || s.NeverAdmitted != 0 {
		t.Errorf("summary: %+v", *s)
	}
}
