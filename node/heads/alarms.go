package heads

import (
	"context"
	"time"

	"pointage/ledger"
)

// contradict records the proof when the two headers can't both stand.
func (h *Heads) contradict(ctx context.Context, a, b *ledger.SignedHeader) {
	proof, ok := h.cfg.Group.Fork(a, b)
	if !ok || !h.fresh(a.Header.Identity(), b.Header.Identity()) {
		return
	}
	h.mu.Lock()
	h.alarms.Forks++
	h.mu.Unlock()
	h.cfg.Logger.Error("two histories of one machine: a medium was cloned or put back", "author", a.Header.Author.String())
	if err := h.cfg.Record(ctx, proof); err != nil {
		h.cfg.Logger.Error("evidence could not be recorded", "err", err)
	}
}

// contradictOpenings compares a session's first header with those of the machine's other sessions:
// two that go on from one head are a clone's doing.
func (h *Heads) contradictOpenings(ctx context.Context, s *ledger.SignedHeader) {
	m := memberOf(s.Header.Author)
	others, err := h.cfg.Ledger.Openings(m)
	if err != nil {
		return
	}
	h.mu.Lock()
	for a, batches := range h.ahead {
		if memberOf(a) == m && batches[0].Header.First == 0 {
			others = append(others, batches[0].Signed())
		}
	}
	h.mu.Unlock()
	if m == h.cfg.Self {
		if own, err := h.cfg.Own.Backlog(maxAhead); err == nil {
			for _, b := range own {
				if b.Header.First == 0 {
					others = append(others, b.Signed())
				}
			}
		}
	}
	for i := range others {
		h.contradict(ctx, &others[i], s)
	}
}

// fresh says that a pair was not recorded before.
func (h *Heads) fresh(a, b ledger.Hash) bool {
	if string(a[:]) > string(b[:]) {
		a, b = b, a
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := [2]ledger.Hash{a, b}; !h.proofs[k] && len(h.proofs) < maxProofs {
		h.proofs[k] = true
		return true
	}
	return false
}

func (h *Heads) rolledBack(s *ledger.SignedHeader) {
	h.mu.Lock()
	first := !h.alarms.RolledBack
	h.alarms.RolledBack = true
	h.mu.Unlock()
	if first {
		h.cfg.Logger.Error("peers hold records of this machine that its media do not: a medium was put back or cloned; call the principal bureau", "author", s.Header.Author.String())
	}
}

// relay proposes, where this member leads, what authors seem unable to hand in themselves.
func (h *Heads) relay(ctx context.Context) {
	h.mu.Lock()
	var due []*ledger.Batch
	for _, batches := range h.ahead {
		if b := batches[0]; time.Since(b.since) > relayAfter {
			due = append(due, b.Batch)
		}
	}
	h.mu.Unlock()
	for _, b := range due {
		if !h.cfg.Relay(ctx, b) {
			return
		}
	}
}

// watch notices that the ledger grows and leaves this bureau out.
func (h *Heads) watch() {
	own, err := h.cfg.Own.Backlog(1)
	if err != nil {
		return
	}
	size := h.cfg.Ledger.Head().Size
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(own) == 0 || own[0].Header.Identity() != h.waits.batch {
		h.waits.since, h.waits.size, h.waits.batch, h.waits.told = time.Now(), size, ledger.Hash{}, false
		if len(own) > 0 {
			h.waits.batch = own[0].Header.Identity()
		}
		return
	}
	if !h.waits.told && size > h.waits.size && time.Since(h.waits.since) > overdue {
		h.waits.told = true
		h.cfg.Logger.Error("the ledger grows, but this bureau's batches get no place in it: call the principal bureau", "waiting", time.Since(h.waits.since).Round(time.Second))
	}
}

// AnswerApplied is the other side of AskApplied.
func (h *Heads) AnswerApplied(q []byte) []byte {
	h.compare(q)
	return h.cfg.Sign(h.cfg.Ledger.Head()).Encode()
}

// compare looks whether a peer's signed word agrees with this bureau's ledger, and with what the
// peer said before.
func (h *Heads) compare(raw []byte) {
	w, err := ledger.DecodeWord(raw)
	if err != nil || w.Applied == nil || w.Verify(h.cfg.Group) != nil {
		return
	}
	h.mu.Lock()
	before := h.words[w.Member]
	h.words[w.Member] = w
	h.spoken[w.Member.Bureau] = Spoken{At: time.Now(), Epoch: w.Epoch, Size: w.Applied.Size}
	h.mu.Unlock()
	if before != nil {
		if proof, ok := h.cfg.Group.Contradiction(before, w); ok {
			h.equivocal(proof, w.Member)
		}
	}
	head := h.cfg.Ledger.Head()
	if w.Epoch != head.Epoch || w.Applied.Size > head.Size {
		return
	}
	entry, err := h.cfg.Ledger.Entry(ledger.Reference(w.Epoch, w.Applied.Size-1))
	if err != nil || ledger.LeafHash(entry) == w.Applied.Head {
		return
	}
	h.mu.Lock()
	first := !h.alarms.Differs
	h.alarms.Differs = true
	h.mu.Unlock()
	if first {
		h.cfg.Logger.Error("another bureau's ledger is not this one's: call the election authority", "peer", w.Member.Bureau, "size", w.Applied.Size)
	}
}

func (h *Heads) equivocal(proof *ledger.Equivocation, m ledger.Member) {
	h.mu.Lock()
	h.alarms.Equivocations++
	h.mu.Unlock()
	h.cfg.Logger.Error("a bureau has signed two different ledgers", "peer", m.Bureau)
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if err := h.cfg.Record(ctx, proof); err != nil {
		h.cfg.Logger.Error("evidence could not be recorded", "err", err)
	}
}
