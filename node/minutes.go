package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"pointage/ledger"
	"pointage/ledger/minutes"
	"pointage/node/pollbook"
	"pointage/node/register"
)

var (
	// ErrNotClosed: minutes are recorded once, and what happens afterwards is not in them.
	ErrNotClosed = errors.New("the bureau is open, or never was: its minutes are recorded once it is closed")
	// ErrOfOthers: a bureau draws its own minutes.
	ErrOfOthers = errors.New("only the principal bureau and its deputy draw the minutes of other bureaux, of the commune, and the members' list: ask there")
	// ErrNoAddresses: the list of absent electors has addresses, which only the principal bureau can open.
	ErrNoAddresses = errors.New("only the principal bureau draws the list of absent electors: it alone can open the addresses")
)

// Minutes are a bureau's, 0 for the commune's, with the members' names: as they were recorded, or, while they were not,
// as of now. Its own a bureau draws with no connection too, from its own chain.
func (n *Node) Minutes(ctx context.Context, of ledger.BureauNumber, lang minutes.Language) (*minutes.Document, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	s, err := n.sources(ctx, of)
	if err != nil {
		return nil, err
	}
	c, err := s.asRecorded(ctx)
	if err != nil {
		return nil, err
	}
	m, err := c.Minutes(of, n.names())
	if err != nil {
		return nil, err
	}
	return minutes.Compose(m, lang), nil
}

// RecordMinutes draws minutes in both languages and states their SHA-256 in this bureau's chain, so that they can be
// drawn up again and compared. A closed bureau's own are recorded once: a second time gives what was stated then. Those of
// the commune, or of another bureau, are stated anew whenever the principal bureau says so.
func (n *Node) RecordMinutes(ctx context.Context, of ledger.BureauNumber) (*ledger.Minutes, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	n.minuting.Lock()
	defer n.minuting.Unlock()
	return n.recordMinutes(ctx, of)
}

// recordMinutes is RecordMinutes; n.minuting is held.
func (n *Node) recordMinutes(ctx context.Context, of ledger.BureauNumber) (*ledger.Minutes, error) {
	if err := n.journal.Err(); err != nil {
		return nil, err
	}
	if of == n.cfg.Bureau {
		n.level(ctx)
	}
	s, err := n.sources(ctx, of)
	if err != nil {
		return nil, err
	}
	if of == n.cfg.Bureau {
		switch was, closed := s.ownRecord(); {
		case was != nil:
			return was, nil
		case !closed:
			return nil, ErrNotClosed
		}
	}
	m, err := s.latest.Minutes(of, n.names())
	if err != nil {
		return nil, err
	}
	body := &ledger.Minutes{Bureau: of, Named: m.Named, UpTo: s.latest.UpTo(), Own: s.next()}
	for lang, sum := range map[minutes.Language]*ledger.Hash{minutes.French: &body.French, minutes.Dutch: &body.Dutch} {
		pdf, err := minutes.Compose(m, lang).PDF()
		if err != nil {
			return nil, err
		}
		*sum = sha256.Sum256(pdf)
	}
	return body, n.book.Record(ctx, body)
}

// levelWait is how long a bureau that is linked waits for a place for its last statements: else the closing, a moment
// ago, would stand in every minutes as without one.
const levelWait = 3 * time.Second

// level waits until the commune's ledger has all that this bureau stated. One that is cut off does not wait.
func (n *Node) level(ctx context.Context) {
	limit, tick := time.NewTimer(levelWait), time.NewTicker(20*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for {
		if s := n.book.Status(); s.Link != pollbook.Linked || s.Backlog == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// sources is what minutes are drawn from.
type sources struct {
	n  *Node
	of ledger.BureauNumber
	// latest has read the whole ledger and, for the bureau's own minutes, what of its chain has no place there.
	latest *minutes.Collector
	// own is the bureau's chain.
	own []*ledger.Batch
}

func (n *Node) sources(ctx context.Context, of ledger.BureauNumber) (*sources, error) {
	if of != n.cfg.Bureau && !n.leads() {
		return nil, ErrOfOthers
	}
	s := &sources{n: n, of: of}
	c, err := minutes.NewCollector(n.prepared.Manifest, n.prepared.Group)
	if err != nil {
		return nil, err
	}
	if err := c.Read(ctx, n.store.Next, 0); err != nil {
		return nil, err
	}
	s.latest = c
	if of != n.cfg.Bureau {
		return s, nil
	}
	if s.own, err = n.ownChain(); err != nil {
		return nil, err
	}
	s.latest = c.Fork()
	s.addOwn(s.latest, nil)
	return s, nil
}

// ownChain lists this machine's durable batches, oldest first.
func (n *Node) ownChain() (out []*ledger.Batch, err error) {
	for cursor := n.journal.Start(); ; {
		own, err := n.journal.From(cursor, readAtATime)
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		out = append(out, own...)
		if len(own) < readAtATime {
			return out, nil
		}
		cursor += readAtATime
	}
}

// addOwn gives a collector the own statements that have no place among its entries, up to those that a record of
// minutes tells of; nil for all.
func (s *sources) addOwn(c *minutes.Collector, as *minutes.Drawn) {
	upTo := c.UpTo()
	for _, b := range s.own {
		count := len(b.Statements)
		if as != nil && b.Header.Author.Session == as.By.Session {
			if b.Header.First >= as.Own {
				return
			}
			count = int(min(uint64(count), as.Own-b.Header.First))
		}
		a, _ := s.n.store.Answer(b)
		if (a.Status == ledger.Placed || a.Status == ledger.Contradicted) && a.Position < upTo {
			continue
		}
		c.Own(b, count)
	}
}

// next is the sequence number behind the chain's last statement, if that is of the present session.
func (s *sources) next() uint64 {
	if len(s.own) == 0 {
		return 0
	}
	if h := s.own[len(s.own)-1].Header; h.Author == s.n.journal.Author() {
		return h.Next()
	}
	return 0
}

// ownRecord is the statement of the bureau's own minutes behind its last closing, and whether it is closed.
func (s *sources) ownRecord() (was *ledger.Minutes, closed bool) {
	for _, b := range s.own {
		for _, x := range b.Statements {
			switch body := x.Body.(type) {
			case *ledger.BureauOpened:
				was, closed = nil, false
			case *ledger.BureauClosed:
				was, closed = nil, true
			case *ledger.Minutes:
				if body.Bureau == s.of {
					was = body
				}
			}
		}
	}
	return was, closed
}

// asRecorded is what the minutes were drawn from that were recorded last, or what there is now.
func (s *sources) asRecorded(ctx context.Context) (*minutes.Collector, error) {
	var as *minutes.Drawn
	for _, d := range s.latest.Drawn() {
		if d.Bureau == s.of {
			as = &d
		}
	}
	if s.of == s.n.cfg.Bureau {
		if was, _ := s.ownRecord(); was == nil {
			as = nil // the bureau has opened again
		}
	}
	if as == nil {
		return s.latest, nil
	}
	c, err := minutes.NewCollector(s.n.prepared.Manifest, s.n.prepared.Group)
	if err != nil {
		return nil, err
	}
	if err := c.Read(ctx, s.n.store.Next, as.UpTo); err != nil {
		return nil, err
	}
	switch {
	case c.UpTo() != as.UpTo:
		return s.latest, nil // an epoch has lost what they were drawn from
	case as.By.Bureau == s.n.cfg.Bureau && s.of == s.n.cfg.Bureau:
		f := c.Fork()
		s.addOwn(f, as)
		return f, nil
	}
	return c.Recorded(ctx, s.n.store.Next, as)
}

// names is what the opened register and list of members tell.
func (n *Node) names() *minutes.Names {
	out := &minutes.Names{Open: n.register.OpenText, Name: func(who ledger.NationalNumber) string {
		i, ok := n.register.FindNationalNumber(who)
		if !ok {
			return ""
		}
		e := n.register.At(i)
		return strings.TrimSpace(e.Surname + " " + e.FirstNames)
	}}
	for _, m := range n.members {
		out.Convened = append(out.Convened, minutes.Convened{Number: m.Number, Bureau: m.Bureau, Function: uint8(m.Function), NationalNumber: m.NationalNumber})
	}
	return out
}

// AbsentMembers is the list of members who did not turn up, for the justice of the peace (decree art. 11 § 4).
func (n *Node) AbsentMembers(ctx context.Context, lang minutes.Language) (*minutes.Document, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	s, err := n.sources(ctx, 0)
	if err != nil {
		return nil, err
	}
	m, err := s.latest.Minutes(0, n.names())
	if err != nil {
		return nil, err
	}
	return minutes.AbsentMembers(m, lang), nil
}

// AbsentElectors is the list of those who did not vote, with their addresses (decree art. 11 § 2).
func (n *Node) AbsentElectors(ctx context.Context, lang minutes.Language) (*minutes.Document, error) {
	if n.cfg.Bureau != n.prepared.Commune.Principal {
		return nil, ErrNoAddresses
	}
	if err := n.enter(); err != nil {
		return nil, err
	}
	defer n.acts.RUnlock()
	addresses, err := n.prepared.openAddresses(n.cfg.Election, n.keys.Identity)
	if err != nil {
		return nil, err
	}
	defer addresses.Close()
	s, err := n.sources(ctx, 0)
	if err != nil {
		return nil, err
	}
	return s.latest.AbsentElectors(lang, func(e ledger.ElectorToken) (minutes.Person, bool) {
		i, ok := n.register.FindToken(e)
		if !ok {
			return minutes.Person{}, false
		}
		p := personOf(n.register.At(i))
		if a, ok := addresses.Find(n.register.At(i).NationalNumber); ok {
			p.Address = addressLine(a)
		}
		return p, true
	}), nil
}

func personOf(e register.Elector) minutes.Person {
	return minutes.Person{
		Surname: e.Surname, FirstNames: e.FirstNames, NationalNumber: e.NationalNumber.Printed(), ConvocationNumber: e.ConvocationNumber.Printed(),
	}
}

// addressLine is "Rue de la Limite 12 b. 3, 1210 Saint-Josse-ten-Noode".
func addressLine(a register.Address) string {
	line := strings.TrimSpace(a.Street + " " + a.Number)
	if a.Box != "" {
		line += " / " + a.Box
	}
	return strings.Trim(line+", "+strings.TrimSpace(a.Postcode+" "+a.Municipality), ", ")
}

// openAddresses opens the commune's addresses, of which the manifest has the SHA-256.
func (p *Prepared) openAddresses(dir, identity string) (*register.Addresses, error) {
	name := filepath.Join(dir, fmt.Sprint(p.Commune.INS), "addresses")
	sealed, err := readFile(name, maxSealed)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(sealed) != p.Commune.Addresses {
		return nil, fmt.Errorf("%s are not the addresses that the manifest names for commune %d: take them from the bureau's key again", name, p.Commune.INS)
	}
	id, err := age.ParseHybridIdentity(identity)
	if err != nil {
		return nil, fmt.Errorf("read the bureau's identity: %w", err)
	}
	return register.OpenAddresses(bytes.NewReader(sealed), id, p.binding)
}
