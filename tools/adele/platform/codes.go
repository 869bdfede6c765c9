package platform

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/crypto/argon2"

	"pointage/ledger"
)

// The shape of an access code: the number under which it is known, which is no secret, and a
// secret of 100 bits: "7kq2m9xa-3fh8w-…".
const (
	codeIDBytes     = 5
	codeSecretChars = 20
	codeGroup       = 5
	codeSaltBytes   = 16
	codeHashBytes   = 32
	// What makes a passphrase of people's own invention expensive to guess, 100 random bits don't need:
	// this much keeps a stolen database from being tried at the speed of a bare hash.
	argonTime    = 1
	argonMemory  = 8 << 10 // KiB
	argonThreads = 1
)

// codeText is base32 without letters that are read as another one.
var codeText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// accessCode is what is kept of a personal access code (decree, art. 1 §3): never the code.
type accessCode struct {
	ID       string           `json:"id"`
	Role     Role             `json:"role"`
	Communes []ledger.Commune `json:"communes,omitempty"` // sorted; none for a regional role
	Salt     []byte           `json:"salt"`
	Hash     []byte           `json:"hash"`
	Issuer   string           `json:"issuer"` // a code's ID, or "platform"
	Issued   time.Time        `json:"issued"`
	Expires  time.Time        `json:"expires"`
	Revoked  time.Time        `json:"revoked,omitzero"`
	LastUse  time.Time        `json:"last_use,omitzero"`
	// Person is the name of the one person whose code it is, sealed under the Region's key.
	Person []byte `json:"person"`
	// Subject is the elector's place in the commune's list, for an elector's code.
	Subject []byte `json:"subject,omitempty"`
}

func codeKey(id string) []byte { return append([]byte{regionPrefix, 'a'}, id...) }

// drawCode makes a code and what is kept of it.
func drawCode() (code string, kept accessCode, err error) {
	raw := make([]byte, codeIDBytes+codeSecretChars+codeSaltBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", kept, fmt.Errorf("draw a code: %w", err)
	}
	kept.ID = codeText.EncodeToString(raw[:codeIDBytes])
	secret := codeText.EncodeToString(raw[codeIDBytes:])[:codeSecretChars]
	kept.Salt = raw[codeIDBytes+codeSecretChars:]
	kept.Hash = hashCode(secret, kept.Salt)
	code = kept.ID
	for part := range slices.Chunk([]byte(secret), codeGroup) {
		code += "-" + string(part)
	}
	return code, kept, nil
}

func hashCode(secret string, salt []byte) []byte {
	return argon2.IDKey([]byte(secret), salt, argonTime, argonMemory, argonThreads, codeHashBytes)
}

// splitCode reads a code as a person types it: case and hyphens after the first don't matter.
func splitCode(code string) (id, secret string, ok bool) {
	id, secret, _ = strings.Cut(strings.ToLower(strings.TrimSpace(code)), "-")
	secret = strings.ReplaceAll(secret, "-", "")
	return id, secret, len(id) == codeText.EncodedLen(codeIDBytes) && len(secret) == codeSecretChars
}

// fits says whether the secret is the code's. It takes as long for a code that is not there.
func (c *accessCode) fits(secret string) bool {
	salt, hash := make([]byte, codeSaltBytes), make([]byte, codeHashBytes)
	if c != nil {
		salt, hash = c.Salt, c.Hash
	}
	same := subtle.ConstantTimeCompare(hashCode(secret, salt), hash) == 1
	return same && c != nil
}

func (rg *Region) readCode(id string) (*accessCode, error) {
	raw, err := rg.st.get(codeKey(id))
	if err != nil || raw == nil {
		return nil, err
	}
	var c accessCode
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	return &c, nil
}

func putCode(batch *pebble.Batch, c *accessCode) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write code: %w", err)
	}
	return batch.Set(codeKey(c.ID), raw, nil)
}

// codes are all of them, by ID.
func (rg *Region) codes() ([]*accessCode, error) {
	var out []*accessCode
	err := rg.st.scan([]byte{regionPrefix, 'a'}, func(_, value []byte) error {
		var c accessCode
		if err := json.Unmarshal(value, &c); err != nil {
			return fmt.Errorf("read code: %w", err)
		}
		out = append(out, &c)
		return nil
	})
	return out, err
}

// A CodeOrder is what an access code is asked for with.
type CodeOrder struct {
	Role     Role             `json:"role"`
	Communes []ledger.Commune `json:"communes,omitempty"`
	// Person is the one person who may use it.
	Person string `json:"person"`
	Days   int    `json:"days"`
	// NationalNumber is the elector's, for an elector's code.
	NationalNumber string `json:"national_number,omitempty"`
}

// An IssuedCode is shown once.
type IssuedCode struct {
	Code    string    `json:"code"`
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

// check says what is wrong with an order, whoever gives it.
func (o *CodeOrder) check(rg *Region) error {
	switch {
	case !o.Role.personal():
		return errors.New("no access code is given in this role")
	case o.Person == "" || len(o.Person) > MaxPersonName || strings.ContainsFunc(o.Person, isControl):
		return fmt.Errorf("person: the name of one person, 1 to %d bytes", MaxPersonName)
	case o.Days < 1 || o.Days > MaxCodeDays:
		return fmt.Errorf("days: 1 to %d", MaxCodeDays)
	case o.Role.regional() != (len(o.Communes) == 0):
		return errors.New("communes: name those that the code is for, none for a regional role")
	case (o.Role == Elector) != (o.NationalNumber != ""), o.Role == Elector && len(o.Communes) != 1:
		return errors.New("an elector's code is for one commune and one national number, no other is")
	case len(o.Communes) > 1 && o.Role != JusticeOfPeace && o.Role != AuthorisedCandidate && o.Role != CouncilOfState && o.Role != Depositor:
		return errors.New("communes: this role is held in one commune")
	}
	slices.Sort(o.Communes)
	o.Communes = slices.Compact(o.Communes)
	for _, c := range o.Communes {
		if rg.communes[c] == nil {
			return fmt.Errorf("communes: the election has no commune %d", c)
		}
	}
	return nil
}

// newCode draws the code of an order that check has let pass.
func (rg *Region) newCode(o *CodeOrder, issuer string, limit time.Time) (string, *accessCode, error) {
	code, kept, err := drawCode()
	if err != nil {
		return "", nil, err
	}
	now := rg.now().UTC().Truncate(time.Second)
	kept.Role, kept.Communes, kept.Issuer, kept.Issued = o.Role, o.Communes, issuer, now
	kept.Expires = now.AddDate(0, 0, o.Days)
	if !limit.IsZero() && kept.Expires.After(limit) {
		kept.Expires = limit // who delegates can't outlive himself
	}
	key, err := rg.vault.of(regionVault)
	if err != nil {
		return "", nil, err
	}
	kept.Person = key.lock(codeKey(kept.ID), []byte(o.Person))
	if o.Role == Elector {
		if kept.Subject, err = rg.subjectPlace(o.Communes[0], o.NationalNumber); err != nil {
			return "", nil, err
		}
	}
	return code, &kept, nil
}

// issueCode is POST /codes.
func (rg *Region) issueCode(c *call) (*outcome, error) {
	var order CodeOrder
	if out := c.json(&order); out != nil {
		return out, nil
	}
	if err := order.check(rg); err != nil {
		return refuse(400, "bad order", err.Error()), nil
	}
	if !c.who.role.issues(order.Role) {
		return refuse(403, "not his to issue", "your role can't give codes in this role"), nil
	}
	if !c.who.covers(order.Communes) {
		return refuse(403, "other commune", "another commune's codes are given by that commune"), nil
	}
	c.lock()
	code, kept, err := rg.newCode(&order, c.who.code, c.who.expires)
	var missing errNoElector
	if errors.As(err, &missing) {
		return refuse(404, "no such elector", missing.Error()), nil
	}
	if err != nil {
		return nil, err
	}
	out := answerJSON(201, IssuedCode{Code: code, ID: kept.ID, Expires: kept.Expires})
	out.content, out.why = "code "+kept.ID, string(kept.Role)
	out.change = func(b *pebble.Batch) error { return putCode(b, kept) }
	return out, nil
}

// IssueCode gives a code without anybody being signed in: how the administration gets its first.
func (rg *Region) IssueCode(order CodeOrder) (IssuedCode, error) {
	if err := order.check(rg); err != nil {
		return IssuedCode{}, err
	}
	code, kept, err := rg.newCode(&order, "platform", time.Time{})
	if err != nil {
		return IssuedCode{}, err
	}
	batch := rg.st.db.NewBatch()
	defer batch.Close()
	if err := putCode(batch, kept); err != nil {
		return IssuedCode{}, err
	}
	e := LogEntry{At: rg.now(), Actor: "platform", Act: string(CodeIssue), Outcome: outcomeDone, Content: "code " + kept.ID, Why: string(kept.Role)}
	if _, err := rg.log.commit(batch, e); err != nil {
		return IssuedCode{}, err
	}
	return IssuedCode{Code: code, ID: kept.ID, Expires: kept.Expires}, nil
}

// A CodeStatus is what its issuer sees of a code.
type CodeStatus struct {
	ID       string           `json:"id"`
	Role     Role             `json:"role"`
	Communes []ledger.Commune `json:"communes,omitempty"`
	Person   string           `json:"person,omitempty"`
	Issuer   string           `json:"issuer"`
	Issued   time.Time        `json:"issued"`
	Expires  time.Time        `json:"expires"`
	Revoked  time.Time        `json:"revoked,omitzero"`
	LastUse  time.Time        `json:"last_use,omitzero"`
}

// manages says whether a person may see and revoke a code: the administration all, others those
// that they have issued.
func (c *call) manages(k *accessCode) bool {
	return c.who.role == Administration || k.Issuer == c.who.code
}

// listCodes is GET /codes.
func (rg *Region) listCodes(c *call) (*outcome, error) {
	all, err := rg.codes()
	if err != nil {
		return nil, err
	}
	key, err := rg.vault.of(regionVault)
	if err != nil {
		return nil, err
	}
	done, err := rg.readDestruction()
	if err != nil {
		return nil, err
	}
	list := []CodeStatus{}
	for _, k := range all {
		if !c.manages(k) {
			continue
		}
		person, err := key.unlock(codeKey(k.ID), k.Person)
		if err != nil && done == nil { // the names of codes given before went with all others
			return nil, fmt.Errorf("read code %s: %w", k.ID, err)
		}
		list = append(list, CodeStatus{k.ID, k.Role, k.Communes, string(person), k.Issuer, k.Issued, k.Expires, k.Revoked, k.LastUse})
	}
	out := answerJSON(200, list)
	out.count = len(list)
	return out, nil
}

// revokeCode is DELETE /codes/{id}: the code, those that its holder gave, and their sessions.
func (rg *Region) revokeCode(c *call) (*outcome, error) {
	c.lock()
	all, err := rg.codes()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(k *accessCode) bool { return k.ID == c.r.PathValue("id") })
	if at < 0 || !c.manages(all[at]) {
		return refuse(404, "no such code", "you have given no such code"), nil
	}
	gone := []*accessCode{all[at]}
	for i := 0; i < len(gone); i++ {
		for _, k := range all {
			if k.Issuer == gone[i].ID {
				gone = append(gone, k)
			}
		}
	}
	now := rg.now().UTC().Truncate(time.Second)
	out := answerJSON(200, map[string]int{"revoked": len(gone)})
	out.content, out.count = "code "+all[at].ID, len(gone)
	out.change = func(b *pebble.Batch) error {
		var errs []error
		for _, k := range gone {
			if k.Revoked.IsZero() {
				k.Revoked = now
				errs = append(errs, putCode(b, k))
			}
		}
		return errors.Join(errs...)
	}
	out.after = func() {
		for _, k := range gone {
			rg.sessions.endOf(k.ID)
		}
	}
	return out, nil
}
