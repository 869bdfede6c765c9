package minutes

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"pointage/ledger"
	"pointage/ledger/election"
)

// Collector reads a ledger's entries in their order, and has the minutes as of any of them. It keeps what
// stands and what is listed, not the entries. One goroutine uses it at a time.
type Collector struct {
	frame Frame
	group *ledger.Group
	// stations are the bureaux in the manifest's order; place is where each one stands there.
	stations []station
	place    map[ledger.BureauNumber]int
	standing *standing
	tree     tree
	epoch    uint8
	earlier  []Epoch
	anchors  int
	newest   *Anchor
	pending  int
	// keys are the bureaux' two keys by what statements of custody name them by.
	keys map[ledger.Hash]key
}

type key struct {
	bureau ledger.BureauNumber
	which  int
}

// station is what one bureau has done so far.
type station struct {
	Bureau
	lists Lists
	// attended has one row for each member of whom something was recorded, at most maxAttended.
	attended []attended
}

type attended struct {
	member   uint16
	presence ledger.Presence
}

// maxAttended is how many members' presence one bureau's minutes show.
const maxAttended = 256

// NewCollector begins before the first entry. The group must be made from the manifest.
func NewCollector(m *election.Manifest, g *ledger.Group) (*Collector, error) {
	commune, err := m.Commune(g.Commune)
	if err != nil {
		return nil, fmt.Errorf("begin minutes: %w", err)
	}
	frame, err := FrameOf(m, g.Commune)
	if err != nil {
		return nil, fmt.Errorf("begin minutes: %w", err)
	}
	c := &Collector{frame: frame, group: g, place: map[ledger.BureauNumber]int{}, standing: newStanding(), keys: map[ledger.Hash]key{}}
	for i, b := range commune.Bureaux {
		c.place[b.Number] = i
		c.stations = append(c.stations, station{Bureau: Bureau{Number: b.Number, Place: b.Place}})
		for which := 1; which <= 2; which++ {
			c.keys[sha256.Sum256(fmt.Appendf(nil, "%d-%03d-%d", commune.INS, b.Number, which))] = key{b.Number, which}
		}
	}
	for i := range g.Roll.Len() {
		c.at(g.Roll.At(i).Home).Registered++
	}
	return c, nil
}

// at is the bureau's station; the group has every author and every home.
func (c *Collector) at(n ledger.BureauNumber) *station {
	i, ok := c.place[n]
	if !ok {
		panic(fmt.Sprintf("bureau %d of no manifest in minutes of commune %d", n, c.group.Commune))
	}
	return &c.stations[i]
}

// UpTo refers to the entries so far: the epoch and how many of it.
func (c *Collector) UpTo() uint64 { return ledger.Reference(c.epoch, c.tree.size) }

// Entry reads the next entry that holds; b is its batch, nil for a genesis. It has the form of ledger.Options.Entry.
func (c *Collector) Entry(ref uint64, e *ledger.Entry, b *ledger.Batch) {
	raw, err := e.Encode()
	if err != nil {
		panic(fmt.Sprintf("%s can't be encoded again: %v", ledger.EntryName(ref), err))
	}
	if e.Kind == ledger.GenesisEntry {
		if c.tree.size > 0 {
			c.earlier = append(c.earlier, Epoch{c.group.Origin(c.epoch), c.tree.size, c.tree.root(), c.tree.last})
			c.tree = tree{}
		}
		c.epoch = e.Genesis.Epoch
	}
	c.tree.add(ledger.LeafHash(raw))
	if b == nil {
		return
	}
	author := b.Header.Author
	if e.Kind == ledger.EvidenceEntry {
		c.at(author.Bureau).lists.Evidence.add(Evidence{Bureau: author.Bureau, Entry: ref, Offence: e.Offence, Against: e.Against})
	}
	for i, s := range b.Statements {
		x := said{author: author, id: ledger.StatementID{Session: author.Session, Sequence: b.Header.First + uint64(i)}, time: s.Time, at: ref}
		if e.Kind == ledger.EvidenceEntry {
			x.evidence = true
			c.rights(x, s.Body)
			continue
		}
		x.verdict = e.Verdicts[i]
		c.statement(x, s.Body)
	}
}

// Own reads a batch of a bureau that has no place in the ledger yet. It counts, and the minutes say how many
// such statements there were. No entry can be read after it: it is for a Fork.
func (c *Collector) Own(b *ledger.Batch, statements int) {
	for i, s := range b.Statements[:statements] {
		author := b.Header.Author
		c.pending++
		c.statement(said{author: author, id: ledger.StatementID{Session: author.Session, Sequence: b.Header.First + uint64(i)}, time: s.Time}, s.Body)
	}
}

// Fork is a collector that goes on by itself from here; this one must not go on while it is used.
func (c *Collector) Fork() *Collector {
	n := *c
	n.stations = slices.Clone(c.stations)
	for i := range n.stations {
		n.stations[i].attended, n.stations[i].lists = slices.Clone(n.stations[i].attended), n.stations[i].lists.clip()
	}
	n.standing, n.earlier, n.tree.edge = c.standing.fork(), slices.Clip(c.earlier), slices.Clone(c.tree.edge)
	return &n
}

// clip lets a fork add rows without writing over those of what it was made from.
func (l Lists) clip() Lists {
	l.Annulments.Rows, l.Provisional.Rows, l.Counts.Rows = slices.Clip(l.Annulments.Rows), slices.Clip(l.Provisional.Rows), slices.Clip(l.Counts.Rows)
	l.Incidents.Rows, l.Custody.Rows, l.Amendments.Rows = slices.Clip(l.Incidents.Rows), slices.Clip(l.Custody.Rows), slices.Clip(l.Amendments.Rows)
	l.Sessions.Rows, l.Imports.Rows, l.Evidence.Rows = slices.Clip(l.Sessions.Rows), slices.Clip(l.Imports.Rows), slices.Clip(l.Evidence.Rows)
	l.Unclean.Rows, l.Drawn.Rows = slices.Clip(l.Unclean.Rows), slices.Clip(l.Drawn.Rows)
	return l
}

// Drawn are the minutes that were recorded so far, oldest first.
func (c *Collector) Drawn() (out []Drawn) {
	for i := range c.stations {
		out = append(out, c.stations[i].lists.Drawn.Rows...)
	}
	// What has no place yet comes last.
	slices.SortStableFunc(out, func(a, b Drawn) int { return cmp.Compare(order(a.Entry), order(b.Entry)) })
	return out
}

// CheckIn is a check-in that stands.
type CheckIn struct {
	Bureau ledger.BureauNumber
	// Time is rounded down to five minutes.
	Time ledger.Instant
	// Proxy says that somebody else votes for this elector; Carries that this elector holds a proxy.
	Proxy, Carries bool
}

// CheckedIn is the elector's oldest check-in that stands.
func (c *Collector) CheckedIn(e ledger.ElectorToken) (in CheckIn, ok bool) {
	rs := c.standing.of(ledger.Right{Elector: e, Kind: ledger.Admit})
	if len(rs) == 0 {
		return in, false
	}
	carries := len(c.standing.of(ledger.Right{Elector: e, Kind: ledger.Carry})) > 0
	return CheckIn{rs[0].bureau, rs[0].time, rs[0].kind == ledger.KindProxyAdmission, carries}, true
}

// Minutes are those of a bureau, or with 0 of the commune, as of the entries so far. names may be nil.
func (c *Collector) Minutes(n ledger.BureauNumber, names *Names) (*Minutes, error) {
	if c.tree.size == 0 {
		return nil, fmt.Errorf("draw minutes: no entry was read")
	}
	if _, ok := c.place[n]; !ok && n != 0 {
		return nil, fmt.Errorf("draw minutes: commune %d has no bureau %d", c.group.Commune, n)
	}
	m := &Minutes{
		Frame: c.frame, Manifest: c.group.Manifest, Bureau: n, Named: names != nil, Pending: c.pending,
		Ledger: Ledger{
			Origin: c.group.Origin(c.epoch), Epoch: c.epoch, Size: c.tree.size, Root: c.tree.root(), Head: c.tree.last,
			Anchors: c.anchors, Newest: c.newest, Earlier: slices.Clone(c.earlier),
		},
	}
	for i := range c.stations {
		if s := &c.stations[i]; n == 0 || s.Number == n {
			m.Bureaux = append(m.Bureaux, s.Bureau)
			m.Total.add(&s.Figures)
		}
		m.All.add(&c.stations[i].Figures)
	}
	if n != 0 {
		m.Place = m.Bureaux[0].Place
	}
	switch n {
	case c.group.Principal, 0:
		m.Role = Principal
	case c.group.Deputy:
		m.Role = Deputy
	}
	c.list(m, names)
	return m, nil
}

// list gives the minutes the rows that are about them.
func (c *Collector) list(m *Minutes, names *Names) {
	all := m.Bureau == 0
	here := func(n ledger.BureauNumber) bool { return all || n == m.Bureau }
	n := m.Bureau
	m.Annulments = gather(c, n, func(l *Lists) *List[Annulment] { return &l.Annulments }, func(a *Annulment) bool { return here(a.Bureau) })
	m.Provisional = gather(c, n, func(l *Lists) *List[Provisional] { return &l.Provisional }, func(p *Provisional) bool { return here(p.Bureau) })
	for i := range m.Provisional.Rows {
		p := &m.Provisional.Rows[i]
		rs := c.standing.of(p.right)
		p.Taken, p.Double = !slices.ContainsFunc(rs, p.record.same), len(rs) > 1
	}
	m.Counts = gather(c, n, func(l *Lists) *List[Count] { return &l.Counts }, func(k *Count) bool { return here(k.Bureau) })
	m.Incidents = gather(c, n, func(l *Lists) *List[Incident] { return &l.Incidents }, func(i *Incident) bool { return here(i.Bureau) })
	m.Custody = gather(c, n, func(l *Lists) *List[Custody] { return &l.Custody }, func(k *Custody) bool { return here(k.Bureau) || here(k.Of) })
	m.Amendments = gather(c, n, func(l *Lists) *List[Amendment] { return &l.Amendments }, func(a *Amendment) bool { return here(a.Bureau) })
	slices.SortStableFunc(m.Amendments.Rows, func(a, b Amendment) int { return cmp.Compare(a.Number, b.Number) })
	m.Sessions = gather(c, n, func(l *Lists) *List[Session] { return &l.Sessions }, func(s *Session) bool { return here(s.Author.Bureau) })
	m.Imports = gather(c, n, func(l *Lists) *List[Import] { return &l.Imports }, func(i *Import) bool { return here(i.Bureau) })
	m.Evidence = gather(c, n, func(l *Lists) *List[Evidence] { return &l.Evidence }, func(e *Evidence) bool { return here(e.Bureau) })
	m.Unclean = gather(c, n, func(l *Lists) *List[Unclean] { return &l.Unclean }, func(u *Unclean) bool { return here(u.Bureau) })
	m.Drawn = gather(c, n, func(l *Lists) *List[Drawn] { return &l.Drawn }, func(d *Drawn) bool { return here(d.Bureau) })
	for _, x := range c.standing.doubles() {
		d, mine := Double{Kind: x.Kind}, all
		for _, r := range c.standing.of(x) {
			d.Records = append(d.Records, Record{r.bureau, r.time, r.at, r.kind == ledger.KindProxyAdmission})
			mine = mine || r.bureau == m.Bureau
		}
		if mine {
			m.Doubles.add(d)
		}
	}
	for i := range c.stations {
		if s := &c.stations[i]; here(s.Number) {
			for _, member := range c.members(s, names) {
				m.Members.add(member)
			}
		}
	}
}

// witnessName is the name of the witness with that key hash, as the manifest has it.
func (c *Collector) witnessName(hash uint32) string {
	for _, w := range c.group.Witnesses {
		if w.KeyHash() == hash {
			return w.Name()
		}
	}
	return ""
}

// Bureaux are the commune's bureaux by number.
func (c *Collector) Bureaux() []ledger.BureauNumber { return slices.Sorted(maps.Keys(c.place)) }
