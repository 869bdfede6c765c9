package heads

import (
	"slices"
	"time"

	"pointage/ledger"
)

const (
	// maxAnswers is how many signed answers are kept; the oldest make room.
	maxAnswers = 8192
	// promiseOverdue is how long an answer may be ahead of this bureau's ledger while that grows.
	promiseOverdue = time.Minute
)

// answers are what leaders have answered this bureau, signed. A leader that unsays an answer has
// proved its lie by its own two words; one that gives a place that the ledger then gives to another
// is noticed, and the batch is proposed again. Heads.mu guards it.
type answers struct {
	words []*ledger.Word
	of    map[saying]*ledger.Word
	// promised are places that the ledger here does not show yet, by batch.
	promised map[ledger.Hash]promise
	// proofs wait to be recorded.
	proofs []*ledger.Equivocation
}

// saying is what a word is about: a batch, or (batch zero) an entry.
type saying struct {
	member ledger.Member
	epoch  uint8
	batch  ledger.Hash
	entry  uint64
}

type promise struct {
	word   *ledger.Word
	header *ledger.Header
	since  time.Time
	size   uint64
}

func newAnswers() answers {
	return answers{of: map[saying]*ledger.Word{}, promised: map[ledger.Hash]promise{}}
}

// about lists what an answer speaks of; nothing when it may yet become another.
func about(w *ledger.Word) []saying {
	a := w.Answered
	if a.Answer.Status != ledger.Placed && a.Answer.Status != ledger.Contradicted {
		return nil
	}
	return []saying{
		{member: w.Member, epoch: w.Epoch, batch: a.Batch},
		{member: w.Member, epoch: w.Epoch, entry: a.Answer.Position},
	}
}

// Heard takes a leader's answer for a batch with this header, whose signature holds. It doesn't wait.
func (h *Heads) Heard(w *ledger.Word, header *ledger.Header) {
	sayings := about(w)
	if len(sayings) == 0 {
		return
	}
	size := h.cfg.Ledger.Head().Size
	h.mu.Lock()
	defer h.mu.Unlock()
	known := false
	for _, s := range sayings {
		before := h.answers.of[s]
		if before == nil {
			continue
		}
		if proof, ok := h.cfg.Group.Contradiction(before, w); ok {
			h.answers.proofs = append(h.answers.proofs, proof)
			break
		}
		known = true
	}
	if !known {
		h.keepLocked(w, sayings)
	}
	if w.Answered.Answer.Status == ledger.Placed && len(h.answers.promised) < maxAnswers {
		h.answers.promised[w.Answered.Batch] = promise{w, header, time.Now(), size}
	}
}

// keepLocked keeps a word and drops the oldest.
func (h *Heads) keepLocked(w *ledger.Word, sayings []saying) {
	a := &h.answers
	a.words = append(a.words, w)
	for _, s := range sayings {
		a.of[s] = w
	}
	if len(a.words) <= maxAnswers {
		return
	}
	for _, s := range about(a.words[0]) {
		if a.of[s] == a.words[0] {
			delete(a.of, s)
		}
	}
	a.words = slices.Delete(a.words, 0, 1)
}

// hold compares what leaders answered with what the ledger shows, and records what proves a lie.
func (h *Heads) hold() {
	head := h.cfg.Ledger.Head() // before the batches are looked up: what is behind it has its place
	h.mu.Lock()
	proofs := h.answers.proofs
	h.answers.proofs = nil
	var broken []promise
	differs := false
	for id, p := range h.answers.promised {
		said := p.word.Answered.Answer
		ans, placed := h.cfg.Ledger.Answer(&ledger.Batch{Header: *p.header})
		_, at := ledger.SplitReference(said.Position)
		if e, _ := ledger.SplitReference(ans.Position); placed && e > p.word.Epoch {
			delete(h.answers.promised, id) // an epoch after that one gave it its place anew
			continue
		}
		overdue := time.Since(p.since) > promiseOverdue && head.Size > p.size
		switch {
		case placed && (ans.Position != said.Position || !slices.Equal(ans.Verdicts, said.Verdicts)):
			differs = true
		case placed || p.word.Epoch != head.Epoch:
		case at < head.Size || overdue:
			broken = append(broken, p)
		default:
			continue
		}
		delete(h.answers.promised, id)
	}
	firstLeft, firstDiffers := len(broken) > 0 && !h.alarms.LeftOut, differs && !h.alarms.Differs
	h.alarms.LeftOut, h.alarms.Differs = h.alarms.LeftOut || len(broken) > 0, h.alarms.Differs || differs
	h.mu.Unlock()
	for _, proof := range proofs {
		h.unsaid(proof)
	}
	if firstLeft {
		h.cfg.Logger.Error("a leader answered that a batch of this bureau is placed, and the ledger has another in that place: call the election authority", "leader", broken[0].word.Member.Bureau)
	}
	if firstDiffers {
		h.cfg.Logger.Error("a leader's signed answer is not what the ledger says: call the election authority")
	}
	if len(broken) > 0 {
		h.cfg.Again()
	}
}

// unsaid records a leader's two words, once.
func (h *Heads) unsaid(proof *ledger.Equivocation) {
	a, b := ledger.LeafHash(proof.First), ledger.LeafHash(proof.Second)
	w, err := ledger.DecodeWord(proof.Second)
	if err == nil && h.fresh(a, b) {
		h.equivocal(proof, w.Member)
	}
}
