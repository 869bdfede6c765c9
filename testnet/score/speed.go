package score

import (
	"fmt"
	"regexp"
)

// Speeds are the measures of speed, cost and scale, in their order: ratios measured side by side in one run, and counts.
var Speeds = []Row{
	{"P1", "committed check-ins a second at three bureaux, signed, chained and verified, beside etcd and PostgreSQL", ">= 2.0 x etcd 3.6 and >= 1.25 x PostgreSQL at 64 and 256 clients", []Part{{
		Quick: bench("--clients", "64,256", "--rounds", "3", "--duration", "4s"), Full: bench("--clients", "64,256", "--rounds", "5", "--duration", "8s"),
		Figures: []Figure{
			figure("x etcd at 64", ratio("pointage", 64, 1), Last, AtLeast(2), AtLeast(0.4)), figure("x etcd at 256", ratio("pointage", 256, 1), Last, AtLeast(2), AtLeast(0.4)),
			figure("x PostgreSQL at 64", ratio("pointage", 64, 2), Last, AtLeast(1.25), AtLeast(0.12)), figure("x PostgreSQL at 256", ratio("pointage", 256, 2), Last, AtLeast(1.25), AtLeast(0.15)),
			figure("µs of the processors for each check-in at most", `(\d+) µs of the processors`, Largest, nil, nil),
		},
	}}},
	{"P2, P3, P7", "one client with the barrier; the bureau's own part; verification of an export", ">= 0.6 x etcd; p99 <= 3 x bare append and fsync; >= 0.7 x bare ed25519", []Part{{
		Quick: bench("--clients", "1", "--rounds", "3", "--duration", "4s"), Full: bench("--clients", "1", "--rounds", "5", "--duration", "8s"),
		Figures: []Figure{
			figure("x etcd with one client", ratio("pointage", 1, 1), Last, AtLeast(0.6), AtLeast(0.2)), figure("x etcd alone", ratio("pointage, a bureau alone", 1, 1), Last, AtLeast(1.5), AtLeast(0.5)),
			figure("x bare append and fsync, p99", `check-in, p99: ([\d.]+) x`, Last, AtMost(3), nil), figure("x bare ed25519", `verifying an export: ([\d.]+) x`, Last, AtLeast(0.7), AtLeast(0.4)),
		},
	}}},
	{"P4", "home electors refused while the leader is killed and no majority is left", "0; etcd and PostgreSQL serve nobody meanwhile", []Part{{
		Quick:   []string{"go", "run", "./testnet", "bench", "--parts", "outage"},
		Figures: []Figure{figure("home electors refused", `(\d+) refused`, Sum, AtMost(0), AtMost(0)), figure("ms the longest gap", `nobody served for (\d+) ms`, func(xs []float64) float64 { return xs[0] }, nil, nil)},
	}}},
	{"P5, P6, P8, P10", "communes of several sizes in one process: cost idle and with electors at every table, healing", "100 check-ins/s at 120 bureaux, idle <= 0.15 core, <= 4 GiB; 20,000 missed entries level in 15 s; next leader <= 5 s, the principal again <= 10 s", []Part{{
		Quick: []string{"go", "run", "./testnet", "scale", "--sizes", "3,12,25", "--idle", "5s", "--load", "10s", "--missed", "2000"},
		Full:  []string{"go", "run", "./testnet", "scale", "--sizes", "3,12,25,60,120", "--missed", "20000"},
		Figures: []Figure{
			inFull(figure("check-ins/s of 100 at the largest", `  ([\d.]+) check-ins/s of`, Last, nil, nil), AtLeast(95)),
			inFull(figure("cores at rest", `idle ([\d.]+) cores`, Last, nil, AtMost(0.5)), AtMost(0.15)),
			inFull(figure("MiB", ` (\d+) MiB`, Last, nil, AtMost(1024)), AtMost(4096)),
			figure("s until the next leader at most", `next leader ([\d.]+) s`, Largest, AtMost(5), nil),
			figure("s until the principal leads again at most", `leads again ([\d.]+) s`, Largest, AtMost(10), nil),
			figure("s until missed entries are level", `entries level in ([\d.]+) s`, Last, AtMost(15), nil),
			figure("µs of the processors each at the largest", `  (\d+) µs of the processors each`, Last, nil, nil),
		},
	}}},
}

func bench(more ...string) []string {
	return append([]string{"go", "run", "./testnet", "bench", "--parts", "rates"}, more...)
}

// ratio finds a system's row in the table of medians: its clients, its figure a second, and its ratios to etcd (1) and to PostgreSQL (2).
func ratio(system string, clients, column int) string {
	to := []string{"", `([\d.]+)`, `[\d.-]+ +([\d.]+)`}[column]
	return fmt.Sprintf(`(?m)^%s +%d +\d+ +%s`, regexp.QuoteMeta(system), clients, to)
}
