package rights

import "pointage/ledger"

// bounds make the space finite, and say what it is about.
type bounds struct {
	name    string
	bureaux int
	rights  []boundRight
	// proxies are pairs of rights, principal's and holder's, that desks ask for; with any, all
	// the rights at a bureau are one unit.
	proxies [][2]int
	// together: all the rights at a bureau are one unit without proxies too.
	together bool
	// How often each may happen in all; releases counts for each right.
	releases, crashes, voids, annulments, deaths, clones, rollbacks int
	// provisional, homeOnly: the manifest's policy.
	provisional, homeOnly bool
	// barrier: everybody commits before he admits, and the group speaks the truth.
	barrier bool
	// erases: a rollback may leave no medium with what was there.
	erases bool
	// dropped are the protocol's rules that are not in force, without those of the driver.
	dropped rules
	without flaw
	// demands are the promises that are asked for.
	demands promise
	// bits is the size of the table of places, as a power of two.
	bits int
}

type boundRight struct {
	elector int
	kind    ledger.RightKind
}

// flaw is a set of rules that the driver or its media hold, not in force.
type flaw uint32

const (
	// settleBlind: settled by what one of the old media has, which may be nothing.
	settleBlind flaw = 1 << iota
	// openFenced: the next incarnation acts as if its predecessor were known to be dead.
	openFenced
	// forgetBeside: what an unfenced incarnation did is forgotten where its predecessor's chain says
	// otherwise.
	forgetBeside
	// silentHome: home does not send a release again when the elector stands there.
	silentHome
	// noBarrier: nobody waits for the group's answer.
	noBarrier
	// anyAnswer: the group's answer is taken for whatever admission waits.
	anyAnswer
	// batchAnswer: the answer for one statement of a batch is taken for all.
	batchAnswer
	// unhanded: after a restart an admission counts as not handed over.
	unhanded
	// heedless: a conflict is taken for the first place.
	heedless
	// roams: a bureau lends rights, and asks for them, where the policy keeps them at home.
	roams
	// oneSided: the journal takes one right of a proxy's two along.
	oneSided
)
