package ledger

import "fmt"

// State is where a right stands at one bureau (SPEC 5).
type State uint8

// The states. Home: Own -> Admitted | Released, Released -> Own by a return.
// Away: None -> Held -> Admitted | None.
const (
	None        State = 0
	Own         State = 1
	Admitted    State = 2
	Released    State = 3
	Held        State = 4
	Provisioned State = 5
)

// String names the state.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

var stateNames = [...]string{"none", "own", "admitted", "released", "held", "provisional"}

// Record is what a bureau's own chain says of one right, as one value.
type Record struct {
	State State
	// Nonce: at home the number of releases made before; Released and Held, that
	// of the release; None, the lowest that may still be held.
	Nonce uint32
	// To is whom a Released right was released to.
	To BureauNumber
	// By is the admission, where State is Admitted or Provisioned.
	By StatementID
	// Proxy says that By used two rights, which only go back together.
	Proxy bool
}

// InitialRecord is the state of a right before the day: at home, Own.
func InitialRecord(home bool) Record {
	if home {
		return Record{State: Own}
	}
	return Record{State: None}
}

// Validity is whether a statement follows from its author's own chain and what
// it embeds, whatever else has arrived; numbered for ever (SPEC 6.1).
type Validity uint8

// The validities.
const (
	Valid Validity = 0
	// NotHeld: the author's chain does not have the right in the state that
	// the statement needs.
	NotHeld Validity = 1
	// BadEmbedding: what the statement embeds is not what it must be.
	BadEmbedding Validity = 2
	// NotOnRoll: the roll has no such elector.
	NotOnRoll Validity = 3
	// PolicyForbids: the manifest or the session's standing does not allow it.
	PolicyForbids Validity = 4
	// Unauthorised: the act needs signatures or an office that it lacks.
	Unauthorised Validity = 5

	lastValidity = Unauthorised
)

// String names the validity.
func (v Validity) String() string {
	switch v {
	case Valid:
		return "valid"
	case NotHeld:
		return "right not held"
	case BadEmbedding:
		return "embedded statement does not fit"
	case NotOnRoll:
		return "not on the roll"
	case PolicyForbids:
		return "not allowed here"
	case Unauthorised:
		return "not authorised"
	}
	return fmt.Sprintf("validity %d", uint8(v))
}

// change is one right's record before and after a statement.
type change struct {
	right  Right
	record Record
}

// Touches lists the rights that a statement moves or uses, in its own order;
// none for those that only tell.
func Touches(body Body) []Right {
	switch b := body.(type) {
	case *Admission:
		return []Right{{b.Elector, Admit}}
	case *ProxyAdmission:
		return []Right{{b.Principal, Admit}, {b.Holder, Carry}}
	case *Provisional:
		return []Right{{b.Elector, Admit}}
	case *Release:
		return []Right{b.Right}
	case *Hold:
		return []Right{b.Right}
	case *Return:
		return []Right{b.Right}
	case *Restored:
		return []Right{b.Right}
	case *Void:
		return b.Rights
	case *Annulment:
		return b.Rights
	}
	return nil
}

// Standing is what the rules need to know of who speaks.
type Standing struct {
	Author   Author
	Unfenced bool
}

// After gives the record of one right after a statement of the bureau, or the
// reason why the statement does not follow from it, the record then unchanged. id names
// the statement. It is the one place where records change.
func (g *Group) After(st Standing, x Right, r Record, id StatementID, body Body) (Record, Validity) {
	home, ok := g.Home(x.Elector)
	if !ok {
		return r, NotOnRoll
	}
	atHome := home == st.Author.Bureau
	if st.Unfenced && !allowedUnfenced(body) {
		return r, PolicyForbids
	}
	switch b := body.(type) {
	case *Admission:
		return r.used(b.Nonce, id, false)
	case *ProxyAdmission:
		if x.Kind == Carry {
			return r.used(b.HolderNonce, id, true)
		}
		return r.used(b.PrincipalNonce, id, true)
	case *Provisional:
		if !g.Provisional && !st.Unfenced {
			return r, PolicyForbids
		}
		return r.provisioned(id, atHome)
	case *Release:
		return g.released(r, st.Author.Bureau, b)
	case *Hold:
		return g.held(r, st.Author.Bureau, home, b)
	case *Return:
		return g.returned(r, st.Author.Bureau, home, b)
	case *Restored:
		return g.restored(r, st.Author.Bureau, b)
	case *Void:
		return r.undone(StatementID{id.Session, b.Sequence}, len(b.Rights) == 2, atHome)
	case *Annulment:
		return r.undone(b.Record, len(b.Rights) == 2, atHome)
	}
	panic(fmt.Sprintf("statement of kind %d touches no right", body.Kind()))
}

// allowedUnfenced: an incarnation whose predecessor may be alive moves no right.
func allowedUnfenced(body Body) bool {
	switch body.(type) {
	case *Admission, *ProxyAdmission, *Release, *Return, *Hold, *Restored:
		return false
	}
	return true
}

func (r Record) used(nonce uint32, id StatementID, proxy bool) (Record, Validity) {
	if r.State != Own && r.State != Held || r.Nonce != nonce {
		return r, NotHeld
	}
	return Record{State: Admitted, Nonce: nonce, By: id, Proxy: proxy}, Valid
}

func (r Record) provisioned(id StatementID, atHome bool) (Record, Validity) {
	// What this bureau itself recorded as admitted or released is refused even provisionally.
	if r.State != None && !(atHome && r.State == Own) {
		return r, NotHeld
	}
	return Record{State: Provisioned, Nonce: r.Nonce, By: id}, Valid
}

func (g *Group) released(r Record, self BureauNumber, b *Release) (Record, Validity) {
	if r.State != Own || r.Nonce != b.Nonce {
		return r, NotHeld
	}
	if b.To == self || g.Bureaux[b.To] == nil {
		return r, PolicyForbids
	}
	return Record{State: Released, Nonce: b.Nonce, To: b.To}, Valid
}

func (g *Group) held(r Record, self, home BureauNumber, b *Hold) (Record, Validity) {
	if home == self || r.State != None || b.Nonce < r.Nonce {
		return r, NotHeld
	}
	if !g.isRelease(b.Release, home, Release{b.Right, b.Nonce, self}) {
		return r, BadEmbedding
	}
	return Record{State: Held, Nonce: b.Nonce}, Valid
}

func (g *Group) returned(r Record, self, home BureauNumber, b *Return) (Record, Validity) {
	unused := r.State == Held && r.Nonce == b.Nonce || r.State == None && b.Nonce >= r.Nonce
	if home == self || !unused {
		return r, NotHeld
	}
	if !g.isRelease(b.Release, home, Release{b.Right, b.Nonce, self}) {
		return r, BadEmbedding
	}
	return Record{State: None, Nonce: b.Nonce + 1}, Valid
}

func (g *Group) restored(r Record, self BureauNumber, b *Restored) (Record, Validity) {
	if r.State != Released || r.Nonce != b.Nonce {
		return r, NotHeld
	}
	x, err := DecodeExtract(b.Return)
	if err != nil || x.Verify(g) != nil || x.Header.Author.Bureau != r.To {
		return r, BadEmbedding
	}
	ret, ok := x.Statement.Body.(*Return)
	if !ok || ret.Right != b.Right || ret.Nonce != b.Nonce || !g.isRelease(ret.Release, self, Release{b.Right, b.Nonce, r.To}) {
		return r, BadEmbedding
	}
	return Record{State: Own, Nonce: b.Nonce + 1}, Valid
}

// isRelease says whether the extract is the author's release with exactly
// these terms.
func (g *Group) isRelease(extract []byte, author BureauNumber, want Release) bool {
	x, err := DecodeExtract(extract)
	if err != nil || x.Header.Author.Bureau != author || x.Verify(g) != nil {
		return false
	}
	got, ok := x.Statement.Body.(*Release)
	return ok && *got == want
}

func (r Record) undone(record StatementID, proxy, atHome bool) (Record, Validity) {
	if r.State == Provisioned && r.By == record && !proxy {
		if atHome {
			return Record{State: Own, Nonce: r.Nonce}, Valid
		}
		return Record{State: None, Nonce: r.Nonce}, Valid
	}
	if r.State != Admitted || r.By != record || r.Proxy != proxy {
		return r, NotHeld
	}
	if atHome {
		return Record{State: Own, Nonce: r.Nonce}, Valid
	}
	return Record{State: Held, Nonce: r.Nonce}, Valid
}

// denies says whether the denial of a refused attempt, if there is one, is what the
// home bureau of a right of this elector said of that right. A proxy that the holder may
// not carry is refused for the holder's sake, whoever of the two is named.
func (g *Group) denies(b *AttemptRefused) bool {
	if len(b.Denial) == 0 {
		return true
	}
	x, err := DecodeExtract(b.Denial)
	if err != nil || x.Verify(g) != nil {
		return false
	}
	for _, right := range Touches(x.Statement.Body) {
		home, ok := g.Home(right.Elector)
		meant := right.Elector == b.Elector || b.Refusal == ProxyAlreadyHeld && right.Kind == Carry
		if ok && meant && home == x.Header.Author.Bureau {
			return true
		}
	}
	return false
}

// contradictory says whether the two headers are of one machine, both signed, and can't
// both stand: two batches at one sequence number, two sessions that go on from the same
// place, or a batch that goes on from another than the one before it.
func (g *Group) contradictory(e *Evidence) bool {
	x, err := DecodeSignedHeader(e.First)
	if err != nil {
		return false
	}
	y, err := DecodeSignedHeader(e.Second)
	if err != nil {
		return false
	}
	// Nearly all that are compared agree: signatures come last.
	return Contradict(&x.Header, &y.Header) && x.Verify(g) == nil && y.Verify(g) == nil
}

// Contradict says whether no chain of one machine holds both batches. With both signatures that is
// proof against the machine (Evidence).
func Contradict(a, b *Header) bool {
	if a.Author.Bureau != b.Author.Bureau || a.Author.Incarnation != b.Author.Incarnation || a.Identity() == b.Identity() {
		return false
	}
	if a.Author != b.Author {
		return a.First == 0 && b.First == 0 && a.Previous == b.Previous
	}
	return a.First < b.Next() && b.First < a.Next() ||
		a.Next() == b.First && b.Previous != a.Identity() || b.Next() == a.First && a.Previous != b.Identity()
}
