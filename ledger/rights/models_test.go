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

// One principal of bureau 1 with a holder of bureau 2; two principals with one holder, here and all at home
// at bureau 1; one principal with two holders.
var (
	atHome     = []boundRight{{0, ledger.Admit}, {3, ledger.Carry}, {6, ledger.Admit}}
	onePair    = []boundRight{{0, ledger.Admit}, {1, ledger.Carry}}
	oneHolder  = []boundRight{{0, ledger.Admit}, {1, ledger.Carry}, {3, ledger.Admit}}
	twoHolders = []boundRight{{0, ledger.Admit}, {1, ledger.Carry}, {4, ledger.Carry}}
)

var (
	withOneHolder  = [][2]int{{0, 1}, {2, 1}}
	withTwoHolders = [][2]int{{0, 1}, {0, 2}}
)

// narrow are the bounds of every run, wide those of -full.
var (
	narrow = []bounds{
		{name: "rights: 2 releases, crash", rights: admitOf(0), releases: 2, crashes: 1},
		{name: "rights: release, crash, void, annulment", rights: admitOf(0), releases: 1, crashes: 1, voids: 1, annulments: 1},
		{name: "rights: 2 electors, release, crash", rights: admitOf(0, 1), releases: 1, crashes: 1},
		{name: "rights: policy provisional, release, crash", rights: admitOf(0), releases: 1, crashes: 1, provisional: true},
		{name: "incarnations: release, void", rights: admitOf(0), releases: 1, voids: 1, deaths: 1},
		{name: "incarnations: release, crash, annulment", rights: admitOf(0), releases: 1, crashes: 1, annulments: 1, deaths: 1},
		{name: "proxies: 3 bureaux, release", rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, homeOnly: true},
		{name: "proxies: one holder, release", bureaux: 2, rights: oneHolder, proxies: withOneHolder, releases: 1},
		{name: "proxies: release, crash, void", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, crashes: 1, voids: 1},
		{name: "proxies: release, annulment", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, annulments: 1},
		{name: "proxies: release, incarnation", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, deaths: 1},
		{name: "proxies: clone, barrier, release", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, clones: 1, barrier: true, demands: s1},
		{name: "clone: barrier, release, void", rights: admitOf(0), releases: 1, voids: 1, clones: 1, barrier: true, demands: s1},
		{name: "clone: detection, release", rights: admitOf(0), releases: 1, clones: 1, demands: s3},
		{name: "rollback: barrier, release", rights: admitOf(0), releases: 1, rollbacks: 1, barrier: true, erases: true, demands: s1},
		{name: "rollback: detection, release", rights: admitOf(0), releases: 1, rollbacks: 1, demands: s3},
	}
	wide = []bounds{
		{name: "rights: 3 electors, release, crash", rights: admitOf(0, 1, 2), releases: 1, crashes: 1, bits: 25},
		{name: "rights: 3 electors, release, void", rights: admitOf(0, 1, 2), releases: 1, voids: 1, bits: 26},
		{name: "rights: 2 electors, 2 releases, crash", rights: admitOf(0, 1), releases: 2, crashes: 1, bits: 24},
		{name: "rights: 2 releases, crash, void, annulment", rights: admitOf(0), releases: 2, crashes: 1, voids: 1, annulments: 1, bits: 24},
		{name: "rights: 2 electors, release, crash, void", rights: admitOf(0, 1), releases: 1, crashes: 1, voids: 1, bits: 25},
		{name: "incarnations: 2 electors, release", rights: admitOf(0, 1), releases: 1, deaths: 1, bits: 22},
		{name: "incarnations: 2 releases, crash, void", rights: admitOf(0), releases: 2, crashes: 1, voids: 1, deaths: 1, bits: 24},
		{name: "proxies: one holder, release, crash", bureaux: 2, rights: oneHolder, proxies: withOneHolder, releases: 1, crashes: 1, bits: 24},
		{name: "proxies: two holders, release, crash", bureaux: 2, rights: twoHolders, proxies: withTwoHolders, releases: 1, crashes: 1, bits: 24},
		{name: "proxies: one holder, 3 bureaux, release", rights: oneHolder, proxies: withOneHolder, releases: 1, bits: 24},
		{name: "proxies: 3 bureaux, release, void", rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, voids: 1, bits: 24},
		{name: "proxies: release, annulment, incarnation", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, annulments: 1, deaths: 1, bits: 22},
		{name: "proxies: clone, barrier, release, void", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, voids: 1, clones: 1, barrier: true, demands: s1, bits: 24},
		{name: "proxies: rollback, barrier, release", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, rollbacks: 1, barrier: true, erases: true, demands: s1, bits: 24},
		{name: "proxies: rollback, detection, release", bureaux: 2, rights: onePair, proxies: [][2]int{{0, 1}}, releases: 1, rollbacks: 1, demands: s3, bits: 24},
		{name: "clone: barrier, release, crash, void", rights: admitOf(0), releases: 1, crashes: 1, voids: 1, clones: 1, barrier: true, demands: s1, bits: 24},
		{name: "clone: detection, release, crash, void, annulment", rights: admitOf(0), releases: 1, crashes: 1, voids: 1, annulments: 1, clones: 1, demands: s3, bits: 24},
		{name: "rollback: detection, release, crash, void", rights: admitOf(0), releases: 1, crashes: 1, voids: 1, rollbacks: 1, demands: s3, bits: 25},
		{name: "rollback: barrier, release, void", rights: admitOf(0), releases: 1, voids: 1, rollbacks: 1, barrier: true, erases: true, demands: s1, bits: 24},
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
	all := narrow
	if *full {
		all = append(append([]bounds(nil), narrow...), wide...)
	}
	total := int64(0)
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			x := newUnits(t, b.ready())
			defer debug.FreeOSMemory()
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

// TestBrokenAssumptionsReachDetectionOnly: with a cloned machine, or media that were put back to a
// copy, and no barrier, there are double admissions (S1 does not hold without A1 and A2), of
// which all are found unless no medium is left with one of the records. An incarnation that can't know
// what its predecessor did admits provisionally whom that has admitted, which S1 leaves out.
func TestBrokenAssumptionsReachDetectionOnly(t *testing.T) {
	for _, b := range []bounds{
		{name: "a clone admits twice", rights: admitOf(0), releases: 1, clones: 1, demands: s1},
		{name: "a rollback admits twice", rights: admitOf(0), releases: 1, rollbacks: 1, demands: s1},
		{name: "a rollback of all media is seen by counting ballots only", rights: admitOf(0), releases: 1, rollbacks: 1, erases: true, demands: s3},
		{name: "an unfenced incarnation admits again, provisionally", rights: admitOf(0), releases: 1, deaths: 1, demands: oneBallot},
	} {
		t.Run(b.name, func(t *testing.T) {
			x := newUnits(t, b.ready())
			r := search(x, x.bits)
			if r.violation == "" {
				t.Fatalf("not reached in %d states", r.states)
			}
			t.Logf("%s after\n%s", r.violation, trace(x, r.bad))
		})
	}
}
