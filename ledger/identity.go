package ledger

import (
	"encoding/hex"
	"fmt"
)

// Hash is a SHA-256 value.
type Hash [32]byte

// String is the hash in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what Hash.String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != s {
		return h, fmt.Errorf("%q is not a SHA-256 in 64 lower-case hexadecimal digits", s)
	}
	copy(h[:], b)
	return h, nil
}

// Commune is a commune's five-digit INS code, 21001 to 21019 in the Region.
type Commune uint32

// BureauNumber is a polling station's number within its commune, from 1.
type BureauNumber uint16

// Incarnation counts the machines that a bureau has had without the media of
// the one before, from 0 to Incarnations-1; each has its own key.
type Incarnation uint8

// SessionID is the random number drawn at every opening of a bureau's media.
type SessionID [16]byte

// Author is who signs: one session of one incarnation of a bureau.
type Author struct {
	Bureau      BureauNumber
	Incarnation Incarnation
	Session     SessionID
}

// String is short and for people: a bureau, its incarnation if not the first, the first bytes of the session.
func (a Author) String() string {
	if a.Incarnation == 0 {
		return fmt.Sprintf("bureau %d session %x", a.Bureau, a.Session[:4])
	}
	return fmt.Sprintf("bureau %d incarnation %d session %x", a.Bureau, a.Incarnation, a.Session[:4])
}

// StatementID names one statement for ever.
type StatementID struct {
	Session  SessionID
	Sequence uint64
}

// ElectorToken stands for an elector in the ledger: HMAC-SHA-256 of the national
// number under the commune's key of this election (Token).
type ElectorToken [32]byte

// String hides the token: it must not reach a log.
func (ElectorToken) String() string { return "elector" }

// GoString hides the token from %#v too.
func (ElectorToken) GoString() string { return "elector" }

// RightKind is what a right lets its holder do.
type RightKind uint8

const (
	// Admit is the right to be handed a ballot of one's own.
	Admit RightKind = 1
	// Carry is the right to hold one proxy (decree art. 10).
	Carry RightKind = 2
)

// String names the right.
func (k RightKind) String() string {
	switch k {
	case Admit:
		return "admit"
	case Carry:
		return "carry"
	}
	return fmt.Sprintf("right %d", uint8(k))
}

// Right is what moves among bureaux: at any time it lies in exactly one place.
type Right struct {
	Elector ElectorToken
	Kind    RightKind
}

// Instant is a time in milliseconds since 1970-01-01 UTC, from the device's
// clock: information, never the ground of a decision.
type Instant int64

// Rounded is the instant down to the grain that statements naming electors keep.
func (t Instant) Rounded() Instant {
	m := t % TimeGrain
	if m < 0 {
		m += TimeGrain
	}
	return t - m
}
