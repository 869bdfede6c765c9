package rights

// signs begins a batch of all that waits.
func (h *hands) signs(k int) {
	x := h.machines[k]
	waits := 0
	for i := range h.electors {
		if h.u.pending(x.unit, i) {
			waits++
		}
	}
	if waits == 0 {
		return
	}
	b := h.benches
	y := &b.machines[k]
	y.phase, y.log, y.has = writing, h.sign(&x), 0
	h.to(b, machineSigns, k, y.log)
}

// writes puts the batch on one medium more; on two it is durable (rule 1).
func (h *hands) writes(k int) {
	x := h.machines[k]
	for i := range h.media {
		if x.attached>>i&1 == 0 || x.has>>i&1 == 1 {
			continue
		}
		b := h.benches
		b.machines[k].has |= 1 << i
		b.media[i].log, b.media[i].round = h.written(i, b.media[i].log, x.log), x.round
		h.to(b, machineWrites, k, num(i))
		if half := h.half(x.log); half > 0 && h.without&halfBatch != 0 && x.has == 0 {
			b.media[i].log = h.written(i, h.media[i].log, half)
			b.machines[k].has = x.has
			h.detach(&b, i)
			h.to(b, machineWritesHalf, k, num(i))
		}
	}
	need := 2
	switch {
	case h.without&(oneMedium|openOne) != 0:
		need = 1
	case h.without&noStop != 0:
		need = min(2, count(x.attached))
	}
	if count(x.has) >= need {
		b := h.benches
		b.machines[k].phase, b.machines[k].has = running, 0
		if x.phase == writing {
			x.unit = h.durable(x.unit, x.log)
		}
		h.becomes(&b, k, x.unit) // at first it sends again what its chain has given away
		h.to(b, machineHasWritten, k, x.log)
	}
}

// attaches takes up a medium that came back: it is read before it is written (rule 3). One on which a
// later opening has written shows that another machine is the bureau now.
func (h *hands) attaches(k int) {
	x := h.machines[k]
	for i := range h.media {
		y := &h.media[i]
		if int(y.at) != k || x.attached>>i&1 == 1 || y.gen == 0 || !h.takes(y, i, x.gen, x.members) {
			continue
		}
		b := h.benches
		z := &b.machines[k]
		if h.without&noReread == 0 {
			if y.round > x.round {
				continue
			}
			z.attached |= 1 << i
			b.media[i].log = h.union(y.log, h.whole(x.log))
		} else {
			z.attached |= 1 << i
			b.media[i].log = h.whole(x.log) // overwritten with what the machine has
		}
		b.media[i].round, b.media[i].gen, b.media[i].members = x.round, x.gen, x.members
		h.to(b, machineAttaches, k, num(i))
	}
}

// replaces begins to put the blank medium in the place of one that is gone (rule 4).
func (h *hands) replaces(k int) {
	x, blank := h.machines[k], h.media[blankMedium]
	if int(h.put) >= h.replace || int(blank.at) != k || blank.dead || blank.gen > 0 || count(x.attached) != 2 {
		return
	}
	for i := range blankMedium {
		if x.members>>i&1 == 0 || x.attached>>i&1 == 1 {
			continue
		}
		b := h.benches
		b.put++
		y := &b.machines[k]
		y.phase, y.has, y.members = replacing, 0, x.members&^(1<<i)|1<<blankMedium
		if h.without&noGeneration == 0 {
			y.gen++
		}
		h.to(b, machineReplaces, k, num(i))
	}
}

// nextGeneration is durable on both survivors before the new medium gets a header.
func (h *hands) nextGeneration(k int) {
	x := h.machines[k]
	for i := range h.media {
		if x.attached>>i&1 == 1 && x.has>>i&1 == 0 {
			b := h.benches
			b.machines[k].has |= 1 << i
			b.media[i].gen, b.media[i].members = x.gen, x.members
			b.media[i].log = h.union(b.media[i].log, h.whole(x.log))
			h.to(b, machineReplaces, k, num(i))
		}
	}
	blank := h.media[blankMedium]
	if x.has != x.attached && (h.without&oneSurvivor == 0 || x.has == 0) || int(blank.at) != k || blank.dead {
		return
	}
	b := h.benches
	y := &b.machines[k]
	y.phase, y.has, y.attached = running, 0, x.attached|1<<blankMedium
	n := &b.media[blankMedium]
	n.gen, n.members, n.round = x.gen, x.members, x.round
	if h.without&emptyNew == 0 {
		n.log = h.whole(x.log)
	}
	h.to(b, machineTakesNew, k, 0)
}

// closes ends the day on a machine, and levels its media (rule 7).
func (h *hands) closes(k int) {
	if h.lazy && count(h.machines[k].attached) < 2 {
		return // another machine may be the bureau now
	}
	b := h.benches
	x := &b.machines[k]
	for i := range b.media {
		if x.attached>>i&1 == 1 && h.without&closeUnlevel == 0 {
			b.media[i].log = h.union(b.media[i].log, h.whole(x.log))
		}
	}
	b.ended = uint8(k + 1)
	h.to(b, machineCloses, k, 0)
}
