package ledger

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Kind is what a statement declares; its numbers are for ever (SPEC 2).
type Kind uint8

// The kinds of statements.
const (
	KindSessionOpened  Kind = 1
	KindBureauOpened   Kind = 2
	KindAttendance     Kind = 3
	KindAccount        Kind = 4
	KindAdmission      Kind = 5
	KindAttemptRefused Kind = 6
	KindProxyAdmission Kind = 7
	KindRelease        Kind = 8
	KindHold           Kind = 9
	KindReturn         Kind = 10
	KindRestored       Kind = 11
	KindVoid           Kind = 12
	KindAnnulment      Kind = 13
	KindOrphan         Kind = 14
	KindEvidence       Kind = 15
	KindProvisional    Kind = 16
	KindCount          Kind = 17
	KindBureauClosed   Kind = 18
	KindAmendment      Kind = 19
	KindAnchored       Kind = 20
	KindCustody        Kind = 21
	KindIncident       Kind = 22
	KindMessage        Kind = 23
	KindImported       Kind = 24
	KindSettled        Kind = 25
	KindEquivocation   Kind = 26
	KindMinutes        Kind = 27
)

var kindNames = [...]string{
	KindSessionOpened: "session opened", KindBureauOpened: "bureau opened", KindAttendance: "attendance", KindAccount: "account",
	KindAdmission: "admission", KindAttemptRefused: "attempt refused", KindProxyAdmission: "proxy admission", KindRelease: "release",
	KindHold: "hold", KindReturn: "return", KindRestored: "restored", KindVoid: "void", KindAnnulment: "annulment", KindOrphan: "orphan",
	KindEvidence: "evidence", KindProvisional: "provisional", KindCount: "count", KindBureauClosed: "bureau closed",
	KindAmendment: "amendment", KindAnchored: "anchored", KindCustody: "custody", KindIncident: "incident", KindMessage: "message",
	KindImported: "imported", KindSettled: "settled", KindEquivocation: "equivocation", KindMinutes: "minutes",
}

// String names the kind.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Statement is one declaration of a bureau.
type Statement struct {
	// Time is when, by the device's clock; a multiple of TimeGrain where Body
	// names an elector.
	Time Instant
	Body Body
}

// Body is what a statement says, one type for each kind.
type Body interface {
	Kind() Kind
	// NamesElector says whether the body holds an elector's token, and so
	// whether its time is rounded.
	NamesElector() bool
	encode(*cryptobyte.Builder)
	decode(*reader)
}

// NewStatement makes a statement at time t, rounded where the body asks for it.
func NewStatement(t Instant, body Body) Statement {
	if i, ok := body.(*Incident); body.NamesElector() || ok && i.Code == IncidentOfAnElector {
		t = t.Rounded()
	}
	return Statement{Time: t, Body: body}
}

// Encode is the statement in its one form: struct { uint8 kind; uint64 time;
// body }. A statement that DecodeStatement would refuse is an error.
func (s Statement) Encode() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint8(uint8(s.Body.Kind()))
	b.AddUint64(uint64(s.Time))
	s.Body.encode(&b)
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	if len(out) > MaxStatement {
		return nil, fmt.Errorf("encode statement: %d bytes, at most %d", len(out), MaxStatement)
	}
	// What no reader takes would stop the author's chain for ever once signed.
	if _, err := DecodeStatement(out); err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return out, nil
}

// DecodeStatement reads what Encode writes and nothing else.
func DecodeStatement(b []byte) (Statement, error) {
	if len(b) > MaxStatement {
		return Statement{}, fmt.Errorf("statement of %d bytes, at most %d", len(b), MaxStatement)
	}
	r := &reader{s: b}
	kind, t := Kind(r.u8()), Instant(r.u64())
	body := newBody(kind)
	if body == nil {
		return Statement{}, fmt.Errorf("statement of unknown kind %d", kind)
	}
	body.decode(r)
	if err := r.done(); err != nil {
		return Statement{}, fmt.Errorf("statement of kind %d: %w", kind, err)
	}
	if t < 0 || body.NamesElector() && t%TimeGrain != 0 {
		return Statement{}, fmt.Errorf("statement of kind %d: time %d is not one it may have", kind, t)
	}
	return Statement{Time: t, Body: body}, nil
}

func newBody(k Kind) Body {
	switch k {
	case KindSessionOpened:
		return new(SessionOpened)
	case KindBureauOpened:
		return new(BureauOpened)
	case KindAttendance:
		return new(Attendance)
	case KindAccount:
		return new(Account)
	case KindAdmission:
		return new(Admission)
	case KindAttemptRefused:
		return new(AttemptRefused)
	case KindProxyAdmission:
		return new(ProxyAdmission)
	case KindRelease:
		return new(Release)
	case KindHold:
		return new(Hold)
	case KindReturn:
		return new(Return)
	case KindRestored:
		return new(Restored)
	case KindVoid:
		return new(Void)
	case KindAnnulment:
		return new(Annulment)
	case KindOrphan:
		return new(Orphan)
	case KindEvidence:
		return new(Evidence)
	case KindProvisional:
		return new(Provisional)
	case KindCount:
		return new(Count)
	case KindBureauClosed:
		return new(BureauClosed)
	case KindAmendment:
		return new(Amendment)
	case KindAnchored:
		return new(Anchored)
	case KindCustody:
		return new(Custody)
	case KindIncident:
		return new(Incident)
	case KindMessage:
		return new(Message)
	case KindImported:
		return new(Imported)
	case KindSettled:
		return new(Settled)
	case KindEquivocation:
		return new(Equivocation)
	case KindMinutes:
		return new(Minutes)
	}
	return nil
}
