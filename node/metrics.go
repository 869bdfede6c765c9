package node

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/pollbook"
	"pointage/node/provenance"
)

// What a bureau tells Prometheus; METRICS.md lists it. Nothing is about a person: no label names one, and a check-in is
// counted, never told apart from others.

// prefix begins every metric of ours.
const prefix = "pointage_"

// reading is one figure of the status.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(Status) float64
}

func gauge(name, help string, of func(Status) float64) reading {
	return reading{prometheus.NewDesc(prefix+name, help, nil, nil), prometheus.GaugeValue, of}
}

// counter counts since the program's start.
func counter(name, help string, of func(Status) float64) reading {
	return reading{prometheus.NewDesc(prefix+name+"_total", help, nil, nil), prometheus.CounterValue, of}
}

func truth(name, help string, of func(Status) bool) reading {
	return gauge(name, help, func(s Status) float64 {
		if of(s) {
			return 1
		}
		return 0
	})
}

var readings = []reading{
	truth("open", "1 while the bureau is open to electors.", func(s Status) bool { return s.Open }),
	truth("alone", "1 while the group does not answer.", func(s Status) bool { return s.Link == pollbook.Alone.String() }),
	truth("fault", "1 when the bureau can't go on.", func(s Status) bool { return s.Fault != "" }),
	truth("retired", "1 when an amendment has retired this machine's key.", func(s Status) bool { return s.Retired }),
	truth("in_doubt", "1 when peers hold records that this machine lacks, leave it out, or have another ledger.", func(s Status) bool {
		return s.RolledBack || s.LeftOut || s.LedgerDiffers
	}),
	gauge("media_good", "Media that take what is written, of three.", func(s Status) (n float64) {
		for _, m := range s.Media {
			if m == goodMedium {
				n++
			}
		}
		return n
	}),
	truth("leads", "1 while this machine leads the group.", func(s Status) bool { return s.Leader == s.Bureau }),
	counter("leader_changes", "Changes of leader seen.", func(s Status) float64 { return float64(s.LeaderChanges) }),
	gauge("connected_bureaux", "Bureaux to which a connection stands.", func(s Status) float64 { return float64(len(s.Connected)) }),
	gauge("epoch", "Recoveries of a group that had lost its majority for good.", func(s Status) float64 { return float64(s.Epoch) }),
	gauge("backlog_batches", "Batches of this bureau that the group does not have.", func(s Status) float64 { return float64(s.Backlog) }),
	gauge("ahead_batches", "Batches of other bureaux that are known and have no place yet.", func(s Status) float64 { return float64(s.Ahead) }),
	gauge("ledger_entries", "Entries of the commune's ledger here.", func(s Status) float64 { return float64(s.LedgerSize) }),
	gauge("electors", "Electors of the commune's register.", func(s Status) float64 { return float64(s.Electors) }),
	gauge("admissions", "Live admissions of this bureau.", func(s Status) float64 { return float64(s.Admitted) }),
	gauge("away_admissions", "Those of electors at home elsewhere.", func(s Status) float64 { return float64(s.Away) }),
	counter("refused_attempts", "Attempts refused.", func(s Status) float64 { return float64(s.Refused) }),
	counter("voided_admissions", "Admissions taken back before the light.", func(s Status) float64 { return float64(s.Voided) }),
	counter("annulled_admissions", "Admissions taken back after the light.", func(s Status) float64 { return float64(s.Annulled) }),
	counter("alarms", "Conflicts reported after the light, and batches that got no place.", func(s Status) float64 { return float64(s.Alarms) }),
	counter("proofs", "Contradictions of signed records found.", func(s Status) float64 { return float64(s.Forks + s.Equivocations) }),
	gauge("anchored_entries", "Size of the last anchored checkpoint.", func(s Status) float64 { return float64(s.AnchoredSize) }),
	gauge("anchor_age_seconds", "Age of the last anchor.", func(s Status) float64 { return s.AnchorAgeSeconds }),
	truth("anchor_fault", "1 when the last attempt to anchor failed.", func(s Status) bool { return s.AnchorFault != "" }),
	gauge("platform_entries", "Entries that the regional platform has.", func(s Status) float64 { return float64(s.PlatformSize) }),
	truth("platform_fault", "1 when the last attempt to bring entries to the platform failed.", func(s Status) bool { return s.PlatformFault != "" }),
}

// collector gives one status, whole, to each scrape.
type collector struct{ n *Node }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range readings {
		ch <- r.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.n.Status()
	for _, r := range readings {
		ch <- prometheus.MustNewConstMetric(r.desc, r.kind, r.of(s))
	}
}

// answerTimes are how long the table waited for its answers, by where the elector is at home and what was said.
type answerTimes struct{ seconds *prometheus.HistogramVec }

// waits are the histogram's bounds, in seconds.
var waits = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newAnswerTimes() answerTimes {
	t := answerTimes{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + "check_in_seconds", Help: "From an identified elector to the answer at the table.", Buckets: waits,
	}, []string{"home", "answer"})}
	for _, home := range []string{"here", "elsewhere"} {
		for _, answer := range []string{"admitted", "refused"} {
			t.seconds.WithLabelValues(home, answer) // told from the start, with nothing in it
		}
	}
	return t
}

func (t answerTimes) took(d time.Duration, here bool, refused ledger.Refusal) {
	home, answer := "elsewhere", "refused"
	if here {
		home = "here"
	}
	if refused == ledger.NotRefused {
		answer = "admitted"
	}
	t.seconds.WithLabelValues(home, answer).Observe(d.Seconds())
}

// checkIn is the pollbook's, timed.
func (n *Node) checkIn(ctx context.Context, e ledger.ElectorToken, how rights.Ask, provisional uint8) (pollbook.Receipt, error) {
	start := time.Now()
	r, err := n.book.CheckIn(ctx, e, how, provisional)
	if err == nil {
		home, _ := n.prepared.Group.Home(e)
		n.answers.took(time.Since(start), home == n.cfg.Bureau, r.Refusal)
	}
	return r, err
}

// metrics are all that this bureau tells: itself, its program, its process.
func (n *Node) metrics() *prometheus.Registry {
	all := prometheus.NewRegistry()
	program := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "program_info", Help: "1; the labels are the program's version and the SHA-256 of its file.",
		ConstLabels: prometheus.Labels{"version": provenance.Version, "sha256": n.program.String()},
	})
	program.Set(1)
	all.MustRegister(collector{n}, n.answers.seconds, program, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return all
}
