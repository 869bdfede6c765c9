package node

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"pointage/ledger"
)

// signedHeaderLen is how much of an encoded batch its signed header is.
var signedHeaderLen = len(new(ledger.SignedHeader).Encode())

var (
	errOtherLeader = errors.New("signed by another member, or in another epoch")
	errOtherBatch  = errors.New("the answer to another batch")
)

// leaderAnswers signs what this machine answers as the leader of one epoch's group, and takes from others
// only what they signed as its leader. It implements consensus.Answers.
type leaderAnswers struct {
	n     *Node
	epoch uint8

	mu sync.Mutex
	// told are the leaders of whose unsigned or wrongly signed answers people have heard.
	told map[string]bool
}

func (n *Node) answersIn(epoch uint8) *leaderAnswers {
	return &leaderAnswers{n: n, epoch: epoch, told: map[string]bool{}}
}

// Seal implements consensus.Answers: one signature for each batch. That a batch is none, or not
// signed by its author, is not signed either: whoever proposed it can see it for himself.
func (a *leaderAnswers) Seal(batch, reply []byte) ([]byte, bool) {
	ans, err := ledger.DecodeAnswer(reply)
	if err != nil {
		return nil, false // the ledger has stopped
	}
	if needsNoWord(ans) {
		return reply, true
	}
	h, err := headerOf(batch)
	if err != nil {
		return nil, false
	}
	self := ledger.Member{Bureau: a.n.cfg.Bureau, Incarnation: a.n.keys.Incarnation}
	return ledger.SignAnswered(a.n.secrets.Device, a.n.prepared.Group, self, a.epoch, &ledger.Batch{Header: *h}, *ans).Encode(), true
}

// Open implements consensus.Answers. What is not the leader's signed word for the batch is no answer;
// of the first of each leader people are told.
func (a *leaderAnswers) Open(leader string, batch, sealed []byte) ([]byte, error) {
	reply, err := a.open(leader, batch, sealed)
	if err == nil {
		return reply, nil
	}
	a.mu.Lock()
	first := !a.told[leader]
	a.told[leader] = true
	a.mu.Unlock()
	if first {
		a.n.log.Error("the group's leader answers without its signature, or for another batch: call the election authority",
			"leader", a.n.peers.bureau[leader], "err", err)
	}
	return nil, fmt.Errorf("leader's word: %w", err)
}

func (a *leaderAnswers) open(leader string, batch, sealed []byte) ([]byte, error) {
	g := a.n.prepared.Group
	if ans, err := ledger.DecodeAnswer(sealed); err == nil && needsNoWord(ans) {
		b, err := ledger.DecodeBatch(batch)
		if err == nil && b.Verify(g) == nil {
			return nil, ledger.ErrSignature
		}
		return sealed, nil
	}
	w, err := ledger.DecodeWord(sealed)
	if err != nil {
		return nil, err
	}
	h, err := headerOf(batch)
	if err != nil {
		return nil, err
	}
	switch said := w.Answered; {
	case w.Member != a.n.peers.member(leader) || w.Epoch != a.epoch:
		return nil, errOtherLeader
	case said == nil || said.Author != h.Author || said.First != h.First || said.Batch != h.Identity():
		return nil, errOtherBatch
	}
	if err := w.Verify(g); err != nil {
		return nil, err
	}
	if heads := a.n.heads.Load(); heads != nil {
		heads.Heard(w, h)
	}
	return w.Answered.Answer.Encode(), nil
}

// needsNoWord says that the answer is about the batch alone, and nothing of the ledger.
func needsNoWord(ans *ledger.Answer) bool {
	return ans.Status == ledger.Rejected && (ans.Reason == ledger.Malformed || ans.Reason == ledger.NotSigned)
}

// headerOf is an encoded batch's header.
func headerOf(batch []byte) (*ledger.Header, error) {
	h, err := ledger.DecodeSignedHeader(batch[:min(len(batch), signedHeaderLen)])
	if err != nil {
		return nil, err
	}
	return &h.Header, nil
}

// member is the machine that has a peer ID.
func (p *peers) member(id string) ledger.Member {
	b := p.bureau[id]
	return ledger.Member{Bureau: b, Incarnation: ledger.Incarnation(slices.Index(p.machines[b], id))}
}
