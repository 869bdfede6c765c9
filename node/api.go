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
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pointage/ledger"
	"pointage/ledger/rights"
	"pointage/node/pollbook"
)

const (
	// maxRequest is the length of a request's body, in bytes.
	maxRequest = 64 << 10
	// maxRequests is how many requests are worked on at a time.
	maxRequests = 256
	// actTimeout bounds one act of the desk.
	actTimeout = 15 * time.Second
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
	work     sync.WaitGroup
}

// listenAPI takes the interface's address; nobody is answered before serveAPI.
func (n *Node) listenAPI(Options) error {
	l, err := net.Listen("tcp", n.cfg.API)
	if errors.Is(err, syscall.EADDRINUSE) {
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
	}
	return nil
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

// Close ends the interface; requests under way get a second.
func (a *api) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		a.server.Close()
	}
	a.work.Wait()
	if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the interface: %w", err)
	}
	return nil
}

func (a *api) routes() http.Handler {
	m := http.NewServeMux()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collector{a.node})
	m.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	m.HandleFunc("GET /health", a.health)
	m.HandleFunc("GET /status", a.guarded(a.status))
	m.HandleFunc("POST /open", a.guarded(func(r *http.Request) (any, error) { return struct{}{}, a.node.Open(r.Context()) }))
	m.HandleFunc("POST /close", a.guarded(func(r *http.Request) (any, error) { return struct{}{}, a.node.CloseBureau(r.Context()) }))
	m.HandleFunc("POST /check-ins", a.guarded(a.checkIn))
	m.HandleFunc("POST /undo", a.guarded(a.undo))
	m.HandleFunc("POST /annulments", a.guarded(a.annul))
	m.HandleFunc("POST /export", a.guarded(a.export))
	return a.bounded(m)
}

// bounded keeps the number and size of requests down, and strangers' pages out: the Host
// must be a loopback address.
func (a *api) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "not a loopback address", http.StatusForbidden)
			return
		}
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		default:
			http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
	})
}

// guarded asks for the secret and writes what the act answers as JSON.
func (a *api) guarded(act func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want := "Bearer " + a.token
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
			writeJSON(w, http.StatusUnauthorized, problem{"the secret of " + TokenFile + " is needed"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
		defer cancel()
		out, err := act(r.WithContext(ctx))
		var bad badRequest
		switch {
		case errors.As(err, &bad):
			writeJSON(w, http.StatusBadRequest, problem{string(bad)})
		case err != nil:
			writeJSON(w, http.StatusServiceUnavailable, problem{err.Error()})
		default:
			writeJSON(w, http.StatusOK, out)
		}
	}
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

func readJSON(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || d.Decode(new(struct{})) != io.EOF {
		return badRequest("the request is not the JSON that this act takes")
	}
	return nil
}

// Identification is how an elector is named at the desk.
type Identification struct {
	// By is card, convocation, national.
	By string `json:"by"`
	// Number is the convocation or national number, as typed.
	Number string `json:"number"`
	// Attester is the code of the member who acts.
	Attester uint16 `json:"attester"`
}

// find is the elector's token, or a refusal.
func (n *Node) find(id Identification) (e ledger.ElectorToken, how rights.Ask, ok bool, err error) {
	how = rights.Ask{Attester: id.Attester}
	var i int
	switch id.By {
	case "card", "national":
		how.Means = ledger.ByNationalNumber
		if id.By == "card" {
			how.Means = ledger.ByCard
		}
		number, err := ledger.ParseNationalNumber(id.Number)
		if err != nil {
			return e, how, false, badRequest(err.Error())
		}
		i, ok = n.register.FindNationalNumber(number)
	case "convocation":
		how.Means = ledger.ByConvocationNumber
		number, err := ledger.ParseConvocationNumber(id.Number, n.register.Method())
		if err != nil {
			return e, how, false, badRequest(err.Error())
		}
		i, ok = n.register.FindConvocationNumber(number)
	default:
		return e, how, false, badRequest(`"by" must be card, convocation or national`)
	}
	if !ok {
		return e, how, false, nil
	}
	return n.register.Token(i), how, true, nil
}

// Answer is a receipt as JSON.
type Answer struct {
	Admitted bool `json:"admitted"`
	// Refusal is the refusal's number, 0 for none; Reason says it in English.
	Refusal ledger.Refusal      `json:"refusal"`
	Reason  string              `json:"reason"`
	At      ledger.BureauNumber `json:"at,omitempty"`
	// Record names this bureau's own admission, "<session>/<sequence>"; empty for none. A
	// second tap on one elector gets the first one's.
	Record     string `json:"record,omitempty"`
	Recorded   bool   `json:"recorded"`
	Replicated bool   `json:"replicated"`
}

func answerOf(r pollbook.Receipt) Answer {
	a := Answer{
		Admitted: r.Refusal == ledger.NotRefused, Refusal: r.Refusal, Reason: r.Refusal.String(), At: r.At, Recorded: r.Recorded, Replicated: r.Replicated,
	}
	if r.Record != (ledger.StatementID{}) {
		a.Record = fmt.Sprintf("%x/%d", r.Record.Session, r.Record.Sequence)
	}
	return a
}

// CheckIn admits an elector named at the desk, or says why not.
func (n *Node) CheckIn(ctx context.Context, id Identification) (Answer, error) {
	e, how, ok, err := n.find(id)
	if err != nil {
		return Answer{}, err
	}
	if !ok {
		return answerOf(pollbook.Receipt{Refusal: ledger.NotOnTheRoll}), nil
	}
	r, err := n.book.CheckIn(ctx, e, how)
	return answerOf(r), err
}

// Correction is the answer to an undo or an annulment.
type Correction struct {
	// Done: the admission is taken back.
	Done bool `json:"done"`
	// Refusal and Reason say why not.
	Refusal ledger.Refusal `json:"refusal"`
	Reason  string         `json:"reason"`
}

// correctionOf reads what the desk was told: an undone admission is withdrawn, an annulled
// one leaves no refusal.
func correctionOf(r pollbook.Receipt) Correction {
	if r.Refusal == ledger.NotRefused || r.Refusal == ledger.Withdrawn {
		return Correction{Done: true, Reason: "taken back"}
	}
	return Correction{Refusal: r.Refusal, Reason: r.Refusal.String()}
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
	e, _, ok, err := a.node.find(in.Identification)
	if err != nil {
		return nil, err
	}
	if !ok {
		return correctionOf(pollbook.Receipt{Refusal: ledger.NotOnTheRoll}), nil
	}
	out, err := a.node.book.Undo(r.Context(), e, in.Reason)
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
	e, _, ok, err := a.node.find(in.Identification)
	if err != nil {
		return nil, err
	}
	if !ok {
		return correctionOf(pollbook.Receipt{Refusal: ledger.NotOnTheRoll}), nil
	}
	out, err := a.node.book.Annul(r.Context(), e, rights.Annul{Reason: in.Reason, Attesters: [2]uint16{in.Attester, in.Second}})
	return correctionOf(out), err
}
