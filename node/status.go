package node

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// Status is a bureau's state, as `pointage status` prints it.
type Status struct {
	Election string              `json:"election"`
	Commune  ledger.Commune      `json:"commune"`
	Bureau   ledger.BureauNumber `json:"bureau"`
	Open     bool                `json:"open"`
	// Link is linked, alone or catching up.
	Link string `json:"link"`
	// Backlog is how many of this bureau's batches the group does not have.
	Backlog int `json:"backlog"`
	// Leader is the leading bureau, 0 when none is known.
	Leader        ledger.BureauNumber   `json:"leader"`
	LeaderChanges uint64                `json:"leader_changes"`
	Connected     []ledger.BureauNumber `json:"connected"`
	LedgerSize    uint64                `json:"ledger_size"`
	LedgerHead    string                `json:"ledger_head"`
	Admitted      int                   `json:"admitted"`
	Away          int                   `json:"away"`
	Refused       int                   `json:"refused"`
	Voided        int                   `json:"voided"`
	Annulled      int                   `json:"annulled"`
	Alarms        int                   `json:"alarms"`
	Electors      int                   `json:"electors"`
	// Ahead is how many batches of other bureaux are known that the ledger does not have yet.
	Ahead int `json:"ahead"`
	// Forks and Equivocations count proofs of two histories of a machine, and of two ledgers
	// signed by one; both are recorded.
	Forks         int `json:"forks"`
	Equivocations int `json:"equivocations"`
	// RolledBack: peers hold records of this machine that its media do not. LeftOut: the
	// ledger grows without this bureau's batches. LedgerDiffers: another bureau's is not this one's.
	RolledBack    bool `json:"rolled_back"`
	LeftOut       bool `json:"left_out"`
	LedgerDiffers bool `json:"ledger_differs"`
	// Media is each medium's state.
	Media []string `json:"media"`
	// AnchoredSize and AnchorAgeSeconds are the last anchor's, at the bureaux that hold
	// the log's key.
	AnchoredSize     uint64  `json:"anchored_size"`
	AnchorAgeSeconds float64 `json:"anchor_age_seconds"`
	// AnchorFault is why the last attempt to anchor failed, empty when it didn't.
	AnchorFault string `json:"anchor_fault,omitempty"`
	// Fault is why the bureau can't go on, empty when it can.
	Fault string `json:"fault,omitempty"`
}

// Status reports the bureau's state; after Close it says that alone.
func (n *Node) Status() Status {
	if err := n.enter(); err != nil {
		return Status{Election: n.prepared.Manifest.Election, Commune: n.cfg.Commune, Bureau: n.cfg.Bureau, Link: pollbook.Alone.String(), Fault: err.Error()}
	}
	defer n.acts.RUnlock()
	b, h := n.book.Status(), n.store.Head()
	s := Status{
		Election: n.prepared.Manifest.Election, Commune: n.cfg.Commune, Bureau: n.cfg.Bureau, Open: b.Open, Link: b.Link.String(), Backlog: b.Backlog,
		LedgerSize: h.Size, LedgerHead: h.Last.String(), Admitted: b.Tally.Admitted, Away: b.Tally.Away, Refused: b.Tally.Refused,
		Voided: b.Tally.Voided, Annulled: b.Tally.Annulled, Alarms: b.Tally.Alarms, Electors: n.register.Len(),
		LeaderChanges: n.group.Status().LeaderChanges, Media: n.mediaStates(), Fault: n.fault(),
	}
	if id, ok := n.group.Leader(); ok {
		s.Leader = n.peers.bureau[id]
	}
	s.Connected = n.connected()
	if h := n.heads.Load(); h != nil {
		a := h.Alarms()
		s.Ahead, s.Forks, s.Equivocations = h.Ahead(), a.Forks, a.Equivocations
		s.RolledBack, s.LeftOut, s.LedgerDiffers = a.RolledBack, a.LeftOut, a.Differs
	}
	if n.anchorer != nil {
		_, s.AnchoredSize = n.anchors.newest()
		a := n.anchorer.Status()
		s.AnchorAgeSeconds = a.Age(time.Now()).Seconds()
		if a.Err != nil {
			s.AnchorFault = inLine(a.Err).Error()
		}
	}
	return s
}

func (n *Node) mediaStates() []string {
	var out []string
	for _, m := range n.journal.Status() {
		switch {
		case !m.Attached:
			out = append(out, "absent")
		case m.Fault != nil:
			out = append(out, "failed: "+inLine(m.Fault).Error())
		default:
			out = append(out, "good")
		}
	}
	return out
}

// fault says why the bureau can't go on.
func (n *Node) fault() string {
	for _, failed := range []func() error{n.journal.Err, n.store.Err} {
		if err := failed(); err != nil {
			return inLine(err).Error()
		}
	}
	return n.group.Status().Fault
}

// watch logs the faults that end the bureau's work; the process stays up so that the
// president can read why.
func (n *Node) watch(ctx context.Context) {
	journal, store := n.journal.Failed(), n.store.Failed()
	for journal != nil || store != nil {
		select {
		case <-ctx.Done():
			return
		case <-journal:
			n.log.Error("the journal has stopped: fewer than two media", "err", n.journal.Err())
			journal = nil
		case <-store:
			n.log.Error("the ledger's store has stopped", "err", n.store.Err())
			store = nil
		}
	}
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) {
	s := a.node.Status()
	if s.Fault != "" {
		writeJSON(w, http.StatusServiceUnavailable, problem{s.Fault})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "link": s.Link})
}

func (a *api) status(*http.Request) (any, error) { return a.node.Status(), nil }

// collector gives the status to Prometheus; nothing in it is about a person.
type collector struct{ n *Node }

func gauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("pointage_"+name, help, nil, nil)
}

var (
	descOpen      = gauge("open", "1 while the bureau is open to electors.")
	descAlone     = gauge("alone", "1 while the group does not answer.")
	descBacklog   = gauge("backlog_batches", "Batches of this bureau that the group does not have.")
	descConnected = gauge("connected_bureaux", "Bureaux to which a connection stands.")
	descLedger    = gauge("ledger_entries", "Entries of the commune's ledger here.")
	descAdmitted  = gauge("admissions", "Live admissions of this bureau.")
	descAway      = gauge("away_admissions", "Those of electors at home elsewhere.")
	descRefused   = gauge("refused_attempts", "Attempts refused since the start.")
	descVoided    = gauge("voided_admissions", "Admissions taken back before the light since the start.")
	descAlarms    = gauge("alarms", "Conflicts reported after the light since the start.")
	descLeads     = gauge("leads", "1 while this machine leads the group.")
	descChanges   = gauge("leader_changes", "Changes of leader seen since the start.")
	descAnchored  = gauge("anchored_entries", "Size of the last anchored checkpoint.")
	descAge       = gauge("anchor_age_seconds", "Age of the last anchor.")
	descAhead     = gauge("ahead_batches", "Batches of other bureaux that are known and have no place yet.")
	descProofs    = gauge("proofs", "Contradictions of signed records found since the start.")
	descDoubt     = gauge("in_doubt", "1 when peers hold records that this machine lacks, leave it out, or have another ledger.")
	descFault     = gauge("fault", "1 when the bureau can't go on.")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.n.Status()
	put := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	flag := func(d *prometheus.Desc, v bool) {
		if v {
			put(d, 1)
			return
		}
		put(d, 0)
	}
	flag(descOpen, s.Open)
	flag(descAlone, s.Link == "alone")
	flag(descLeads, s.Leader == s.Bureau)
	flag(descFault, s.Fault != "")
	flag(descDoubt, s.RolledBack || s.LeftOut || s.LedgerDiffers)
	put(descAhead, float64(s.Ahead))
	put(descProofs, float64(s.Forks+s.Equivocations))
	put(descBacklog, float64(s.Backlog))
	put(descConnected, float64(len(s.Connected)))
	put(descLedger, float64(s.LedgerSize))
	put(descAdmitted, float64(s.Admitted))
	put(descAway, float64(s.Away))
	put(descRefused, float64(s.Refused))
	put(descVoided, float64(s.Voided))
	put(descAlarms, float64(s.Alarms))
	put(descChanges, float64(s.LeaderChanges))
	put(descAnchored, float64(s.AnchoredSize))
	put(descAge, s.AnchorAgeSeconds)
}
