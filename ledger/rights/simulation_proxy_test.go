package rights

import (
	"slices"

	"pointage/ledger"
)

// simForm is a proxy: the numbers of the principal's right to be admitted and of the holder's to carry one.
type simForm struct {
	principal, holder int32
	tries             uint8
}

// giveProxies draws who carries whose proxy, where and when. Most principals don't come themselves. Now and
// then one holder has two forms, or one principal has given two.
func (d *simDay) giveProxies() {
	absent := map[int32]bool{}
	for range int(d.proxies * float64(d.electors)) {
		f := simForm{principal: int32(d.rnd.IntN(d.electors)), holder: int32(d.electors + d.rnd.IntN(d.electors))}
		if n := len(d.forms); n > 0 {
			switch d.rnd.IntN(6) {
			case 0:
				f.holder = d.forms[n-1].holder
			case 1:
				f.principal = d.forms[n-1].principal
			}
		}
		key := [2]int32{f.principal, f.holder}
		if _, known := d.formOf[key]; known || f.principal == f.holder-int32(d.electors) {
			continue
		}
		n := int32(len(d.forms))
		d.formOf[key] = n
		d.forms = append(d.forms, f)
		absent[f.principal] = absent[f.principal] || d.rnd.IntN(4) > 0
		at := d.rnd.Int64N(simCloses - simHour/2)
		d.askProxyAt(n, d.deskFor(&f), at)
		if d.rnd.IntN(4) == 0 {
			d.askProxyAt(n, d.deskFor(&f), at+d.rnd.Int64N(100))
		}
	}
	d.coming = slices.DeleteFunc(d.coming, func(c uint64) bool { return absent[int32(c&(1<<20-1))] })
}

// deskFor is a bureau where a holder may come with the form: the principal's, his own, or another.
func (d *simDay) deskFor(f *simForm) int {
	switch d.rnd.IntN(5) {
	case 0, 1:
		return int(f.principal) % simBureaux
	case 2:
		return int(f.holder) % simBureaux
	case 3:
		return d.elsewhere(int(f.principal) % simBureaux)
	}
	return d.anywhere(int(f.holder) % simBureaux)
}

// askProxyAt has the holder come to a bureau's table.
func (d *simDay) askProxyAt(form int32, bureau int, in int64) {
	m := d.table(bureau)
	d.queue.push(simEvent{at: d.now + in, kind: simAskProxy, machine: uint8(m.index), elector: d.forms[form].principal, arg: form})
}

// askProxy: the holder stands at the table with the form.
func (d *simDay) askProxy(m *simMachine, form int32) {
	f := &d.forms[form]
	if f.tries++; f.tries > simTries && !d.ended {
		return
	}
	d.tries[f.principal] = max(d.tries[f.principal], 1)
	if !m.up {
		m.waiting = append(m.waiting, simWaiter{f.principal, form})
		return
	}
	p, h := m.row(f.principal), m.row(f.holder)
	if h.asked == 0 {
		h.asked, h.owed = d.now+1, true
		for _, r := range [2]*simRow{p, h} {
			h.owed = h.owed && r.s.Record.State == ledger.Own && r.s.Pending == nil && r.s.Desk == Idle
		}
	}
	d.tally.forms++
	m.step(f.principal, AskProxy{&ledger.ProxyAdmission{
		Principal: d.rights[f.principal].Elector, Holder: d.rights[f.holder].Elector, Form: []byte("7"), Reason: 1, Evidence: 1, Means: ledger.ByCard, Attester: 1,
	}})
}

// formFor is the form for which a right is taken at a machine, -1 when it is for none.
func (m *simMachine) formFor(x int32) int32 {
	if x < 0 || m.row(x).s.Pair == nil {
		return -1
	}
	both := ledger.Touches(m.row(x).s.Pair)
	form, ok := m.d.formOf[[2]int32{m.commune.of(both[Principal]), m.commune.of(both[Holder])}]
	if !ok {
		panic("a proxy of which there is no form")
	}
	return form
}

// stepPair runs the protocol on the two rights of a proxy and carries the effects out; asked is the proxy
// when the desk has just asked for it.
func (m *simMachine) stepPair(x int32, r *simRow, ev Event, asked *ledger.ProxyAdmission) {
	if asked == nil {
		asked = r.s.Pair
	}
	at := Principal
	if int(x) >= m.d.electors {
		at = Holder
	}
	var xs [2]int32
	var rows [2]*simRow
	var c [2]*Context
	var s [2]State
	for i, right := range ledger.Touches(asked) {
		xs[i] = m.commune.of(right)
		rows[i] = m.row(xs[i])
		m.pair[i] = *m.context(xs[i])
		c[i], s[i] = &m.pair[i], rows[i].s
	}
	next, effects := StepPair(c, s, at, ev)
	m.d.steps++
	for i := range rows {
		rows[i].s = next[i]
		if m.d.watch == xs[i] {
			m.d.note("bureau %d.%d proxy %T -> %v %d pending %T desk %d, effects %+v", number(m.bureau), m.index, ev, next[i].Record.State, next[i].Record.Nonce, next[i].Pending, next[i].Desk, effects)
		}
	}
	for _, f := range effects {
		if t, ok := f.Effect.(Tell); ok && t.Answers&ByProxy != 0 {
			m.toldProxy(xs, rows, t)
			continue
		}
		m.carryOut(xs[f.At], rows[f.At], f.Effect)
	}
	if _, left := ev.(Leave); left && rows[Holder].s.Desk == Idle {
		rows[Holder].asked = 0
	}
	for i, r := range rows {
		m.keepAsking(xs[i], r)
	}
	for i, r := range rows {
		if s[i].Pending != nil {
			m.undefer(xs[i], r)
		}
	}
}

// toldProxy is what the holder hears.
func (m *simMachine) toldProxy(xs [2]int32, rows [2]*simRow, t Tell) {
	d := m.d
	form := d.formOf[xs]
	if t.Refusal == ledger.InProgress {
		if d.rnd.IntN(2) == 0 {
			d.askProxyAt(form, m.bureau, 500+d.rnd.Int64N(10_000))
		}
		return
	}
	d.answered(m, xs[Holder], rows[Holder])
	switch {
	case t.Refusal == ledger.NotRefused:
		d.handOverProxy(m, xs, t)
		return
	case t.Refusal == ledger.Withdrawn || t.Refusal == ledger.ConflictFound:
		d.tally.voided++
	}
	d.tally.refused++
	if len(d.lit[xs[Principal]]) > 0 {
		return
	}
	switch d.rnd.IntN(4) {
	case 0:
		d.askProxyAt(form, m.bureau, d.rnd.Int64N(10*simMinute))
	case 1:
		d.askProxyAt(form, d.deskFor(&d.forms[form]), d.rnd.Int64N(20*simMinute))
	case 2:
		d.askAt(xs[Principal], int(xs[Principal])%simBureaux, d.rnd.Int64N(simHour)) // then he comes himself
	}
}

// handOverProxy is a ballot for the principal, in the holder's hands.
func (d *simDay) handOverProxy(m *simMachine, xs [2]int32, t Tell) {
	d.tally.admitted++
	d.tally.byProxy++
	for _, x := range xs {
		d.lit[x] = append(d.lit[x], simLight{t.Record, m.bureau})
		if len(d.lit[x]) > 1 {
			d.double(x)
		}
	}
	switch d.rnd.IntN(20) {
	case 0:
		d.later(simUndo, xs[Principal], m.bureau, d.rnd.Int64N(simMinute))
	case 1: // the principal comes after all
		d.askAt(xs[Principal], d.anywhere(int(xs[Principal])%simBureaux), d.rnd.Int64N(20*simMinute))
	case 2: // the holder tries it a second time
		d.askProxyAt(d.formOf[xs], d.deskFor(&d.forms[d.formOf[xs]]), d.rnd.Int64N(20*simMinute))
	}
}

// carryHome: in the evening each holder whose principal has no ballot comes home with his form. Thereafter
// the ballot is there, or the right to carry is at home, and not used, and it was not for its sake (L3).
func (d *simDay) carryHome() {
	waits := func(f *simForm) bool { return f.tries > 0 && len(d.lit[f.principal]) == 0 && len(d.lit[f.holder]) == 0 }
	for range 3 {
		for n := range d.forms {
			if f := &d.forms[n]; d.broken == "" && waits(f) {
				d.askProxy(d.machines[int(f.holder)%simBureaux], int32(n))
				d.settle()
			}
		}
	}
	for n := range d.forms {
		f := &d.forms[n]
		if d.broken != "" || d.fault != simClean || !waits(f) {
			continue
		}
		if r := d.machines[int(f.holder)%simBureaux].row(f.holder); r.s.Record.State != ledger.Own || r.s.Desk != Idle {
			d.fail(f.holder, "L3: his right to carry a proxy is stuck; at home it is %v", r.s.Record.State)
		}
	}
}
