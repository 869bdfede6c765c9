package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"pointage/ledger"
)

// Limits of sessions.
const (
	// lockAfter is how long a table may be idle; then its session is dead, and whoever comes back signs in anew.
	lockAfter = 10 * time.Minute
	// strangerAfter is how long a sign-in page waits; lostAfter how long a locked session is remembered for what was
	// being typed.
	strangerAfter, lostAfter = 2 * time.Hour, time.Hour
	// longest is how long a session lasts, however busy.
	longest = 16 * time.Hour
	// maxSessions bounds them all; beyond it the one that was idle the longest goes.
	maxSessions = 256
	// maxNotices and maxDrafts bound what a session keeps for later pages.
	maxNotices, maxDrafts = 8, 8
)

// person is who is signed in.
type person struct {
	// Code is the member's number, which stands in every statement of his acts; 0 for nobody.
	Code      uint16
	President bool
	Name      string
	// Function is the member's, as the register has it; empty when unknown.
	Function string
}

func (p person) role() role {
	if p.President {
		return president
	}
	return assessor
}

// session is one browser's. The random number in its cookie is all that names it.
type session struct {
	// Fixed when it is made.
	token   string
	agent   [sha256.Size]byte
	address string
	made    time.Time
	who     person

	mu      sync.Mutex
	lang    language
	used    time.Time
	locked  time.Time
	notices []notice
	// last is the last check-in, so that a double scan is the same one.
	last lastCheckIn
	// asking is the bureau whose release is awaited now, 0 for none; under is the elector whose check-in is under way, and leave ends the
	// wait for it.
	asking ledger.BureauNumber
	under  *Desk
	leave  context.CancelFunc
	// pressed is the last form that was sent.
	pressed *press
	// streams is how many event streams are open.
	streams int
	// drafts are what was being typed when the session was locked, by page.
	drafts map[string]url.Values
}

// sessions are all of a server's, by the SHA-256 of their cookies: looking one up tells nothing of its secret.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

// newCookie draws 128 random bits.
func newCookie() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func newToken() string {
	b := make([]byte, 16)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// begin makes a session for the browser that sent r and returns its cookie's value.
func (s *sessions) begin(r *http.Request, who person, lang language) (*session, string) {
	cookie, at := newCookie(), s.now()
	x := &session{token: newToken(), agent: agentOf(r), address: addressOf(r), made: at, used: at, who: who, lang: lang, drafts: map[string]url.Values{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweepLocked(at)
	s.all[sha256.Sum256([]byte(cookie))] = x
	return x, cookie
}

// sweepLocked forgets sessions that are over, and the idlest when there are too many: strangers' first, so that nobody
// who only asks for the sign-in page signs others out.
func (s *sessions) sweepLocked(at time.Time) {
	var idlest [2][sha256.Size]byte // a stranger's, and one of who is signed in
	var since [2]time.Time
	for k, x := range s.all {
		x.mu.Lock()
		used, over, kind := x.used, x.overLocked(at), 0
		x.mu.Unlock()
		if over {
			delete(s.all, k)
			continue
		}
		if x.who.Code != 0 {
			kind = 1
		}
		if since[kind].IsZero() || used.Before(since[kind]) {
			idlest[kind], since[kind] = k, used
		}
	}
	switch {
	case len(s.all) < maxSessions:
	case !since[0].IsZero():
		delete(s.all, idlest[0])
	default:
		delete(s.all, idlest[1])
	}
}

// overLocked says that nothing of the session is needed any longer.
func (x *session) overLocked(at time.Time) bool {
	if x.who.Code == 0 {
		return at.Sub(x.used) > strangerAfter
	}
	return at.Sub(x.used) > lockAfter+lostAfter || at.Sub(x.made) > longest
}

// alive says whether the session may still act; one that was idle too long is locked for ever.
func (x *session) alive(at time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.locked.IsZero() || x.overLocked(at) {
		return false
	}
	if x.who.Code != 0 && at.Sub(x.used) > lockAfter {
		x.locked = at
		return false
	}
	return true
}

// lock ends the session's right to act.
func (x *session) lock(at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.locked.IsZero() {
		x.locked = at
	}
}

// touch says that a person did something; events that the page asks for by itself don't.
func (x *session) touch(at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used = at
}

func (x *session) language() language {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lang
}

func (x *session) speak(l language) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lang = l
}

func (x *session) addNotice(n notice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.notices) < maxNotices {
		x.notices = append(x.notices, n)
	}
}

func (x *session) takeNotices() []notice {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := x.notices
	x.notices = nil
	return out
}

// of finds the session of a request. A cookie that comes from another browser or address than it was given to was
// stolen: its session ends there and then.
func (s *sessions) of(r *http.Request, name string) (x *session, stolen bool) {
	c, err := r.Cookie(name)
	if err != nil {
		return nil, false
	}
	s.mu.Lock()
	x = s.all[sha256.Sum256([]byte(c.Value))]
	s.mu.Unlock()
	if x == nil {
		return nil, false
	}
	if x.agent != agentOf(r) || x.address != addressOf(r) {
		x.lock(s.now())
		return nil, true
	}
	return x, false
}

// end forgets the session of a request's cookie.
func (s *sessions) end(r *http.Request, name string) {
	if c, err := r.Cookie(name); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, sha256.Sum256([]byte(c.Value)))
	}
}

// endOf ends all sessions of a member, such as one whose PIN was changed.
func (s *sessions) endOf(code uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, x := range s.all {
		if x.who.Code == code && !x.who.President {
			delete(s.all, k)
		}
	}
}

// keepDraft keeps what was being typed on a page when its session was found locked, for the same person.
func (s *sessions) keepDraft(x *session, page string, form url.Values) {
	form.Del(tokenField)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.drafts) < maxDrafts {
		x.drafts[page] = form
	}
}

// inherit gives a person's new session the drafts of the one that was locked.
func (s *sessions) inherit(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range s.all {
		if old == x || old.who.Code != x.who.Code || old.who.President != x.who.President {
			continue
		}
		old.mu.Lock()
		for page, form := range old.drafts {
			x.drafts[page] = form
		}
		clear(old.drafts)
		old.mu.Unlock()
	}
}

// takeDraft is what was being typed on this page when the table was locked, nil for nothing. It never has secrets:
// keepDraft is not asked for pages' fields of second persons.
func (v *visit) takeDraft() url.Values {
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	d := v.session.drafts[v.page.name]
	delete(v.session.drafts, v.page.name)
	return d
}

// holds says whether a form carries the session's token.
func (x *session) holds(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(x.token)) == 1
}

func agentOf(r *http.Request) [sha256.Size]byte { return sha256.Sum256([]byte(r.UserAgent())) }

// addressOf is the address that the request came from, without its port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
