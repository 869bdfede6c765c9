package node

import (
	"context"
	"slices"
	"time"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/node/web"
)

const (
	// maxContested is how many contested marks are listed, the newest.
	maxContested = 200
	// maxLooked is how far the register is searched for an elector to try things with.
	maxLooked = 4096
)

// Contested implements web.Bureau. An incident that can't be opened, or that names another bureau than the one that signed
// it, is nobody's word; the report has it.
func (s *screens) Contested(ctx context.Context) ([]web.Contested, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.acts.RUnlock()
	book, err := s.today(ctx)
	if err != nil {
		return nil, err
	}
	var out []web.Contested
	incidents := book.Incidents()
	for _, x := range slices.Backward(incidents) {
		if x.Code != plaintext.IncidentContested || len(out) == maxContested {
			continue
		}
		plain, err := s.register.OpenText(x.Text)
		if err != nil {
			continue
		}
		r, err := plaintext.DecodeRemark(plain)
		if err != nil || r.Bureau != x.From {
			continue
		}
		e := s.electorOf(r.Elector)
		if here := s.cfg.Bureau; x.From != here && r.At != here && e.Home != here && !s.leads() {
			continue
		}
		c := web.Contested{
			Elector: e, From: x.From, At: r.At, When: time.UnixMilli(int64(x.Time)), Attester: r.Attester, Text: r.Text, Record: x.Record,
		}
		if c.Row, err = s.standing(r.Elector); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// standing is this bureau's own check-in of an elector that was not taken back, nil for none.
func (n *Node) standing(e ledger.ElectorToken) (*web.Row, error) {
	r := &n.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := n.readLocked(r); err != nil {
		return nil, err
	}
	for _, own := range slices.Backward(r.list) {
		if own.elector == e && !own.Undone {
			out := own.Row
			return &out, nil
		}
	}
	return nil, nil
}

// Examples implements web.Bureau.
func (s *screens) Examples(own bool, most int) (out []ledger.ConvocationNumber) {
	if s.enter() != nil {
		return nil // it is stopping
	}
	defer s.acts.RUnlock()
	for i := range min(s.register.Len(), maxLooked) {
		e := s.register.At(i)
		if (e.Bureau == s.cfg.Bureau) != own || s.marked(s.register.Token(i)) {
			continue
		}
		if out = append(out, e.ConvocationNumber); len(out) == most {
			break
		}
	}
	return out
}

// marked says that an elector is checked in, or carries a proxy, as far as it is known here.
func (s *screens) marked(e ledger.ElectorToken) bool {
	for _, kind := range []ledger.RightKind{ledger.Admit, ledger.Carry} {
		if len((known{s.Node}).Admissions(ledger.Right{Elector: e, Kind: kind})) > 0 {
			return true
		}
	}
	own, err := s.standing(e)
	return err != nil || own != nil
}
