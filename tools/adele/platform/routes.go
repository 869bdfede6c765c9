package platform

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"

	"pointage/ledger"
)

// A route is one address of the API; the resource decides who may use it. Addresses with {ins}
// and {bureau} are for that commune and bureau.
type route struct {
	pattern  string
	resource Resource
	serve    func(*Region, *call) (*outcome, error)
}

// routes are all of them but those that ask for no right: signing in and out, and health.
var routes = []route{
	{"PUT /communes/{ins}/list", ListUpload, (*Region).uploadList},
	{"GET /communes/{ins}/list", ListRead, (*Region).readList},
	{"GET /communes/{ins}/copy", ListCopy, (*Region).copyList},
	{"POST /communes/{ins}/find", ElectorFind, (*Region).findElector},
	{"POST /communes/{ins}/changes", ElectorChange, (*Region).changeElectors},
	{"GET /record", RecordOwn, (*Region).ownRecord},
	{"PUT /communes/{ins}/candidates", CandidatesMark, (*Region).markCandidates},
	{"PUT /communes/{ins}/members", MembersWrite, (*Region).writeMembers},
	{"GET /communes/{ins}/members", MembersRead, (*Region).readMembers},
	{"PUT /communes/{ins}/token-key", TokenKeyWrite, (*Region).writeTokenKey},
	{"PUT /communes/{ins}/ledger/{epoch}/entries", LedgerUpload, (*Region).uploadEntries},
	{"PUT /communes/{ins}/ledger/{epoch}/checkpoint", LedgerUpload, (*Region).uploadCheckpoint},
	{"GET /communes/{ins}/ledger", LedgerRead, (*Region).ledgerStatus},
	{"GET /communes/{ins}/ledger/{epoch}", LedgerRead, (*Region).ledgerStatus},
	{"GET /communes/{ins}/ledger/files/{name...}", LedgerRead, (*Region).ledgerFile},
	{"GET /communes/{ins}/check-ins", CheckInsRead, (*Region).checkIns},
	{"GET /communes/{ins}/absent-electors", AbsentElectors, (*Region).absentElectors},
	{"GET /communes/{ins}/absent-electors/addresses", AbsentAddresses, (*Region).absentAddresses},
	{"GET /communes/{ins}/absent-members", AbsentMembers, (*Region).absentMembers},
	{"PUT /communes/{ins}/bureaux/{bureau}/documents/{name}", DocumentWrite, (*Region).writeDocument},
	{"GET /communes/{ins}/bureaux/{bureau}/documents/{name}", DocumentRead, (*Region).readDocument},
	{"GET /communes/{ins}/bureaux/{bureau}/documents", DocumentRead, (*Region).listDocuments},
	{"POST /custody", CustodyWrite, (*Region).handOver},
	{"GET /custody", CustodyRead, (*Region).custody},
	{"GET /custody/overdue", CustodyRead, (*Region).overdue},
	{"POST /codes", CodeIssue, (*Region).issueCode},
	{"GET /codes", CodeRead, (*Region).listCodes},
	{"DELETE /codes/{id}", CodeRevoke, (*Region).revokeCode},
	{"PUT /validations/{commune}", ValidationWrite, (*Region).validate},
	{"PUT /settlement", SettlementWrite, (*Region).settleAbsentees},
	{"POST /destruction", Destroy, (*Region).destroy},
	{"GET /destruction", DestructionRead, (*Region).destruction},
	{"GET /log/{name...}", LogRead, (*Region).logFile},
	{"POST /backups", BackupMake, (*Region).makeBackup},
}

// Handler serves the API of API.md. It is for a server that speaks TLS.
func (rg *Region) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, t := range routes {
		mux.HandleFunc(t.pattern, func(w http.ResponseWriter, r *http.Request) {
			rg.answer(&call{rg: rg, w: w, r: r, resource: t.resource}, rg.guarded(t.serve))
		})
	}
	mux.HandleFunc("POST /session", func(w http.ResponseWriter, r *http.Request) {
		rg.answer(&call{rg: rg, w: w, r: r, resource: actSignIn, who: identity{role: Nobody}}, rg.signIn)
	})
	mux.HandleFunc("DELETE /session", func(w http.ResponseWriter, r *http.Request) {
		c := &call{rg: rg, w: w, r: r, resource: actSignOut}
		if c.who, _ = rg.identify(r); c.who.code == "" {
			c.send(refuse(401, "", "you are not signed in"))
			return
		}
		rg.answer(c, rg.signOut)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "election": rg.manifest.Election, "log": rg.log.vkey()})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case rg.requests <- struct{}{}:
			defer func() { <-rg.requests }()
			mux.ServeHTTP(w, r)
		default:
			unavailable(w, "too many requests at once: try again in a second")
		}
	})
}

// answer runs one act: its change and its log entry are durable before anything is said.
func (rg *Region) answer(c *call, serve func(*call) (*outcome, error)) {
	leave, ok := rg.server.enter()
	if !ok {
		unavailable(c.w, "the platform is stopping")
		return
	}
	defer leave()
	if c.resource != Destroy { // which waits for all others
		rg.alive.RLock()
		defer rg.alive.RUnlock()
	}
	out, err := rg.act(c, serve)
	c.end()
	if err != nil {
		rg.slog.Error("act failed", "act", string(c.resource), "err", err)
		out = refuse(http.StatusInternalServerError, "", "the platform's storage failed: ask whether the act was done before you repeat it")
	}
	c.send(out)
}

func (rg *Region) act(c *call, serve func(*call) (*outcome, error)) (out *outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			rg.slog.Error("broken invariant", "stack", string(debug.Stack()))
			err = fmt.Errorf("broken invariant: %v", r)
		}
	}()
	out, err = serve(c)
	if errors.Is(err, ErrDestroyed) {
		out, err = refuse(http.StatusGone, "destroyed", "the personal data were destroyed (decree of 16 July 2024, article 16)"), nil
	}
	if err != nil {
		return nil, err
	}
	if err := c.settle(out); err != nil {
		if out.failed != nil {
			out.failed()
		}
		return nil, err
	}
	if out.after != nil {
		out.after()
	}
	return out, nil
}

// guarded lets a call through that the table allows.
func (rg *Region) guarded(serve func(*Region, *call) (*outcome, error)) func(*call) (*outcome, error) {
	return func(c *call) (*outcome, error) {
		who, err := rg.identify(c.r)
		c.who = who
		if err != nil {
			return refuse(http.StatusForbidden, "unknown machine", err.Error()), nil
		}
		if who.role == Nobody {
			return refuse(http.StatusUnauthorized, "not signed in", "sign in with your access code first"), nil
		}
		g := grantOf(c.resource)
		c.scope = g.roles[who.role]
		if out := c.place(); out != nil {
			return out, nil
		}
		if out := c.within(); out != nil {
			return out, nil
		}
		out, err := serve(rg, c)
		if out != nil && !g.personal && who.code == "" {
			out.quiet = true // of a code every use is logged
		}
		return out, err
	}
}

// place reads which commune and bureau the address names.
func (c *call) place() *outcome {
	if text := c.r.PathValue("ins"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != text {
			return refuse(http.StatusNotFound, "no such commune", "the address names no commune by its INS code")
		}
		c.commune = ledger.Commune(n)
	}
	if text := c.r.PathValue("bureau"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return refuse(http.StatusNotFound, "no such bureau", "the address names no bureau by its number")
		}
		c.bureau = ledger.BureauNumber(n)
	}
	return nil
}

// within says why the place lies beyond the caller's reach, nil when it does not.
func (c *call) within() *outcome {
	if c.scope == None {
		return refuse(http.StatusForbidden, "role", "your role gives no access to this")
	}
	if c.commune == 0 {
		return nil
	}
	switch {
	case c.scope != Everywhere && !c.who.covers([]ledger.Commune{c.commune}):
		return refuse(http.StatusForbidden, "other commune", "your access is to the data of your own commune")
	case c.scope == OwnBureau && c.bureau != c.who.bureau:
		return refuse(http.StatusForbidden, "other bureau", "your access is to your own bureau's")
	case c.rg.communes[c.commune] == nil:
		return refuse(http.StatusNotFound, "no such commune", fmt.Sprintf("the election has no commune %d", c.commune))
	case c.bureau != 0 && c.rg.communes[c.commune].group.Bureaux[c.bureau] == nil:
		return refuse(http.StatusNotFound, "no such bureau", fmt.Sprintf("the commune has no bureau %d", c.bureau))
	}
	return nil
}
