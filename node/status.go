package node

import (
	"context"
	"net/http"
	"time"

	"pointage/ledger"
	"pointage/node/pollbook"
)

// Status is a bureau's state, as `pointage status` prints it.
type Status struct {
	Election string              `json:"election"`
	Commune  ledger.Commune      `json:"commune"`
	Bureau   ledger.BureauNumber `json:"bureau"`
	// Place is where the bureau sits, by the manifest or its last amendment.
	Place string `json:"place"`
	// Retired: an amendment has retired this machine's key, and the others refuse it.
	Retired bool `json:"retired"`
	Open    bool `json:"open"`
	// Link is linked, alone or catching up.
	Link string `json:"link"`
	// Backlog is how many of this bureau's batches the group does not have.
	Backlog int `json:"backlog"`
	// Leader is the leading bureau, 0 when none is known.
	Leader        ledger.BureauNumber   `json:"leader"`
	LeaderChanges uint64                `json:"leader_changes"`
	Connected     []ledger.BureauNumber `json:"connected"`
	// Epoch counts the recoveries of a group that had lost its majority for good.
	Epoch      uint8  `json:"epoch"`
	LedgerSize uint64 `json:"ledger_size"`
	LedgerHead string `json:"ledger_head"`
	Admitted   int    `json:"admitted"`
	Away       int    `json:"away"`
	Refused    int    `json:"refused"`
	Voided     int    `json:"voided"`
	Annulled   int    `json:"annulled"`
	Alarms     int    `json:"alarms"`
	Electors   int    `json:"electors"`
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
	// PlatformSize is how many entries the regional platform has, where this bureau brings them;
	// PlatformFault is why the last attempt failed.
	PlatformSize  uint64 `json:"platform_size"`
	PlatformFault string `json:"platform_fault,omitempty"`
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
		Election: n.prepared.Manifest.Election, Commune: n.cfg.Commune, Bureau: n.cfg.Bureau, Place: n.place(), Open: b.Open, Link: b.Link.String(), Backlog: b.Backlog,
		Epoch: h.Epoch, LedgerSize: h.Size, LedgerHead: h.Last.String(), Admitted: b.Tally.Admitted, Away: b.Tally.Away, Refused: b.Tally.Refused,
		Voided: b.Tally.Voided, Annulled: b.Tally.Annulled, Alarms: b.Tally.Alarms, Electors: n.register.Len(),
		LeaderChanges: n.group.Load().Status().LeaderChanges, Media: n.mediaStates(), Fault: n.fault(),
	}
	s.Retired = n.retired(ledger.Member{Bureau: n.cfg.Bureau, Incarnation: n.keys.Incarnation})
	if id, ok := n.group.Load().Leader(); ok {
		s.Leader = n.peers.bureau[id]
	}
	s.Connected = n.connected()
	if h := n.heads.Load(); h != nil {
		a := h.Alarms()
		s.Ahead, s.Forks, s.Equivocations = h.Ahead(), a.Forks, a.Equivocations
		s.RolledBack, s.LeftOut, s.LedgerDiffers = a.RolledBack, a.LeftOut, a.Differs
	}
	if n.uploads != nil {
		s.PlatformSize, s.PlatformFault = n.uploads.status()
	}
	if x := n.anchoring.Load(); x != nil {
		_, s.AnchoredSize = x.kept.newest()
		a := x.Status()
		s.AnchorAgeSeconds = a.Age(time.Now()).Seconds()
		if a.Err != nil {
			s.AnchorFault = inLine(a.Err).Error()
		}
	}
	return s
}

// goodMedium is the state of a medium that takes what is written.
const goodMedium = "good"

func (n *Node) mediaStates() []string {
	var out []string
	for _, m := range n.journal.Status() {
		switch {
		case !m.Attached:
			out = append(out, "absent")
		case m.Fault != nil:
			out = append(out, "failed: "+inLine(m.Fault).Error())
		default:
			out = append(out, goodMedium)
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
	return n.group.Load().Status().Fault
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
