package rights

// What can happen at a simulated instant.
type simKind uint8

const (
	simAsk simKind = iota
	simAskProxy
	simLeave
	simUndo
	simAnnul
	simStray // an expiry that nobody waits for
	simAgain // the desk repeats its request for a release
	simFlushed
	simBarrier
	simPropose
	simCommit
	simReply
	simDeliver
	simPlaced
	simCrash
	simRestart
	simGiveBack
	simLeader
	simTrouble
	simMend
	simTamper // somebody clones a journal or puts an older one back
	simHeal
	simLevel // a minute after the healing
	simKinds
)

var simKindNames = [simKinds]string{
	"asks", "asks by proxy", "leaves", "undoes", "annuls", "expires", "asks home again", "is durable", "waited D", "proposes", "is placed", "is answered", "gets",
	"reads the ledger", "crashes", "restarts", "gives back", "finds a leader", "trouble", "mended", "tampering", "healed", "must be level",
}

// simEvent is something that will happen: to an elector at a machine, mostly.
type simEvent struct {
	at int64
	// order breaks ties, so that a seed has one run.
	order   uint32
	kind    simKind
	machine uint8
	elector int32
	// arg is the kind's own: a message, a statement, an opening.
	arg int32
	// opening is the machine's opening that the event belongs to; of an earlier one it has no
	// effect. 0 belongs to all.
	opening int32
}

// simQueue is a heap of events, four children to a node.
type simQueue struct {
	heap  []simEvent
	order uint32
}

func (e *simEvent) before(o *simEvent) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

func (q *simQueue) push(e simEvent) {
	q.order++
	e.order = q.order
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

func (q *simQueue) pop() simEvent {
	first, n := q.heap[0], len(q.heap)-1
	e := q.heap[n]
	q.heap = q.heap[:n]
	i := 0
	for 4*i+1 < n {
		least := 4*i + 1
		for c := least + 1; c < min(4*i+5, n); c++ {
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&e) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	if n > 0 {
		q.heap[i] = e
	}
	return first
}
