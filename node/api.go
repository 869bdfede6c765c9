package node

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/machine"
	"pointage/node/pollbook"
)

const (
	// maxRequest is the length of a request's body, in bytes.
	maxRequest = 64 << 10
	// maxRequests is how many requests are worked on at a time.
	maxRequests = 256
	// maxConns is how many connections are open at a time: a program that opens more must not
	// use up the files that the ledger needs.
	maxConns = 512
	// actTimeout bounds one act of the desk, writeTimeout the writing of its answer.
	actTimeout   = 15 * time.Second
	writeTimeout = 5 * time.Second
	// amendTimeout and epochTimeout bound acts for which keys are unlocked, and a ledger is made again.
	amendTimeout, epochTimeout = time.Minute, 5 * time.Minute
	// reportTimeout bounds the reading of the whole ledger.
	reportTimeout = 5 * time.Minute
	// TokenFile holds the secret that acts through the interface need; it is new at
	// every start and only its owner can read it.
	TokenFile = "api-token"
)

// api is the bureau's own interface on loopback: JSON acts behind a secret, health and
// metrics without one.
type api struct {
	node     *Node
	token    string
	server   *http.Server
	listener net.Listener
	slots    chan struct{}
	conns    atomic.Int32
	work     sync.WaitGroup
}

// listenAPI takes the interface's address; nobody is answered before serveAPI.
func (n *Node) listenAPI(Options) error {
	l, err := net.Listen("tcp", n.cfg.API)
	if machine.IsTaken(err) {
		return fmt.Errorf("the interface's address %s is taken: stop what uses it or change \"api\"", n.cfg.API)
	}
	if err != nil {
		return fmt.Errorf("listen at \"api\": %w", err)
	}
	secret := make([]byte, 24)
	rand.Read(secret)
	n.api = &api{node: n, token: base64.RawURLEncoding.EncodeToString(secret), slots: make(chan struct{}, maxRequests), listener: l}
	n.api.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnState: n.api.count, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelError),
	}
	return nil
}

// count keeps the number of connections down.
func (a *api) count(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		if a.conns.Add(1) > maxConns {
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		a.conns.Add(-1)
	}
}

func (n *Node) serveAPI(Options) error {
	a := n.api
	a.server.Handler = a.routes()
	if err := writeFile(filepath.Join(n.cfg.Data, TokenFile), []byte(a.token+"\n"), 0o600); err != nil {
		return err
	}
	a.work.Go(func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("the interface stopped", "err", err)
		}
	})
	return nil
}

// Close ends the interface; requests under way get a second, and are cut off then.
func (a *api) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		a.server.Close()
	}
	a.work.Wait()
	for range maxRequests { // whoever was cut off still leaves what it works on
		a.slots <- struct{}{}
	}
	if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the interface: %w", err)
	}
	return nil
}

func (a *api) routes() http.Handler {
	m := http.NewServeMux()
	m.Handle("GET /metrics", promhttp.HandlerFor(a.node.metrics(), promhttp.HandlerOpts{}))
	m.HandleFunc("GET /health", a.health)
	m.HandleFunc("GET /status", a.guarded(a.status))
	m.HandleFunc("POST /open", a.guarded(declares(a.node.Open)))
	m.HandleFunc("POST /close", a.guarded(declares(a.node.CloseBureau)))
	m.HandleFunc("POST /check-ins", a.guarded(a.checkIn))
	m.HandleFunc("POST /proxies", a.guarded(a.checkInProxy))
	m.HandleFunc("POST /undo", a.guarded(a.undo))
	m.HandleFunc("POST /annulments", a.guarded(a.annul))
	m.HandleFunc("GET /report", a.within(reportTimeout, a.report))
	m.HandleFunc("GET /minutes", a.within(reportTimeout, a.minutes))
	m.HandleFunc("POST /minutes", a.within(reportTimeout, a.recordMinutes))
	m.HandleFunc("GET /lists/absent-electors", a.within(reportTimeout, document("absent-electors", a.node.AbsentElectors)))
	m.HandleFunc("GET /lists/absent-members", a.within(reportTimeout, document("absent-members", a.node.AbsentMembers)))
	m.HandleFunc("GET /lists/paper", a.within(reportTimeout, document("paper-list", a.node.PaperList)))
	m.HandleFunc("POST /export", a.guarded(a.export))
	m.HandleFunc("POST /media", a.guarded(a.replaceMedium))
	m.HandleFunc("POST /imports", a.within(importTimeout, oldMedia(a.node.Import)))
	m.HandleFunc("POST /amendments", a.within(amendTimeout, a.amend))
	m.HandleFunc("GET /epochs/next", a.guarded(func(r *http.Request) (any, error) { return a.node.NextEpoch(r.Context()) }))
	m.HandleFunc("POST /epochs", a.within(epochTimeout, a.beginEpoch))
	m.HandleFunc("POST /settlements", a.within(importTimeout, oldMedia(a.node.Settle)))
	a.actRoutes(m)
	return a.bounded(m)
}

// actRoutes are the table's acts that move no right, and what is read of them.
func (a *api) actRoutes(m *http.ServeMux) {
	for route, act := range map[string]func(*http.Request) (any, error){
		"GET /attendance": a.attendance, "POST /attendance": a.recordAttendance, "POST /replacements": a.replace, "POST /accounts": a.recordAccount,
		"GET /counts": a.counts, "POST /counts": a.recordCount, "GET /flow": a.flow, "POST /queue": a.reportQueue,
		"GET /messages": a.messages, "POST /messages": a.sendMessage, "GET /dashboard": a.dashboard, "POST /custody": a.recordCustody,
	} {
		m.HandleFunc(route, a.guarded(act))
	}
}

// declares is an act that takes an empty object.
func declares(what func(context.Context) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		if err := readJSON(r, &struct{}{}); err != nil {
			return nil, err
		}
		return struct{}{}, what(r.Context())
	}
}

// bounded keeps the number and size of requests down, and strangers' pages out: the Host
// must be a loopback address, and who sends an Origin must be a page of this interface.
func (a *api) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answerBy(w, writeTimeout)
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "not a loopback address", http.StatusForbidden)
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			if origin != "http://"+r.Host {
				http.Error(w, "not a page of this interface", http.StatusForbidden)
				return
			}
		}
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		default:
			http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
			return
		}
		if r.ContentLength > maxRequest {
			writeJSON(w, http.StatusRequestEntityTooLarge, problem{errTooLong.Error()})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		defer endAll()
		next.ServeHTTP(w, r)
	})
}

// endAll has a broken invariant end the program, as it does in every other goroutine: the server
// would go on, with whatever lock was held at that moment.
func endAll() {
	if v := recover(); v != nil {
		stack := debug.Stack()
		go func() { panic(fmt.Sprintf("%v\n\nat\n%s", v, stack)) }()
		select {} // the program ends
	}
}

// guarded asks for the secret and writes what the act answers as JSON.
func (a *api) guarded(act func(*http.Request) (any, error)) http.HandlerFunc {
	return a.within(actTimeout, act)
}

// within is guarded for an act that may take longer.
func (a *api) within(timeout time.Duration, act func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want := "Bearer " + a.token
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
			writeJSON(w, http.StatusUnauthorized, problem{"the secret of " + TokenFile + " is needed"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		out, err := act(r.WithContext(ctx))
		answerBy(w, writeTimeout)
		var bad badRequest
		var input InputError
		switch {
		case errors.Is(err, errTooLong):
			writeJSON(w, http.StatusRequestEntityTooLarge, problem{err.Error()})
		case errors.As(err, &bad):
			writeJSON(w, http.StatusBadRequest, problem{string(bad)})
		case errors.As(err, &input):
			writeJSON(w, http.StatusBadRequest, problem{input.Error()})
		case errors.Is(err, context.DeadlineExceeded):
			writeJSON(w, http.StatusServiceUnavailable, problem{fmt.Sprintf("no answer within %v: ask again, what was recorded stays", timeout)})
		case err != nil:
			writeJSON(w, http.StatusServiceUnavailable, problem{inLine(err).Error()})
		default:
			if f, ok := out.(file); ok {
				writeFileAnswer(w, f)
				return
			}
			writeJSON(w, http.StatusOK, out)
		}
	}
}

// answerBy gives the writing of an answer its time: a client that does not read holds nothing.
func answerBy(w http.ResponseWriter, d time.Duration) {
	// Every ResponseWriter of the server has deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}

type problem struct {
	Error string `json:"error"`
}

// badRequest says what is wrong with a request's form.
type badRequest string

func (b badRequest) Error() string { return string(b) }

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone otherwise
}

var errTooLong = fmt.Errorf("the request has more than %d bytes: no act needs so many", maxRequest)

func readJSON(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if err = d.Decode(new(struct{})); err == io.EOF {
			return nil
		}
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return errTooLong
	}
	return badRequest("the request is not the JSON that this act takes: see node/DESIGN.md, the interface on loopback")
}

func (a *api) replaceMedium(r *http.Request) (any, error) {
	var in struct {
		Replace *int `json:"replace"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if in.Replace == nil {
		return nil, badRequest("\"replace\" says which medium: 0 is the disk, 1 and 2 are the keys")
	}
	return struct{}{}, a.node.ReplaceMedium(r.Context(), *in.Replace)
}

func (a *api) amend(r *http.Request) (any, error) {
	var in Amendment
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return a.node.Amend(r.Context(), in)
}

func (a *api) beginEpoch(r *http.Request) (any, error) {
	var in struct {
		Signers []Signing `json:"signers"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	return a.node.BeginEpoch(r.Context(), in.Signers)
}

// oldMedia is an act on media that another machine wrote.
func oldMedia(act func(context.Context, OldMedia) (*Imported, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in OldMedia
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		return act(r.Context(), in)
	}
}

func (a *api) checkIn(r *http.Request) (any, error) {
	var id Identification
	if err := readJSON(r, &id); err != nil {
		return nil, err
	}
	return a.node.CheckIn(r.Context(), id)
}

func (a *api) undo(r *http.Request) (any, error) {
	var in struct {
		Identification
		Reason uint8 `json:"reason"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if in.Reason == rights.VoidedByGroup {
		return nil, badRequest(`"reason" 1 is the group's own: give 2 or more`)
	}
	out, err := a.node.act(in.Identification, func(e ledger.ElectorToken, _ rights.Ask) (pollbook.Receipt, error) {
		return a.node.book.Undo(r.Context(), e, in.Reason)
	})
	return correctionOf(out), err
}

func (a *api) annul(r *http.Request) (any, error) {
	var in struct {
		Identification
		Reason uint8  `json:"reason"`
		Second uint16 `json:"second"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	out, err := a.node.act(in.Identification, func(e ledger.ElectorToken, _ rights.Ask) (pollbook.Receipt, error) {
		return a.node.book.Annul(r.Context(), e, rights.Annul{Reason: in.Reason, Attesters: [2]uint16{in.Attester, in.Second}})
	})
	return correctionOf(out), err
}
