package ledger

import "golang.org/x/crypto/cryptobyte"

// Means is how an elector was identified (decree art. 9).
type Means uint8

// The means of identification; ByName is for the president alone.
const (
	ByCard              Means = 1
	ByConvocationNumber Means = 2
	ByNationalNumber    Means = 3
	ByName              Means = 4
)

func (r *reader) means() Means {
	v := Means(r.u8())
	if v < ByCard || v > ByName {
		r.fail()
	}
	return v
}

func addRight(b *cryptobyte.Builder, x Right) {
	b.AddBytes(x.Elector[:])
	b.AddUint8(uint8(x.Kind))
}

func (r *reader) right() (x Right) {
	r.copy(x.Elector[:])
	x.Kind = RightKind(r.u8())
	if x.Kind != Admit && x.Kind != Carry {
		r.fail()
	}
	return x
}

func addRights(b *cryptobyte.Builder, xs []Right) {
	b.AddUint8(uint8(len(xs)))
	for _, x := range xs {
		addRight(b, x)
	}
}

// rights reads the admit right of an admission, or a proxy's two: the
// principal's admit right and the holder's carry right, which only go together.
func (r *reader) rights() []Right {
	n := r.u8()
	if n < 1 || n > 2 {
		r.fail()
	}
	var xs []Right
	for i := uint8(0); i < n && !r.bad; i++ {
		xs = append(xs, r.right())
		if xs[i].Kind != Admit+RightKind(i) {
			r.fail()
		}
	}
	if len(xs) == 2 && xs[0].Elector == xs[1].Elector {
		r.fail()
	}
	return xs
}

func (r *reader) nonce() uint32 {
	n := r.u32()
	if n > MaxNonce {
		r.fail()
	}
	return n
}

func (r *reader) bureau() BureauNumber {
	n := BureauNumber(r.u16())
	if n == 0 {
		r.fail()
	}
	return n
}

// Admission says that an elector is admitted to vote: the row on the list. It
// uses the admit right, at home or held away.
type Admission struct {
	Elector ElectorToken
	// Nonce is the number of the right's stay: how often it had been released
	// before (at home), or that of the release (away).
	Nonce uint32
	Means Means
	// Attester is the code of the member of the bureau who did it.
	Attester uint16
}

// Kind is KindAdmission.
func (*Admission) Kind() Kind { return KindAdmission }

// NamesElector is true.
func (*Admission) NamesElector() bool { return true }

func (a *Admission) encode(b *cryptobyte.Builder) {
	b.AddBytes(a.Elector[:])
	b.AddUint32(a.Nonce)
	b.AddUint8(uint8(a.Means))
	b.AddUint16(a.Attester)
}

func (a *Admission) decode(r *reader) {
	r.copy(a.Elector[:])
	a.Nonce, a.Means, a.Attester = r.nonce(), r.means(), r.u16()
}

// AttemptRefused says that somebody asked to vote and was told no.
type AttemptRefused struct {
	Elector ElectorToken
	Refusal Refusal
	Means   Means
	// Attester is the code of the member of the bureau who told him.
	Attester uint16
	// Denial is the extract (encoded) with which the elector's home bureau
	// denied the right: its own admission, or its release to another bureau.
	// Empty when the refusal rests on this bureau's own chain.
	Denial []byte
}

// Kind is KindAttemptRefused.
func (*AttemptRefused) Kind() Kind { return KindAttemptRefused }

// NamesElector is true.
func (*AttemptRefused) NamesElector() bool { return true }

func (a *AttemptRefused) encode(b *cryptobyte.Builder) {
	b.AddBytes(a.Elector[:])
	b.AddUint16(uint16(a.Refusal))
	b.AddUint8(uint8(a.Means))
	b.AddUint16(a.Attester)
	addOpaque16(b, a.Denial)
}

func (a *AttemptRefused) decode(r *reader) {
	r.copy(a.Elector[:])
	a.Refusal = Refusal(r.u16())
	if !a.Refusal.Known() {
		r.fail()
	}
	a.Means, a.Attester = r.means(), r.u16()
	a.Denial = r.opaque16(0, MaxExtract)
}

// ProxyAdmission says that the holder (mandataire) votes for the principal
// (mandant); it uses the holder's carry right and the principal's admit right
// (decree art. 10). The holder's own admission is a statement of its own.
type ProxyAdmission struct {
	Holder, Principal           ElectorToken
	HolderNonce, PrincipalNonce uint32
	// Form is the number on the form, printable ASCII.
	Form []byte
	// Reason is the code of why the principal does not come; Evidence of what
	// was attached.
	Reason, Evidence uint8
	Means            Means
	Attester         uint16
}

// Kind is KindProxyAdmission.
func (*ProxyAdmission) Kind() Kind { return KindProxyAdmission }

// NamesElector is true.
func (*ProxyAdmission) NamesElector() bool { return true }

func (p *ProxyAdmission) encode(b *cryptobyte.Builder) {
	b.AddBytes(p.Holder[:])
	b.AddBytes(p.Principal[:])
	b.AddUint32(p.HolderNonce)
	b.AddUint32(p.PrincipalNonce)
	addOpaque16(b, p.Form)
	b.AddUint8(p.Reason)
	b.AddUint8(p.Evidence)
	b.AddUint8(uint8(p.Means))
	b.AddUint16(p.Attester)
}

func (p *ProxyAdmission) decode(r *reader) {
	r.copy(p.Holder[:])
	r.copy(p.Principal[:])
	p.HolderNonce, p.PrincipalNonce = r.nonce(), r.nonce()
	p.Form = r.opaque16(1, MaxFormNumber)
	for _, c := range p.Form {
		if c < 0x20 || c > 0x7e {
			r.fail()
		}
	}
	p.Reason, p.Evidence = r.u8(), r.u8()
	p.Means, p.Attester = r.means(), r.u16()
	if p.Holder == p.Principal {
		r.fail()
	}
}

// Release hands a right from its home bureau to one other (rule R7).
type Release struct {
	Right Right
	// Nonce counts the releases of this right, from 0.
	Nonce uint32
	To    BureauNumber
}

// Kind is KindRelease.
func (*Release) Kind() Kind { return KindRelease }

// NamesElector is true.
func (*Release) NamesElector() bool { return true }

func (m *Release) encode(b *cryptobyte.Builder) {
	addRight(b, m.Right)
	b.AddUint32(m.Nonce)
	b.AddUint16(uint16(m.To))
}

func (m *Release) decode(r *reader) {
	m.Right, m.Nonce, m.To = r.right(), r.nonce(), r.bureau()
}

// Hold says that a released right has arrived; it embeds the release.
type Hold struct {
	Right Right
	Nonce uint32
	// Release is the encoded extract of the release.
	Release []byte
}

// Kind is KindHold.
func (*Hold) Kind() Kind { return KindHold }

// NamesElector is true.
func (*Hold) NamesElector() bool { return true }

func (m *Hold) encode(b *cryptobyte.Builder) { encodeMove(b, m.Right, m.Nonce, m.Release) }
func (m *Hold) decode(r *reader)             { m.Right, m.Nonce, m.Release = r.move() }

// Return gives a released right back unused (rules R3, R5, R16); it embeds the
// release. "I never got it" is a return too.
type Return struct {
	Right Right
	Nonce uint32
	// Release is the encoded extract of the release.
	Release []byte
}

// Kind is KindReturn.
func (*Return) Kind() Kind { return KindReturn }

// NamesElector is true.
func (*Return) NamesElector() bool { return true }

func (m *Return) encode(b *cryptobyte.Builder) { encodeMove(b, m.Right, m.Nonce, m.Release) }
func (m *Return) decode(r *reader)             { m.Right, m.Nonce, m.Release = r.move() }

// Restored says that a returned right is at home again; it embeds the return.
type Restored struct {
	Right Right
	Nonce uint32
	// Return is the encoded extract of the return.
	Return []byte
}

// Kind is KindRestored.
func (*Restored) Kind() Kind { return KindRestored }

// NamesElector is true.
func (*Restored) NamesElector() bool { return true }

func (m *Restored) encode(b *cryptobyte.Builder) { encodeMove(b, m.Right, m.Nonce, m.Return) }
func (m *Restored) decode(r *reader)             { m.Right, m.Nonce, m.Return = r.move() }

func encodeMove(b *cryptobyte.Builder, x Right, nonce uint32, embedded []byte) {
	addRight(b, x)
	b.AddUint32(nonce)
	addOpaque16(b, embedded)
}

func (r *reader) move() (Right, uint32, []byte) {
	return r.right(), r.nonce(), r.opaque16(1, MaxExtract)
}

// Void takes back an admission of the author's own session whose ballot was not
// handed over (before the green light).
type Void struct {
	// Sequence names the admission in this session.
	Sequence uint64
	// Rights are those that it used: one, or a proxy's two (admit of the
	// principal, carry of the holder).
	Rights []Right
	Reason uint8
}

// Kind is KindVoid.
func (*Void) Kind() Kind { return KindVoid }

// NamesElector is true.
func (*Void) NamesElector() bool { return true }

func (v *Void) encode(b *cryptobyte.Builder) {
	b.AddUint64(v.Sequence)
	addRights(b, v.Rights)
	b.AddUint8(v.Reason)
}

func (v *Void) decode(r *reader) { v.Sequence, v.Rights, v.Reason = r.u64(), r.rights(), r.u8() }

// Annulment says, after the green light, that two persons attest that the
// elector got no ballot; it restores the rights where they were (rule R11).
type Annulment struct {
	// Record names the admission, of any session of this bureau.
	Record StatementID
	Rights []Right
	Reason uint8
	// Attesters are the codes of two different persons, the smaller first.
	Attesters [2]uint16
}

// Kind is KindAnnulment.
func (*Annulment) Kind() Kind { return KindAnnulment }

// NamesElector is true.
func (*Annulment) NamesElector() bool { return true }

func (a *Annulment) encode(b *cryptobyte.Builder) {
	b.AddBytes(a.Record.Session[:])
	b.AddUint64(a.Record.Sequence)
	addRights(b, a.Rights)
	b.AddUint8(a.Reason)
	b.AddUint16(a.Attesters[0])
	b.AddUint16(a.Attesters[1])
}

func (a *Annulment) decode(r *reader) {
	r.copy(a.Record.Session[:])
	a.Record.Sequence, a.Rights, a.Reason = r.u64(), r.rights(), r.u8()
	a.Attesters = [2]uint16{r.u16(), r.u16()}
	if a.Attesters[0] >= a.Attesters[1] {
		r.fail()
	}
}

// Provisional is an admission without the right, on the president's decision:
// only under a provisional policy or at an unfenced incarnation.
type Provisional struct {
	Elector  ElectorToken
	Reason   uint8
	Means    Means
	Attester uint16
}

// Kind is KindProvisional.
func (*Provisional) Kind() Kind { return KindProvisional }

// NamesElector is true.
func (*Provisional) NamesElector() bool { return true }

func (p *Provisional) encode(b *cryptobyte.Builder) {
	b.AddBytes(p.Elector[:])
	b.AddUint8(p.Reason)
	b.AddUint8(uint8(p.Means))
	b.AddUint16(p.Attester)
}

func (p *Provisional) decode(r *reader) {
	r.copy(p.Elector[:])
	p.Reason, p.Means, p.Attester = r.u8(), r.means(), r.u16()
}
