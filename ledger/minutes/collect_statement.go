package minutes

import (
	"slices"

	"pointage/ledger"
	"pointage/ledger/plaintext"
	"pointage/ledger/reconciliation"
)

// said is where a statement stands.
type said struct {
	author   ledger.Author
	id       ledger.StatementID
	time     ledger.Instant
	at       uint64
	verdict  ledger.Verdict
	evidence bool
}

// statement reads one that stands in its author's chain.
func (c *Collector) statement(x said, body ledger.Body) {
	s := c.at(x.author.Bureau)
	if !x.verdict.Clean() {
		s.Unclean++
		s.lists.Unclean.add(Unclean{x.author.Bureau, x.at, body.Kind(), x.verdict})
	}
	if x.verdict.Class == ledger.Orphaned {
		return // recorded, and without effect
	}
	if len(ledger.Touches(body)) > 0 {
		c.rights(x, body)
		return
	}
	if x.verdict.Validity != ledger.Valid {
		return
	}
	switch b := body.(type) {
	case *ledger.SessionOpened:
		s.lists.Sessions.add(Session{x.author, x.time, b.Generation, b.Media, b.Unfenced, b.Continues != nil})
	case *ledger.BureauOpened:
		if s.Opened == nil {
			s.Opened = &Opened{x.time, b.Register, b.Program}
		}
	case *ledger.BureauClosed:
		s.Closed = &Closed{x.time, b.CheckedIn}
	case *ledger.Attendance:
		s.attend(b)
	case *ledger.AttemptRefused:
		s.Refused[known(int(b.Refusal), int(MaxRefusal))]++
	case *ledger.Count:
		t := reconciliation.TallyOf(x.time, b)
		s.Last = &t
		s.lists.Counts.add(Count{x.author.Bureau, t})
	case *ledger.Incident:
		if b.Code == plaintext.IncidentChipNotProven && c.chip(x, b) {
			return
		}
		i := Incident{Bureau: x.author.Bureau, Time: x.time, Code: b.Code}
		if b.Code == plaintext.IncidentReplacement {
			i.Sealed = b.Sealed
		}
		s.lists.Incidents.add(i)
	case *ledger.Custody:
		k := c.keys[b.Object]
		s.lists.Custody.add(Custody{x.author.Bureau, x.time, b.Object, b.From, b.To, b.Step, k.bureau, k.which})
	case *ledger.Minutes:
		s.lists.Drawn.add(Drawn{x.author, x.id, x.time, x.at, *b})
	default:
		c.matter(x, body)
	}
}

// known is n, or 0 for what has no row of its own.
func known(n, largest int) int {
	if n > largest {
		return 0
	}
	return n
}

// attend notes the last word on a member's presence.
func (s *station) attend(a *ledger.Attendance) {
	i := slices.IndexFunc(s.attended, func(x attended) bool { return x.member == a.Member })
	switch {
	case i >= 0:
		s.attended[i].presence = a.Presence
	case len(s.attended) < maxAttended:
		s.attended = append(s.attended, attended{a.Member, a.Presence})
	}
}

// matter reads a statement about machines, chains or the manifest.
func (c *Collector) matter(x said, body ledger.Body) {
	s := c.at(x.author.Bureau)
	switch b := body.(type) {
	case *ledger.Amendment:
		inForce := x.verdict.Class != ledger.OutOfTurn
		s.lists.Amendments.add(Amendment{x.time, *b, inForce})
		if inForce && b.Act == ledger.Relabel {
			c.at(b.Bureau).Place = string(b.Place)
		}
	case *ledger.Anchored:
		c.anchors++
		if c.newest == nil || ledger.Reference(b.Epoch, b.Size) > ledger.Reference(c.newest.Epoch, c.newest.Size) {
			c.newest = &Anchor{b.Epoch, b.Size, b.Root, c.witnessName(b.Witness), ledger.Instant(b.Cosigned * 1000)}
		}
	case *ledger.Imported:
		s.lists.Imports.add(Import{x.author.Bureau, x.time, b.Bureau, b.Incarnation, b.Media, false})
	case *ledger.Settled:
		s.lists.Imports.add(Import{x.author.Bureau, x.time, x.author.Bureau, b.Incarnation, b.Media, true})
	case *ledger.Orphan:
		s.lists.Evidence.add(Evidence{Bureau: x.author.Bureau, Entry: x.at, Kind: ledger.KindOrphan})
	case *ledger.Evidence:
		if h, err := ledger.DecodeSignedHeader(b.First); err == nil {
			c.at(h.Header.Author.Bureau).lists.Evidence.add(Evidence{Bureau: h.Header.Author.Bureau, Entry: x.at, Kind: ledger.KindEvidence})
		}
	case *ledger.Equivocation:
		if w, err := ledger.DecodeWord(b.First); err == nil {
			c.at(w.Member.Bureau).lists.Evidence.add(Evidence{Bureau: w.Member.Bureau, Entry: x.at, Kind: ledger.KindEquivocation})
		}
	}
}

// rights reads a statement that uses rights or takes a use back; the others that touch them only move them.
func (c *Collector) rights(x said, body ledger.Body) {
	s := c.at(x.author.Bureau)
	valid := x.evidence || x.verdict.Validity == ledger.Valid
	r := record{bureau: x.author.Bureau, id: x.id, at: x.at, time: x.time, kind: body.Kind(), evidence: x.evidence}
	switch b := body.(type) {
	case *ledger.Admission:
		r.means = b.Means
		c.use(r, body)
	case *ledger.ProxyAdmission:
		r.means, r.reason = b.Means, uint8(known(int(b.Reason), MaxReason))
		c.use(r, body)
	case *ledger.Provisional:
		r.means = b.Means
		c.use(r, body)
		s.lists.Provisional.add(Provisional{
			Bureau: x.author.Bureau, Time: x.time, Reason: b.Reason, Attester: b.Attester, Entry: x.at, record: r, right: ledger.Touches(body)[0],
		})
	case *ledger.Void:
		if valid {
			s.Voided += c.takeBack(x, ledger.StatementID{Session: x.id.Session, Sequence: b.Sequence}, b.Rights)
		}
	case *ledger.Annulment:
		if !valid {
			return
		}
		s.Annulled += c.takeBack(x, b.Record, b.Rights)
		s.lists.Annulments.add(Annulment{x.author.Bureau, x.time, b.Reason, b.Attesters, len(b.Rights) > 1, x.at})
	}
}

// chip notes of a check-in by card that stands that its card's chip proved nothing, once however often it is said. False:
// it names no such check-in of its own author (SPEC 2), and is an incident like any other.
func (c *Collector) chip(x said, i *ledger.Incident) bool {
	b, err := plaintext.DecodeChipNotProven(i.Sealed)
	if err != nil || b.Bureau != x.author.Bureau || x.time%ledger.TimeGrain != 0 {
		return false
	}
	right := ledger.Right{Elector: b.Elector, Kind: ledger.Admit}
	after := slices.Clone(c.standing.of(right))
	for k := range after {
		if r := &after[k]; r.bureau == b.Bureau && r.id == b.Record && !r.evidence && r.means == ledger.ByCard {
			r.unproven = true
			c.change(right, after)
			return true
		}
	}
	return false
}

// use lists a check-in under each of its rights, valid or not: what was handed over counts.
func (c *Collector) use(r record, body ledger.Body) {
	for _, x := range ledger.Touches(body) {
		c.change(x, append(slices.Clone(c.standing.of(x)), r))
	}
}

// takeBack takes a bureau's record off its rights. On the two sides of a fork two records can have one name:
// evidence takes back what evidence holds, and the chain what is on it (SPEC 6.4). It gives 1, or 0 where none stood.
func (c *Collector) takeBack(x said, id ledger.StatementID, rights []ledger.Right) (taken int) {
	for _, right := range rights {
		before := c.standing.of(right)
		after := slices.DeleteFunc(slices.Clone(before), func(r record) bool {
			return r.bureau == x.author.Bureau && r.id == id && r.evidence == x.evidence
		})
		if len(after) < len(before) {
			taken = 1
			c.change(right, after)
		}
	}
	return taken
}

// change sets the records of a right, and counts along.
func (c *Collector) change(x ledger.Right, after []record) {
	if x.Kind == ledger.Admit {
		home, _ := c.group.Home(x.Elector)
		c.count(home, c.standing.of(x), -1)
		c.count(home, after, 1)
	}
	c.standing.set(x, after)
}

// count adds an elector's check-ins to the figures, or takes them out; home is 0 for somebody who is not on the roll.
func (c *Collector) count(home ledger.BureauNumber, rs []record, by int) {
	elsewhere := len(rs) > 0
	for _, r := range rs {
		s := c.at(r.bureau)
		if r.bureau == home {
			s.Own += by
			elsewhere = false
		} else {
			s.Away += by
		}
		s.ByMeans[r.means] += by
		if r.unproven {
			s.Unproven += by
		}
		switch r.kind {
		case ledger.KindProxyAdmission:
			s.Proxies += by
			s.ByReason[r.reason] += by
		case ledger.KindProvisional:
			s.Provisional += by
		}
	}
	if home == 0 || len(rs) == 0 {
		return
	}
	c.at(home).Voted += by
	if elsewhere {
		c.at(home).Elsewhere += by
	}
}
