// Package web is the screens of one bureau: pages made on the server, in French, Dutch and English, for the president
// and the assessors at the table.
//
// What a page may do is decided by the bureau behind it (Bureau, which package node is); this package knows who is
// signed in, what was typed, and how an answer is said. node/DESIGN.md, "The screens", says who may do what and why.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of what is served at a time.
const (
	// maxConns is how many connections are open at a time, maxWorking how many requests are worked on.
	maxConns, maxWorking = 128, 64
	// actTimeout bounds an act, writeTimeout the writing of its answer.
	actTimeout, writeTimeout = 15 * time.Second, 5 * time.Second
)

// Config is what the screens are made of.
type Config struct {
	Bureau Bureau
	// Cards are what a reader reads, nil without one.
	Cards  <-chan Card
	Logger *slog.Logger
}

// Server serves the screens of one bureau.
type Server struct {
	bureau   Bureau
	log      *slog.Logger
	team     *team
	sessions *sessions
	tries    *tries
	desk     *desk
	// cookie is the cookie's name: cookies are not kept apart by ports, so that each bureau of one machine has its own.
	cookie string
	now    func() time.Time

	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup
	conns atomic.Int32
	// slots and streams have an element for each request and each stream of events under way.
	slots, streams chan struct{}
	// contestedRows is how many rows are contested and stand, as of contestedAt (nanoseconds since 1970).
	contestedRows atomic.Int32
	contestedAt   atomic.Int64
	// drawn has an element while a paper is drawn.
	drawn   chan struct{}
	servers []*http.Server

	// Set by ServeTablets.
	mu          sync.Mutex
	tablets     []string
	fingerprint string
}

// New makes the screens; Serve shows them.
func New(cfg Config) (*Server, error) { return newServer(cfg, time.Now) }

func newServer(cfg Config, now func() time.Time) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t, err := openTeam(cfg.Bureau)
	if err != nil {
		return nil, err
	}
	f := cfg.Bureau.Facts()
	s := &Server{
		bureau: cfg.Bureau, log: cfg.Logger, team: t, now: now, slots: make(chan struct{}, maxWorking), streams: make(chan struct{}, maxStreams), drawn: make(chan struct{}, 1), desk: newDesk(now),
		sessions: &sessions{now: now, all: map[[32]byte]*session{}}, tries: &tries{now: now, of: map[uint16]*tried{}},
		cookie: fmt.Sprintf("pointage-%d-%d", f.Commune, f.Bureau),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if cfg.Cards != nil {
		s.work.Go(func() { s.desk.readCards(s.ctx, cfg.Cards) })
	}
	return s, nil
}

// Serve shows the screens at a listener until Close.
func (s *Server) Serve(l net.Listener) { s.serve(l, nil) }

func (s *Server) serve(l net.Listener, certificate *tls.Certificate) {
	h := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnState: s.count, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	if certificate != nil {
		h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate}}
		l = tls.NewListener(l, h.TLSConfig)
	}
	s.mu.Lock()
	s.servers = append(s.servers, h)
	s.mu.Unlock()
	s.work.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the screens stopped", "err", err)
		}
	})
}

// count keeps the number of connections down.
func (s *Server) count(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.conns.Add(1) > maxConns {
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	}
}

// Close ends the screens; requests under way get a second.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.mu.Lock()
	servers := s.servers
	s.mu.Unlock()
	for _, h := range servers {
		if err := h.Shutdown(ctx); err != nil {
			h.Close()
		}
	}
	s.work.Wait()
	for range maxWorking { // whoever was cut off still leaves what it works on
		s.slots <- struct{}{}
	}
	for range maxStreams {
		s.streams <- struct{}{}
	}
	return nil
}

func (s *Server) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", s.visits(nil, assessor, (*visit).home))
	m.HandleFunc("GET /sign-in", s.visits(&signinPage, 0, (*visit).showSignin))
	m.HandleFunc("POST /sign-in", s.visits(&signinPage, 0, (*visit).signIn))
	m.HandleFunc("POST /language", s.visits(&signinPage, 0, (*visit).speak))
	m.HandleFunc("POST /lock", s.visits(&signinPage, assessor, (*visit).lockTable))
	m.HandleFunc("GET /events", s.visits(&checkinPage, assessor, (*visit).stream))
	m.Handle("GET /static/", http.FileServerFS(staticFiles))
	for _, p := range pages {
		m.HandleFunc("GET /"+p.name, s.visits(p, p.who, (*visit).see))
		for name, give := range p.files {
			m.HandleFunc("GET /"+p.name+"/"+name, s.visits(p, p.who, give))
		}
		for name, do := range p.acts {
			m.HandleFunc("POST /"+p.name+"/"+name, s.visits(p, p.who, func(v *visit) error { return v.do(do) }))
			// A browser that was sent back here by its history, or by a sign-in, gets the page.
			m.HandleFunc("GET /"+p.name+"/"+name, s.visits(p, p.who, func(v *visit) error { v.redirect("/" + p.name); return nil }))
		}
	}
	m.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is no such page: go back", http.StatusNotFound)
	})
	return s.bounded(m)
}

// bounded keeps strangers, sizes and numbers down before anything else looks at a request.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secured(w.Header())
		answerBy(w, allowed(r.URL.Path)+writeTimeout)
		if why := stranger(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		if r.URL.Path == "/events" { // streams have their own bound
			next.ServeHTTP(w, r)
			return
		}
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			http.Error(w, "too many requests at a time: try again", http.StatusServiceUnavailable)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/static/") {
			w.Header().Set("Cache-Control", "no-cache")
		}
		if r.Method == http.MethodPost {
			if status := formed(w, r); status != 0 {
				http.Error(w, http.StatusText(status)+": nothing was done; go back", status)
				return
			}
		}
		defer endAll()
		next.ServeHTTP(w, r)
	})
}

// endAll has a broken invariant end the program, as it does in every other goroutine: the server would go on, with
// whatever lock was held at that moment.
func endAll() {
	if v := recover(); v != nil {
		stack := debug.Stack()
		go func() { panic(fmt.Sprintf("%v\n\nat\n%s", v, stack)) }()
		select {} // the program ends
	}
}

// answerBy gives the writing of an answer its time.
func answerBy(w http.ResponseWriter, d time.Duration) {
	// Every ResponseWriter of the server has deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}

// visits makes a handler for one in a session: needs 0 lets strangers in. A request without the session that it needs
// does nothing, and gets the sign-in page.
func (s *Server) visits(p *page, needs role, do func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := s.bound(r)
		defer cancel()
		v := &visit{Server: s, w: w, r: r.WithContext(ctx), page: p}
		x, stolen := s.sessions.of(r, s.cookie)
		if stolen {
			s.log.Warn("a cookie came from another browser or address: its session has ended")
		}
		posted, lost := r.Method == http.MethodPost, x != nil && x.who.Code != 0 && !x.alive(s.now())
		switch {
		case x == nil || lost:
			if lost && posted && p != nil && x.holds(r.PostForm.Get(tokenField)) {
				s.keep(x, p, r)
			}
			v.strange(x)
			if needs == 0 && !posted {
				break
			}
			v.refuseStranger(r.URL.Path, posted)
			return
		default:
			v.session, v.who, v.lang = x, x.who, x.language()
		}
		switch {
		case posted && !v.session.holds(r.PostForm.Get(tokenField)):
			v.problem(http.StatusForbidden, v.lang.say("error.token"))
			return
		case v.who.Code == 0 && needs > 0:
			v.refuseStranger(r.URL.Path, posted)
			return
		case v.who.role() < needs:
			v.problem(http.StatusForbidden, v.lang.say("error.president-only"))
			return
		}
		if r.URL.Path != "/events" {
			v.session.touch(s.now())
		}
		if err := do(v); err != nil {
			v.failed(err)
		}
	}
}

// bound is an act's time; a stream has none.
func (s *Server) bound(r *http.Request) (context.Context, context.CancelFunc) {
	if r.URL.Path == "/events" {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), allowed(r.URL.Path))
}

// keep remembers what was being typed, without secrets, for whoever signs in again.
func (s *Server) keep(x *session, p *page, r *http.Request) {
	form := r.PostForm
	for name := range form {
		if strings.Contains(name, "secret") || name == "pin" {
			form.Del(name)
		}
	}
	s.sessions.keepDraft(x, p.name, form)
}

// strange gives a browser without a session one of a stranger, in the language that it had or asks for.
func (v *visit) strange(old *session) {
	v.lang = preferred(v.r)
	if old != nil {
		v.lang = old.language()
	}
	x, cookie := v.sessions.begin(v.r, person{}, v.lang)
	if old != nil {
		x.addNotice(notice{v.lang.say("sign-in.locked"), false})
	}
	v.session = x
	v.setCookie(cookie)
}

// preferred is the first of our languages that the browser asks for.
func preferred(r *http.Request) language {
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		if text := strings.TrimSpace(part); len(text) >= 2 {
			if l, ok := languageOf(strings.ToLower(text[:2])); ok {
				return l
			}
		}
	}
	return french
}

// refuseStranger answers who is not signed in: a page to see comes after signing in, a form was not done.
func (v *visit) refuseStranger(path string, posted bool) {
	page, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	to := v.inside(page)
	switch {
	case v.r.URL.Path == "/events" || v.r.Header.Get(partHeader) != "":
		v.w.WriteHeader(http.StatusUnauthorized) // the script goes to the sign-in page
	case posted:
		v.page = &signinPage
		v.said(false, "sign-in.not-done")
		if err := v.render(http.StatusUnauthorized, v.signinView(to)); err != nil {
			v.failed(err)
		}
	case to != "":
		v.redirect("/sign-in?to=" + to)
	default:
		v.redirect("/sign-in")
	}
}

func (v *visit) redirect(to string) { http.Redirect(v.w, v.r, to, http.StatusSeeOther) }

// setCookie gives the browser its session's number, or takes it back.
func (v *visit) setCookie(value string) {
	c := &http.Cookie{Name: v.cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: v.r.TLS != nil}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// home goes where the bureau is in its day.
func (v *visit) home() error {
	switch st := v.bureau.State(); {
	case !st.Open && !st.Closed && v.who.President:
		v.redirect("/opening")
	case st.Closed && !st.Open && v.who.President:
		v.redirect("/evening")
	default:
		v.redirect("/check-in")
	}
	return nil
}

// see shows a page.
func (v *visit) see() error {
	data, err := v.page.show(v)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, data)
}

// do carries an act out, once for each time that it was meant.
func (v *visit) do(what act) error {
	p, again, err := v.press()
	if err != nil {
		return err
	}
	r := reply{to: p.to}
	if !again {
		r, err = what(v)
	}
	p.end(r.to)
	if err != nil {
		return err
	}
	if r.to != "" {
		if v.r.Header.Get(partHeader) == "" {
			v.redirect(r.to)
			return nil
		}
		v.w.Header().Set("Pointage-To", r.to) // the script goes there
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return v.render(r.status, r.data)
}

// failed says that the machine can't, and what to do.
func (v *visit) failed(err error) {
	answerBy(v.w, writeTimeout)
	var bad errField
	switch {
	case errors.As(err, &bad):
		v.problem(http.StatusBadRequest, v.lang.say("error.field", string(bad)))
	case errors.Is(err, context.DeadlineExceeded):
		v.problem(http.StatusServiceUnavailable, v.lang.say("error.slow"))
	default:
		v.log.Error("an act of the screens failed", "path", v.r.URL.Path, "err", err)
		v.problem(http.StatusServiceUnavailable, v.lang.say("error.fault", strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
}

// faultPage says in one line why something was not done.
var faultPage = page{name: "fault"}

func (v *visit) problem(status int, text string) {
	v.page = &faultPage
	if err := v.render(status, text); err != nil {
		v.log.Error("a fault could not be shown", "err", err)
	}
}
