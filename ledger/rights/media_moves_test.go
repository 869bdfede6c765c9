package rights

import "fmt"

// What can happen to media and machines, beside what happens to a unit.
const (
	mediumMoves kind = kinds + iota
	mediumDies
	mediumCopied
	machineOpens
	machineNumbers
	machineLevels
	machineRuns
	machineSigns
	machineWrites
	machineWritesHalf
	machineHasWritten
	machineAttaches
	machineReplaces
	machineTakesNew
	machineCrashes
	machineCloses
	peerActs
)

var mediaNames = [...]string{
	"medium %d is moved to %d (2: the drawer)", "medium %d dies (%d)", "medium %d is copied (%d)", "machine %d opens with media %04b", "machine %d makes its number durable on medium %d",
	"machine %d writes back on medium %d", "machine %d runs (%d)", "machine %d signs batch %d", "machine %d writes on medium %d", "machine %d writes a part of a batch on medium %d",
	"machine %d has written (%d)", "machine %d takes up medium %d", "machine %d writes the next generation on medium %d", "machine %d takes the new medium (%d)", "machine %d crashes (%d)",
	"machine %d is closed (%d)", "the peer (%d):",
}

// tell puts a step into words.
func (m *mediaModel) tell(w *world, how step) string {
	if how.kind >= kinds && how.kind < peerActs {
		return fmt.Sprintf(mediaNames[how.kind-kinds], how.slot, how.arg)
	}
	h := happening(how.arg)
	who, unit := fmt.Sprintf("machine %d", how.slot), w[6+how.slot%2]
	if how.kind == peerActs {
		who, unit = "the peer", w[8]
	}
	words := fmt.Sprintf("%s, elector %d: %s", who, m.u.bounds.rights[m.u.slots[m.u.node(unit).slot].rights[h.part()]].elector, kindNames[h.kind()])
	if k := h.kind(); k == doRelease || k == doDeny || k == doReturn {
		words += fmt.Sprintf(" (%v)", m.u.said.values[h.arg()].body.Kind())
	}
	return words
}

// hands is one place whose steps are being listed.
type hands struct {
	*mediaModel
	benches
	visit func(world, step)
}

// next visits every place one step away.
func (m *mediaModel) next(w *world, visit func(world, step)) {
	h := hands{m, unpack(w), visit}
	if h.ended > 0 {
		return
	}
	h.people()
	for k := range h.machines {
		h.machine(k)
	}
	for _, e := range m.u.local(h.peer) {
		h.peerGoes(e)
	}
	for _, e := range m.u.mail(h.peer, 0, h.posted) {
		h.peerGoes(e)
	}
}

func (h *hands) peerGoes(e edge) {
	b := h.benches
	b.peer = e.to
	h.to(b, peerActs, 0, num(e.event))
}

func (h *hands) to(b benches, k kind, who int, arg num) { h.visit(b.pack(), step{uint8(who), k, arg}) }

// people carry, lose and copy media.
func (h *hands) people() {
	for i := range h.media {
		unused := h.replace == 0 && !h.copies && h.without&blankCounts == 0
		if h.media[i].dead || i == blankMedium && (unused || h.blankAt > 0) {
			continue
		}
		for to := range uint8(inDrawer + 1) {
			if to != h.media[i].at && int(h.moves) < h.mediaBounds.moves {
				b := h.benches
				b.moves++
				b.media[i].at = to
				h.detach(&b, i)
				h.to(b, mediumMoves, i, num(to))
			}
		}
		if int(h.fails) < h.mediaBounds.fails {
			b := h.benches
			b.fails++
			b.media[i].dead = true
			h.detach(&b, i)
			h.to(b, mediumDies, i, 0)
		}
		if blank := &h.media[blankMedium]; h.copies && i != blankMedium && blank.gen == 0 && !blank.dead {
			b := h.benches
			at := blank.at
			b.media[blankMedium] = h.media[i]
			b.media[blankMedium].at, b.media[blankMedium].copyOf = at, uint8(i+1)
			h.to(b, mediumCopied, i, 0)
		}
	}
}

// detach: a machine with fewer than two of its media stops (rule 3), when it notices: at the latest it can't
// write on what is gone.
func (h *hands) detach(b *benches, i int) {
	for k := range b.machines {
		x := &b.machines[k]
		if x.attached>>i&1 == 0 {
			continue
		}
		if x.attached &^= 1 << i; x.phase < running || count(x.attached) < 2 && h.without&noStop == 0 && !h.lazy || x.attached == 0 {
			*x = machine{}
		}
	}
}

// claim is which media at a machine count, and the set that they are of.
type claim struct {
	media, gen, members uint8
}

// counted picks the media at a machine that count: those of the newest generation, and those that it
// names; no copies, no blank ones.
func (m *mediaModel) counted(b *benches, k int) (c claim) {
	var ids [mediaCount]uint8
	for _, x := range b.media {
		if int(x.at) == k && !x.dead && x.gen > c.gen && (x.copyOf == 0 || m.without&copiesCount != 0) {
			c.gen, c.members = x.gen, x.members
		}
	}
	for i := range b.media {
		if x := &b.media[i]; int(x.at) == k && m.takes(x, i, c.gen, c.members) {
			c.media |= 1 << i
			ids[x.member(i)]++
		}
	}
	for i := range b.media {
		if ids[b.media[i].member(i)] > 1 { // two that are one member
			c.media &^= 1 << i
		}
	}
	return c
}

func (x *medium) member(i int) int {
	if x.copyOf > 0 {
		return int(x.copyOf - 1)
	}
	return i
}

// takes says whether a medium counts for a set.
func (m *mediaModel) takes(x *medium, i int, gen, members uint8) bool {
	switch {
	case x.dead || x.copyOf > 0 && m.without&copiesCount == 0:
		return false
	case x.gen == 0:
		return m.without&blankCounts != 0 && gen > 0
	}
	if m.without&removedCounts != 0 {
		return true
	}
	return members>>x.member(i)&1 == 1 && (x.gen == gen || x.gen+1 == gen && m.without&laggardOut == 0)
}

// machine lists what one machine can do.
func (h *hands) machine(k int) {
	x := &h.machines[k]
	if x.phase != off && int(h.crashes) < h.mediaBounds.crashes {
		b := h.benches
		b.crashes++
		b.machines[k] = machine{}
		h.to(b, machineCrashes, k, 0)
	}
	switch x.phase {
	case off:
		h.open(k)
	case numbering, levelling:
		h.opening(k)
	case running:
		h.acts(k)
		h.signs(k)
		h.attaches(k)
		h.replaces(k)
		h.closes(k)
	case naming:
		h.writes(k)
	case writing:
		h.acts(k)
		h.writes(k)
	case replacing:
		h.nextGeneration(k)
	}
}

// open reads all media that are attached, two of those that count or more (rule 2).
func (h *hands) open(k int) {
	c := h.counted(&h.benches, k)
	need := 2
	if h.without&openOne != 0 {
		need = 1
	}
	if int(h.openings) >= h.mediaBounds.openings {
		return
	}
	for media := c.media; media > 0; media = (media - 1) & c.media {
		if count(media) < need {
			continue
		}
		b := h.benches
		b.openings++
		x := machine{phase: numbering, attached: media, gen: c.gen, members: c.members, unit: num(b.openings)}
		x.log, x.round = h.read(&b, media)
		x.round++
		if h.without&noRound != 0 {
			x.phase, x.round = levelling, 1
		}
		b.machines[k] = x
		h.to(b, machineOpens, k, num(media))
	}
}

// read is the union of media, and the newest number on them.
func (h *hands) read(b *benches, media uint8) (log num, round uint8) {
	first, best := true, medium{}
	for i := range b.media {
		x := b.media[i]
		if media>>i&1 == 0 {
			continue
		}
		round = max(round, x.round)
		switch {
		case h.without&onlyShared != 0:
			for j := range i {
				if media>>j&1 == 1 {
					best.log = h.union(best.log, h.shared(b.media[j].log, x.log))
				}
			}
			continue
		case first:
		case h.without&readOne != 0:
			continue
		case h.without&longest != 0:
			if h.length(x.log) <= h.length(best.log) {
				continue
			}
		case h.without&latest != 0:
			if x.round <= best.round {
				continue
			}
		default:
			x.log = h.union(best.log, x.log)
		}
		first, best = false, x
	}
	return best.log, round
}

// opening makes the number durable on two media, then what was read, then the session's first batch.
func (h *hands) opening(k int) {
	x := h.machines[k]
	for i := range h.media {
		if x.attached>>i&1 == 0 || x.has>>i&1 == 1 {
			continue
		}
		b := h.benches
		b.machines[k].has |= 1 << i
		b.media[i].round = x.round
		how := machineNumbers
		if x.phase == levelling {
			how = machineLevels
			if h.without&noLevel == 0 {
				b.media[i].log = h.union(b.media[i].log, x.log)
			}
			b.media[i].gen, b.media[i].members = x.gen, x.members
		}
		h.to(b, how, k, num(i))
	}
	enough := count(x.has) >= 2 || h.without&openOne != 0 && x.has != 0
	if !enough {
		return
	}
	b := h.benches
	y := &b.machines[k]
	y.has = 0
	switch {
	case x.phase == numbering:
		y.phase = levelling
	case h.without&lateName != 0:
		y.phase, y.log = running, h.chain(x.log)
		h.becomes(&b, k, h.recovered(x.log, uint8(x.unit)))
	default:
		y.phase, y.unit, y.log = naming, h.recovered(x.log, uint8(x.unit)), h.opens(&x)
	}
	h.to(b, machineRuns, k, 0)
}

// acts lists what the program does but write.
func (h *hands) acts(k int) {
	n := h.machines[k].unit
	for _, e := range h.u.local(n) {
		if e.event.kind() != doWrite && h.u.affords(h.u.node(e.to).spent) {
			h.goes(k, e.to, e.event.kind(), num(e.event))
		}
	}
	for _, e := range h.u.mail(n, 0, h.u.node(h.peer).parts[0].posted) {
		h.goes(k, e.to, e.event.kind(), num(e.event))
	}
}

// goes gives a machine's program its next unit, and counts what it handed over and sent.
func (h *hands) goes(k int, to num, how kind, arg num) {
	b := h.benches
	h.becomes(&b, k, to)
	h.to(b, how, k, arg)
}

func (h *hands) becomes(b *benches, k int, to num) {
	s := h.strip(to)
	b.machines[k].unit = s.unit
	for i := range s.lights {
		b.lights[i] = min(b.lights[i]+s.lights[i], 3)
	}
	b.posted = h.post(b.posted, s.posted)
}
