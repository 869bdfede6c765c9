package node

import (
	"context"
	"crypto/sha256"
	"net/http"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/daybook"
	"pointage/node/register"
)

// Dashboard is what the principal bureau and its deputy watch; elsewhere it is refused.
func (n *Node) Dashboard(ctx context.Context) (daybook.Dashboard, daybook.Refusal, error) {
	if !n.leads() {
		return daybook.Dashboard{}, daybook.PrincipalOnly, nil
	}
	s := n.Status()
	if err := n.enter(); err != nil {
		return daybook.Dashboard{}, 0, err
	}
	defer n.acts.RUnlock()
	book, err := n.today(ctx)
	if err != nil {
		return daybook.Dashboard{}, 0, err
	}
	out := daybook.Dashboard{
		LedgerSize: s.LedgerSize, AnchoredSize: s.AnchoredSize, AnchorAgeSeconds: s.AnchorAgeSeconds, AnchorFault: s.AnchorFault,
		PlatformSize: s.PlatformSize, PlatformFault: s.PlatformFault, Forks: s.Forks, Equivocations: s.Equivocations, Alarms: s.Alarms,
		RolledBack: s.RolledBack, LeftOut: s.LeftOut, LedgerDiffers: s.LedgerDiffers, Bureaux: n.loads(book, n.now()), Keys: n.custodyOf(book),
	}
	out.Cosigners, out.Certificate = n.cosigned()
	for _, b := range out.Bureaux {
		out.CheckIns, out.Proxies = out.CheckIns+b.CheckIns, out.Proxies+b.Proxies
	}
	for _, x := range book.Incidents() {
		switch x.Code {
		case plaintext.IncidentProxyRefused:
			out.RefusedProxies++
		case plaintext.IncidentReplacement:
			out.Replacements++
		}
	}
	return out, daybook.Recorded, nil
}

// cosigned is how many bureaux stand under the newest anchor, and whether a majority of those that vote does.
func (n *Node) cosigned() (bureaux int, certificate bool) {
	x := n.anchoring.Load()
	if x == nil {
		return 0, false
	}
	note, _ := x.kept.newest()
	g := n.prepared.Group
	_, sigs, err := ledger.OpenCheckpoint(note, ledger.LogKey(g.Origin(x.kept.epoch), g.LogKey), g.Cosigners())
	if err != nil {
		return 0, false
	}
	byName := map[string]bool{}
	for _, s := range sigs {
		byName[s.Name] = true
	}
	voting := 0
	for b := range g.Bureaux {
		if byName[g.CosignerName(b)] {
			bureaux++
		}
	}
	for _, b := range g.Voting {
		if byName[g.CosignerName(b)] {
			voting++
		}
	}
	return bureaux, voting > len(g.Voting)/2
}

// keyObject is what a statement of custody names a bureau's key by: the hash of its number.
func keyObject(ins ledger.Commune, b ledger.BureauNumber, which int) ledger.Hash {
	return sha256.Sum256([]byte(register.StickNumber(ins, b, which)))
}

// custodyOf lists the commune's keys and where each was last handed to.
func (n *Node) custodyOf(book *daybook.Book) (out []daybook.Key) {
	at := map[ledger.Hash]daybook.Handover{}
	for _, h := range book.Custody() {
		if h.Time >= at[h.Object].Time {
			at[h.Object] = h
		}
	}
	for _, b := range n.prepared.Commune.Bureaux {
		for which := 1; which <= register.Sticks; which++ {
			k := daybook.Key{Bureau: b.Number, Key: which}
			if h, ok := at[keyObject(n.cfg.Commune, b.Number, which)]; ok {
				k.Step, k.At, k.By, k.To = daybook.CustodyStep(h.Step), h.Time, h.From, h.To
			}
			out = append(out, k)
		}
	}
	return out
}

// RecordCustody states a hand-over of a key. Another bureau's keys are the principal bureau's to receive.
func (n *Node) RecordCustody(ctx context.Context, x daybook.Handing) (daybook.Refusal, error) {
	return n.state(ctx, func(*daybook.Book) (ledger.Body, daybook.Refusal, error) {
		switch {
		case n.prepared.Commune.Bureau(x.Bureau) == nil:
			return nil, daybook.NoSuchBureau, nil
		case x.Key < 1 || x.Key > register.Sticks || x.Step < daybook.AtBureau || x.Step > daybook.AtCollege:
			return nil, daybook.KeyUnknown, nil
		case (x.Bureau != n.cfg.Bureau || x.Step != daybook.AtBureau) && !n.leads():
			return nil, daybook.PrincipalOnly, nil
		}
		return &ledger.Custody{Object: keyObject(n.cfg.Commune, x.Bureau, x.Key), From: x.By, To: x.To, Step: uint8(x.Step)}, daybook.Recorded, nil
	})
}

func (a *api) dashboard(r *http.Request) (any, error) {
	d, why, err := a.node.Dashboard(r.Context())
	if err == nil && why != daybook.Recorded {
		return nil, badRequest(why.String())
	}
	return d, err
}

func (a *api) recordCustody(r *http.Request) (any, error) {
	var in daybook.Handing
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return actAnswerOf(a.node.RecordCustody(r.Context(), in))
}
