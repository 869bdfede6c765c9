package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/node"
)

// Proxies of a day; for simulations only.
const (
	// proxyShare is the share of those who vote that do so by a holder: that of 2024 outside the
	// commune whose election was annulled.
	proxyShare = 0.015
	// overShare of the forms are given to a holder who carries one already.
	overShare = 0.2
	// proxyTries is how often a proxy may be refused before the principal comes himself.
	proxyTries = 4
	// proxySeed keeps who gives a proxy apart from who comes.
	proxySeed = 0x70726f6375726174
)

// proxy is the holder who votes for a visitor.
type proxy struct {
	holder int
	// home is the holder's.
	home ledger.BureauNumber
}

// byProxy says that another votes for him.
func (v *visitor) byProxy() bool { return v.by.home != 0 }

// giveProxies has some visitors stay at home and others vote for them, at the bureau where the
// holder goes, a moment after he came; a form too many is brought to another bureau at the
// same moment.
func giveProxies(seed uint64, vs []visitor, bureaux []ledger.BureauNumber) {
	r := rand.New(rand.NewPCG(seed, proxySeed))
	var holders []int
	busy := map[int]bool{}
	for i := range vs {
		if busy[i] || len(vs) < 2 || r.Float64() >= proxyShare {
			continue
		}
		over := len(holders) > 0 && r.Float64() < overShare
		j := r.IntN(len(vs))
		switch {
		case over:
			j = holders[r.IntN(len(holders))]
		case j == i || busy[j]:
			continue // who holds one comes himself, and carries no second one
		default:
			holders = append(holders, j)
		}
		busy[i], busy[j] = true, true
		v, holder := &vs[i], &vs[j]
		v.by = proxy{holder.elector, holder.home}
		v.at, v.to = holder.at, holder.to
		if over {
			v.to = bureaux[r.IntN(len(bureaux))]
		}
		// An attempt in his own name is made elsewhere: at the same table it is a second tap.
		if v.twin == v.to {
			v.twin = 0
		}
		if v.again == v.to {
			v.again = 0
		}
	}
	slices.SortStableFunc(vs, func(a, b visitor) int { return int(a.at - b.at) })
}

// leastProxies is how many proxies a day without faults admits: one for each holder whose form
// nobody contests by an attempt in the principal's own name.
func leastProxies(vs []visitor) int {
	holders := map[int]bool{}
	for _, v := range vs {
		if v.byProxy() && v.twin == 0 {
			holders[v.by.holder] = true
		}
	}
	return len(holders)
}

// visitByProxy is a holder with another's form: when it is refused the principal comes himself, so
// that a right which is stuck anywhere shows.
func (d *day) visitByProxy(ctx context.Context, v *visitor) {
	refused, repeat := 0, false
	for range maxTries {
		ans, err := d.tryProxy(ctx, v, repeat)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			repeat = true // it may have been recorded: the same desk asks again
		case ans.Admitted || ans.Refusal == ledger.AlreadyAdmitted:
			d.through()
			return
		default:
			refused++
		}
		if refused == proxyTries || ans.Refusal == ledger.ProxyAlreadyHeld {
			d.visit(ctx, v, v.home)
			return
		}
		if !sleep(ctx, comeBack) {
			return
		}
	}
}

// tryProxy is one holder at one desk, once.
func (d *day) tryProxy(ctx context.Context, v *visitor, repeat bool) (node.ProxyAnswer, error) {
	holder, principal := d.register.At(v.by.holder), d.register.At(v.elector)
	x := node.Proxy{
		Holder:    node.Person{By: "card", Number: holder.NationalNumber.Digits()},
		Principal: node.Person{By: "convocation", Number: principal.ConvocationNumber.Digits()},
		Form:      fmt.Sprintf("%d/%06d", d.plan.Commune, v.elector), Reason: 1, Evidence: 1, Attester: 1,
	}
	start := time.Now()
	at := d.door(v.to)
	u := d.bureaux[d.index[at]]
	u.tables.RLock()
	defer u.tables.RUnlock()
	ans, err := u.CheckInProxy(ctx, x)
	if err != nil {
		if !errors.Is(err, errDown) {
			d.told.fault()
		}
		return ans, err
	}
	d.told.note(attempt{visitor: v, at: at, repeat: repeat, proxy: true, took: time.Since(start)}, ans.Answer)
	return ans, nil
}

func (s *inProcess) CheckInProxy(ctx context.Context, x node.Proxy) (node.ProxyAnswer, error) {
	n, err := s.running()
	if err != nil {
		return node.ProxyAnswer{}, err
	}
	return n.CheckInProxy(ctx, x)
}

func (p *process) CheckInProxy(ctx context.Context, x node.Proxy) (a node.ProxyAnswer, err error) {
	err = p.ask(ctx, http.MethodPost, "/proxies", x, &a)
	return a, err
}
