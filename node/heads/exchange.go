package heads

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"pointage/ledger"
)

// run exchanges with one peer after the other. It rests as long as it worked, and exchangeEvery at least: on a
// machine that can't keep up the table comes first.
func (h *Heads) run(ctx context.Context) {
	rest := time.NewTimer(exchangeEvery)
	defer rest.Stop()
	began := time.Now()
	for turn := 0; ; turn++ {
		rest.Reset(max(exchangeEvery, time.Since(began)))
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		began = time.Now()
		h.settle()
		h.relay(ctx)
		h.watch()
		h.hold()
		peers := h.cfg.Peers.Connected()
		if len(peers) == 0 {
			continue
		}
		if err := h.exchange(ctx, peers[turn%len(peers)]); err != nil && ctx.Err() == nil {
			h.cfg.Logger.Debug("no exchange of heads", "peer", peers[turn%len(peers)], "err", err)
		}
	}
}

// exchange tells a peer what is known here, takes what it knows, and compares ledgers.
func (h *Heads) exchange(ctx context.Context, peer ledger.BureauNumber) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	mine, err := h.mine()
	if err != nil {
		return fmt.Errorf("list heads: %w", err)
	}
	if len(mine) > 0 {
		q, err := ledger.EncodeHeads(mine)
		if err != nil {
			return err
		}
		a, err := h.cfg.Peers.AskHeads(ctx, peer, q)
		if err != nil {
			return err
		}
		if err := h.hear(ctx, peer, a); err != nil {
			return err
		}
	}
	a, err := h.cfg.Peers.AskApplied(ctx, peer, h.cfg.Sign(h.cfg.Ledger.Head()).Encode())
	if err != nil {
		return err
	}
	h.compare(a)
	return nil
}

// AnswerHeads is the other side of AskHeads: what the peer knows is looked at when its turn
// comes, what it lacks it can have at once.
func (h *Heads) AnswerHeads([]byte) []byte {
	mine, err := h.mine()
	if err != nil || len(mine) == 0 {
		return nil
	}
	a, err := ledger.EncodeHeads(mine)
	if err != nil {
		return nil
	}
	return a
}

// AnswerChain gives what this bureau has of a chain: from the ledger, from what it fetched,
// or from its own.
func (h *Heads) AnswerChain(q []byte) []byte {
	r, err := ledger.DecodeChainRequest(q)
	if err != nil {
		return nil
	}
	out, more, err := h.cfg.Ledger.Chain(r, ledger.MaxChainBatches)
	if err != nil {
		return nil
	}
	if !more {
		out = append(out, h.beyond(r, out)...)
	}
	a := ledger.ChainAnswer{More: more, Batches: out}
	return a.Encode()
}

// beyond lists what goes on from the ledger's batches of an author.
func (h *Heads) beyond(r ledger.ChainRequest, placed []*ledger.Batch) (out []*ledger.Batch) {
	next := r.From
	if len(placed) > 0 {
		next = placed[len(placed)-1].Header.Next()
	}
	var batches []*ledger.Batch
	if memberOf(r.Author) == h.cfg.Self {
		var err error
		if batches, err = h.cfg.Own.Backlog(ledger.MaxChainBatches); err != nil {
			return nil
		}
	} else {
		h.mu.Lock()
		for _, b := range h.ahead[r.Author] {
			batches = append(batches, b.Batch)
		}
		h.mu.Unlock()
	}
	for _, b := range batches {
		covers := b.Header.First == next || len(out)+len(placed) == 0 && b.Header.First < next && next < b.Header.Next()
		if b.Header.Author != r.Author || !covers || b.Header.First >= r.To || len(placed)+len(out) >= ledger.MaxChainBatches {
			continue
		}
		out, next = append(out, b), b.Header.Next()
	}
	return out
}

// hear looks at the headers that a peer tells.
func (h *Heads) hear(ctx context.Context, peer ledger.BureauNumber, told []byte) error {
	headers, err := ledger.DecodeHeads(told)
	if err != nil {
		return err
	}
	fetches := maxFetches
	for i := range headers {
		s := &headers[i]
		id := s.Header.Identity()
		if h.known(id) {
			continue
		}
		if err := h.cfg.Ledger.Verify(s); err != nil {
			return fmt.Errorf("head of %v: %w", s.Header.Author, err)
		}
		if err := h.look(ctx, peer, s, &fetches); err != nil {
			return err
		}
	}
	return nil
}

func (h *Heads) known(id ledger.Hash) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[id]
}

// agrees notes that a header has been looked at.
func (h *Heads) agrees(id ledger.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.seen) >= maxAheadAll {
		clear(h.seen)
	}
	h.seen[id] = true
}

// look compares one header with what is known of its author, and fetches what lies between.
func (h *Heads) look(ctx context.Context, peer ledger.BureauNumber, s *ledger.SignedHeader, fetches *int) error {
	a := s.Header.Author
	if memberOf(a) == h.cfg.Self {
		if !h.cfg.Own.Knows(a.Session, s.Header.Next()) {
			h.rolledBack(s)
		}
	}
	if b, ok := h.at(a, s.Header.First); ok {
		h.contradict(ctx, b, s)
		h.agrees(s.Header.Identity())
		return nil
	}
	for *fetches > 0 {
		*fetches--
		more, err := h.fetch(ctx, peer, ledger.ChainRequest{Author: a, From: h.end(a), To: s.Header.Next()})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// at is the header of the batch that is known to have the author's sequence number.
func (h *Heads) at(a ledger.Author, sequence uint64) (*ledger.SignedHeader, bool) {
	q := ledger.ChainRequest{Author: a, From: sequence, To: sequence + 1}
	var batches []*ledger.Batch
	if end, ok := h.placed(a); !ok || sequence < end {
		var err error
		if batches, _, err = h.cfg.Ledger.Chain(q, 1); err != nil {
			return nil, false
		}
	}
	if len(batches) == 0 {
		if b := h.fetched(a, sequence); b != nil {
			batches = []*ledger.Batch{b}
		} else if memberOf(a) == h.cfg.Self {
			batches = h.beyond(q, nil)
		}
	}
	if len(batches) == 0 {
		return nil, false
	}
	s := batches[0].Signed()
	return &s, true
}

// fetched is the batch beyond the ledger that has the author's sequence number, nil for none.
func (h *Heads) fetched(a ledger.Author, sequence uint64) *ledger.Batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	batches := h.ahead[a]
	i := sort.Search(len(batches), func(i int) bool { return sequence < batches[i].Header.Next() })
	if i == len(batches) || sequence < batches[i].Header.First {
		return nil
	}
	return batches[i].Batch
}

// placed is the sequence number behind the author's last batch in the ledger; false for one whose
// session is not its machine's newest there.
func (h *Heads) placed(a ledger.Author) (uint64, bool) {
	heads, err := h.cfg.Ledger.Heads()
	if err != nil {
		return 0, false
	}
	for i := range heads {
		if heads[i].Header.Author == a {
			return heads[i].Header.Next(), true
		}
	}
	return 0, false
}

// end is the sequence number behind the author's last batch that is known.
func (h *Heads) end(a ledger.Author) uint64 {
	h.mu.Lock()
	if batches := h.ahead[a]; len(batches) > 0 {
		defer h.mu.Unlock()
		return batches[len(batches)-1].Header.Next()
	}
	h.mu.Unlock()
	end, _ := h.placed(a)
	return end
}

// fetch asks for a part of a chain and keeps it; more says that the peer has yet more of it.
func (h *Heads) fetch(ctx context.Context, peer ledger.BureauNumber, q ledger.ChainRequest) (more bool, err error) {
	if q.From >= q.To {
		return false, nil
	}
	raw, err := h.cfg.Peers.AskChain(ctx, peer, q.Encode())
	if err != nil {
		return false, err
	}
	a, err := ledger.DecodeChainAnswer(raw)
	if err != nil {
		return false, err
	}
	if err := a.Follows(q); err != nil {
		return false, err
	}
	for _, b := range a.Batches {
		s := b.Signed()
		if err := h.cfg.Ledger.Verify(&s); err != nil {
			return false, fmt.Errorf("batch of %v: %w", b.Header.Author, err)
		}
		if !h.keep(ctx, b) {
			return false, nil
		}
	}
	return a.More && len(a.Batches) > 0, nil
}

// Rewound is told that the ledger has moved to a new epoch and dropped batches: those of other
// authors are kept, so that they find their places again though nobody else should have them.
func (h *Heads) Rewound(ctx context.Context, dropped []*ledger.Batch) {
	h.mu.Lock()
	clear(h.seen)
	h.waits.batch = ledger.Hash{} // positions begin anew
	h.mu.Unlock()
	for _, b := range dropped {
		if memberOf(b.Header.Author) != h.cfg.Self {
			h.keep(ctx, b)
		}
	}
}

// keep takes a batch that goes on from what is known; one that does not is proof of a fork.
func (h *Heads) keep(ctx context.Context, b *ledger.Batch) bool {
	if end, ok := h.placed(b.Header.Author); !ok || b.Header.First < end {
		if _, placed := h.cfg.Ledger.Answer(b); placed {
			return true
		}
	}
	s := b.Signed()
	if b.Header.First > 0 {
		before, ok := h.at(b.Header.Author, b.Header.First-1)
		if ok && before.Header.Identity() != b.Header.Previous {
			h.contradict(ctx, before, &s)
			return false
		}
	} else {
		h.contradictOpenings(ctx, &s)
	}
	a := b.Header.Author
	h.mu.Lock()
	full := len(h.ahead[a]) >= maxAhead || h.count >= maxAheadAll
	// What an epoch dropped comes after, and stands before, what was ahead of it.
	at, twice := slices.BinarySearchFunc(h.ahead[a], b.Header.First, func(k known, first uint64) int { return cmp.Compare(k.Header.First, first) })
	if !full && !twice {
		h.ahead[a] = slices.Insert(h.ahead[a], at, known{b, time.Now()})
		h.count++
		h.touch(b, 1)
	}
	h.mu.Unlock()
	if full || twice {
		return twice
	}
	h.cfg.Learned(b)
	return true
}
