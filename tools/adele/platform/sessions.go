package platform

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// identity is who asks.
type identity struct {
	role     Role
	code     string // of a person
	communes []ledger.Commune
	bureau   ledger.BureauNumber // of a machine
	subject  []byte              // an elector's place in the list
	expires  time.Time           // of the code
}

// actor is how the access log names him.
func (w *identity) actor() string {
	switch {
	case w.code != "":
		return "code " + w.code
	case w.bureau != 0:
		return fmt.Sprintf("bureau %d/%d", w.communes[0], w.bureau)
	}
	return string(Nobody)
}

// covers says whether all communes are his; regional roles have all.
func (w *identity) covers(communes []ledger.Commune) bool {
	if w.role.regional() {
		return true
	}
	for _, c := range communes {
		if !slices.Contains(w.communes, c) {
			return false
		}
	}
	return len(communes) > 0
}

// sessions are those who have signed in with a code. They are in memory only: a platform that was
// started again asks everybody for his code.
type sessions struct {
	mu     sync.Mutex
	live   map[[32]byte]*session
	tries  map[string]*tries // by code's ID
	remote map[string]*bucket
	news   bucket
	work   chan struct{} // one token per hash in work
}

type session struct {
	who           identity
	began, lately time.Time
}

// tries counts wrong secrets of one code.
type tries struct {
	wrong int
	until time.Time // nothing is tried before
	at    time.Time
}

func newSessions(now time.Time) *sessions {
	return &sessions{
		live: map[[32]byte]*session{}, tries: map[string]*tries{}, remote: map[string]*bucket{},
		news: newBucket(MaxSignInsPerSecond, MaxSignInBurst, now), work: make(chan struct{}, maxHashing),
	}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.lately) > sessionIdle || now.Sub(s.began) > sessionLife || !now.Before(s.who.expires)
}

// find is whose session a token is.
func (ss *sessions) find(token string, now time.Time) (identity, bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.live[sha256.Sum256([]byte(token))]
	if s == nil || s.over(now) {
		return identity{}, false
	}
	s.lately = now
	return s.who, true
}

func (ss *sessions) end(token string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.live, sha256.Sum256([]byte(token)))
}

// endOf ends the sessions of a code.
func (ss *sessions) endOf(code string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for k, s := range ss.live {
		if s.who.code == code {
			delete(ss.live, k)
		}
	}
}

// begin opens the one session of a code; another one that lives is left alone, and the second is
// refused: a code is one person's, at one place.
func (ss *sessions) begin(who identity, now time.Time) (token string, ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for k, s := range ss.live {
		if s.over(now) {
			delete(ss.live, k)
		} else if s.who.code == who.code {
			return "", false
		}
	}
	if len(ss.live) >= MaxSessions {
		return "", false
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		panic(fmt.Sprintf("draw a session: %v", err))
	}
	token = base64.RawURLEncoding.EncodeToString(raw)
	ss.live[sha256.Sum256([]byte(token))] = &session{who: who, began: now, lately: now}
	return token, true
}

// mayTry says whether a secret of this code may be tried now from this address.
func (ss *sessions) mayTry(id, remote string, now time.Time) (wait time.Duration) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.remote) >= MaxSessions {
		clear(ss.remote) // a crowd of addresses: the bucket of all still holds
	}
	b := ss.remote[remote]
	if b == nil {
		fresh := newBucket(MaxSignInsPerSecondHere, MaxSignInBurstHere, now)
		b, ss.remote[remote] = &fresh, &fresh
	}
	if t := ss.tries[id]; t != nil && now.Before(t.until) {
		return t.until.Sub(now)
	}
	if !b.take(now) || !ss.news.take(now) {
		return time.Second
	}
	return 0
}

// tried notes the outcome: each wrong secret beyond the first few doubles the wait.
func (ss *sessions) tried(id string, right bool, now time.Time) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if right {
		delete(ss.tries, id)
		return
	}
	if len(ss.tries) >= MaxSessions {
		for k, t := range ss.tries {
			if now.Sub(t.at) > maxTryWait {
				delete(ss.tries, k)
			}
		}
	}
	t := ss.tries[id]
	if t == nil {
		if len(ss.tries) >= MaxSessions {
			return
		}
		t = &tries{}
		ss.tries[id] = t
	}
	t.wrong, t.at = t.wrong+1, now
	if t.wrong >= MaxWrongCodes {
		t.until = now.Add(min(maxTryWait, firstTryWait<<min(t.wrong-MaxWrongCodes, 16)))
	}
}

// A SignedIn is the answer to POST /session.
type SignedIn struct {
	Session  string           `json:"session"`
	Role     Role             `json:"role"`
	Communes []ledger.Commune `json:"communes,omitempty"`
	Expires  time.Time        `json:"expires"` // of the code
}

// actSignIn and actSignOut are what the access log calls the two.
const (
	actSignIn  = "session.begin"
	actSignOut = "session.end"
)

// signIn is POST /session with {"code": …}.
func (rg *Region) signIn(c *call) (*outcome, error) {
	var ask struct {
		Code string `json:"code"`
	}
	// Nobody is known yet: who sends slowly does not hold a place for long.
	if err := http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if out := c.json(&ask); out != nil {
		return out, nil
	}
	id, secret, ok := splitCode(ask.Code)
	if !ok {
		return refuse(401, "malformed code", "this is not an access code: type it as it was given"), nil
	}
	now := rg.now()
	host, _, err := net.SplitHostPort(c.r.RemoteAddr)
	if err != nil {
		host = c.r.RemoteAddr
	}
	if wait := rg.sessions.mayTry(id, host, now); wait > 0 {
		out := refuse(429, "throttled", fmt.Sprintf("too many attempts: wait %v", wait.Round(time.Second)))
		out.retry = wait
		return out, nil
	}
	rg.sessions.work <- struct{}{}
	kept, err := rg.readCode(id)
	right := err == nil && kept.fits(secret)
	<-rg.sessions.work
	if err != nil {
		return nil, err
	}
	rg.sessions.tried(id, right, now)
	if !right {
		out := refuse(401, "wrong code", "the code is wrong")
		if kept != nil {
			out.content = "code " + kept.ID
		}
		return out, nil
	}
	c.lock()
	if kept, err = rg.readCode(id); err != nil || kept == nil { // it may have been withdrawn meanwhile
		return nil, err
	}
	return rg.enter(c, kept, now)
}

// enter opens the session of a code whose secret was right.
func (rg *Region) enter(c *call, kept *accessCode, now time.Time) (*outcome, error) {
	c.who = identity{role: kept.Role, code: kept.ID, communes: kept.Communes, subject: kept.Subject, expires: kept.Expires}
	switch {
	case !kept.Revoked.IsZero():
		return refuse(401, "revoked code", "this code was withdrawn: ask who gave it for another one"), nil
	case !now.Before(kept.Expires):
		return refuse(401, "expired code", "this code has expired: ask who gave it for another one"), nil
	}
	token, ok := rg.sessions.begin(c.who, now)
	if !ok {
		return refuse(409, "code in use", "this code is in use: it is one person's; sign out there first, or wait until that session ends"), nil
	}
	out := answerJSON(200, SignedIn{Session: token, Role: kept.Role, Communes: kept.Communes, Expires: kept.Expires})
	out.change = func(b *pebble.Batch) error {
		used := *kept
		used.LastUse = now.UTC().Truncate(time.Second)
		return putCode(b, &used)
	}
	out.failed = func() { rg.sessions.end(token) }
	return out, nil
}

// signOut is DELETE /session.
func (rg *Region) signOut(c *call) (*outcome, error) {
	rg.sessions.end(bearer(c.r))
	return &outcome{status: http.StatusNoContent}, nil
}

// bearer is the session's token in a request (RFC 6750 §2.1).
func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}
