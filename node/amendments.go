package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pointage/ledger"
)

// Amendment is a change of the manifest during the day, as a person names it.
type Amendment struct {
	// Act is relabel, retire or enrol.
	Act         string              `json:"act"`
	Bureau      ledger.BureauNumber `json:"bureau"`
	Incarnation ledger.Incarnation  `json:"incarnation"`
	// Place is where the bureau sits from now on, for relabel.
	Place string `json:"place,omitempty"`
	// Signers are two persons of the manifest, one at least of the principal bureau or its deputy.
	Signers []Signing `json:"signers"`
}

// Amended is the answer: the amendment's number, and whether the group has it.
type Amended struct {
	Number    uint16 `json:"number"`
	Effective bool   `json:"effective"`
}

var amendmentActs = map[string]ledger.Act{"relabel": ledger.Relabel, "retire": ledger.Retire, "enrol": ledger.Enrol}

// amendWait is how long an amendment waits for its place in the ledger before it is called recorded only.
const amendWait = 5 * time.Second

// amendTries is how often one is made again because its number was taken.
const amendTries = 5

// Amend records a change of the manifest: a bureau's place, or a machine that is let in or out. It
// moves no right, and has effect when the group has it. Another that took its number meanwhile
// leaves it without effect: it is made again then.
func (n *Node) Amend(ctx context.Context, in Amendment) (*Amended, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	a := ledger.Amendment{Act: amendmentActs[in.Act], Bureau: in.Bureau, Incarnation: in.Incarnation, Place: []byte(in.Place)}
	switch {
	case a.Act == 0:
		return nil, InputError{fmt.Errorf("no amendment is called %q: relabel, retire or enrol", in.Act)}
	case n.prepared.Group.Key(in.Bureau, in.Incarnation) == nil:
		return nil, InputError{fmt.Errorf("the manifest has no machine %d of bureau %d", in.Incarnation, in.Bureau)}
	case (a.Act == ledger.Relabel) != (in.Place != "") || len(in.Place) > ledger.MaxPlace:
		return nil, InputError{fmt.Errorf("a place of 1 to %d bytes goes with relabel, and with nothing else", ledger.MaxPlace)}
	case !utf8.ValidString(in.Place) || strings.ContainsFunc(in.Place, func(r rune) bool { return !unicode.IsPrint(r) }):
		return nil, InputError{errors.New("a place is one line of text that can be printed: it is shown to everybody as it is")}
	}
	by, err := n.signatories(in.Signers)
	if err != nil {
		return nil, err
	}
	n.amending.Lock()
	defer n.amending.Unlock()
	var out *Amended
	for range amendTries {
		if out, err = n.amend(ctx, a, &by); err != nil || out != nil {
			return out, err
		}
	}
	return nil, errors.New("other amendments came first each time: try again")
}

// amend is one try; nil when its number was taken.
func (n *Node) amend(ctx context.Context, what ledger.Amendment, by *signatories) (*Amended, error) {
	a, g := &what, n.prepared.Group
	if err := n.store.Look(func(v ledger.View) { a.Number = ledger.LastAmendment(v) + 1 }); err != nil {
		return nil, err
	}
	a.Signers, a.Signatures = by.sign(a.SignedBytes(g.Manifest, g.Commune))
	if !g.Signed(a) {
		return nil, InputError{errors.New("these two can't sign here: two persons of this commune, one at least of the principal bureau or its deputy")}
	}
	if err := n.book.Record(ctx, a); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, amendWait)
	defer cancel()
	for {
		size := n.store.Size()
		var taken, effective bool
		if err := n.store.Look(func(v ledger.View) { taken, effective = ledger.LastAmendment(v) >= a.Number, stands(v, a) }); err != nil {
			return nil, err
		}
		switch {
		case taken && !effective:
			return nil, nil
		case taken || n.store.Wait(ctx, size+1) != nil:
			return &Amended{Number: a.Number, Effective: effective}, nil
		}
	}
}

// stands says whether the ledger shows what an amendment is to bring about.
func stands(v ledger.View, a *ledger.Amendment) (yes bool) {
	switch a.Act {
	case ledger.Relabel:
		var place string
		place, yes = ledger.Relabelled(v, a.Bureau)
		return yes && place == string(a.Place)
	case ledger.Retire:
		_, yes = ledger.Retired(v, a.Bureau, a.Incarnation)
	case ledger.Enrol:
		_, yes = ledger.Enrolled(v, a.Bureau, a.Incarnation)
	}
	return yes
}

// enforce cuts off the machines that amendments retired; since is the last amendment that it
// looked at, and its result the last there is.
func (n *Node) enforce(since uint16) (last uint16) {
	var out []ledger.Member
	err := n.store.Look(func(v ledger.View) {
		if last = ledger.LastAmendment(v); last == since {
			return
		}
		for b := range n.peers.machines {
			for i := range n.peers.machines[b] {
				if _, retired := ledger.Retired(v, b, ledger.Incarnation(i)); retired {
					out = append(out, ledger.Member{Bureau: b, Incarnation: ledger.Incarnation(i)})
				}
			}
		}
	})
	if err != nil {
		return since
	}
	for _, m := range out {
		if m == (ledger.Member{Bureau: n.cfg.Bureau, Incarnation: n.keys.Incarnation}) {
			n.log.Error("this machine's key is retired: the others refuse it", "amendment", last)
			continue
		}
		n.host.Retire(n.peers.machines[m.Bureau][m.Incarnation])
	}
	return last
}

// retired says whether an amendment has retired a machine's key.
func (n *Node) retired(m ledger.Member) (yes bool) {
	if n.store.Look(func(v ledger.View) { _, yes = ledger.Retired(v, m.Bureau, m.Incarnation) }) != nil {
		return false
	}
	return yes
}

// place is where the bureau sits: the manifest's, or an amendment's.
func (n *Node) place() string { return n.placeOf(n.cfg.Bureau) }

// placeOf is place for any bureau of the commune.
func (n *Node) placeOf(b ledger.BureauNumber) string {
	place := n.prepared.Commune.Bureau(b).Place
	// A ledger that has stopped is told elsewhere.
	_ = n.store.Look(func(v ledger.View) {
		if p, ok := ledger.Relabelled(v, b); ok {
			place = p
		}
	})
	return place
}
