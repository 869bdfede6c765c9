package rights

import (
	"flag"
	"runtime/debug"
	"testing"

	"pointage/ledger"
)

// full takes the wider bounds too: minutes, and some gigabytes.
var full = flag.Bool("full", false, "explore within wider bounds")

func admitOf(electors ...int) (out []boundRight) {
	for _, e := range electors {
		out = append(out, boundRight{e, ledger.Admit})
	}
	return out
}

// One principal of bureau 1 with a holder of bureau 2; two principals with one holder; one
// principal with two holders.
var (
	onePair    = []boundRight{{0, ledger.Admit}, {1, ledger.Carry}}
	oneHolder  = []boundRight{{0, ledger.Admit}, {1, ledger.Carry}, {3, ledger.Admit}}
	twoHolders = []boundRight{{0, ledger.Admit}, {1, ledger.Carry}, {4, ledger.Carry}}
)

// narrow are the bounds of every run, wide those of -full.
var (
	narrow = []bounds{
		{name: "rights: 2 releases, crash", rights: admitOf(0), releases: 2, crashes: 1},
		{name: "rights: release, crash, void, annulment", rights: admitOf(0), releases: 1, crashes: 1, voids: 1, annulments: 1},
		{name: "rights: 2 electors, release, crash", rights: admitOf(0, 1), releases: 1, crashes: 1},
		{name: "rights: provisional policy, release, crash", rights: admitOf(0), releases: 1, crashes: 1, provisional: true},
		{name: "incarnations: release, void", rights: admitOf(0), releases: 1, voids: 1, deaths: 1},
		{name: "incarnations: release, crash, annulment", rights: admitOf(0), releases: 1, crashes: 1, annulments: 1, deaths: 1},
		{name: "proxies: release", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1},
		{name: "proxies: crash, void, annulment", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, crashes: 1, voids: 1, annulments: 1},
	}
	wide = []bounds{
		{name: "rights: 3 releases, crash, void, annulment", rights: admitOf(0), releases: 3, crashes: 1, voids: 1, annulments: 1},
	}
)

func (b bounds) ready() bounds {
	if b.bureaux == 0 {
		b.bureaux = bureaux
	}
	if b.demands == 0 {
		b.demands = allPromises
	}
	if b.bits == 0 {
		b.bits = 20
	}
	return b
}

func TestEveryReachableStateKeepsThePromises(t *testing.T) {
	debug.SetGCPercent(400)
	all := narrow
	if *full {
		all = append(append([]bounds(nil), narrow...), wide...)
	}
	total := int64(0)
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			x := newUnits(t, b.ready())
			r := search(x, x.bits)
			total += r.states
			r.log(t, b.name)
			t.Logf("%d units, %d states of Step, %d steps, %d statements, %d MiB", len(x.number), len(x.states.values), len(x.steps), len(x.said.values), peak(t))
			if r.violation != "" || !r.complete {
				t.Fatalf("%s (complete: %v) after\n%s", r.violation, r.complete, trace(x, r.bad))
			}
		})
	}
	t.Logf("%d states in all, %d MiB of memory at most", total, peak(t))
}
