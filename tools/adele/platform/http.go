package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Handler serves
//
//	POST /add-checkpoint         C2SP tlog-witness v1.0.0
//	GET  /checkpoint/<origin>    the last cosigned checkpoint, as a note
//	GET  /checkpoints/<origin>   what is held of a log, cosigned and refused, as JSON;
//	                             ?from=N continues at a sequence
//	GET  /unsigned               what no known log has signed, the same way
//	GET  /logs                   the known logs and their sizes, as JSON
//	GET  /witness.vkey           the witness's key
//	GET  /health                 200 while it can cosign, 503 otherwise; JSON
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", s.serveAdd)
	mux.HandleFunc("GET /checkpoint/{origin...}", s.serveLast)
	mux.HandleFunc("GET /checkpoints/{origin...}", s.serveRecords)
	mux.HandleFunc("GET /unsigned", s.serveUnsigned)
	mux.HandleFunc("GET /logs", s.serveLogs)
	mux.HandleFunc("GET /health", s.serveHealth)
	mux.HandleFunc("GET /witness.vkey", func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, http.StatusOK, s.VKey())
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.requests <- struct{}{}:
			defer func() { <-s.requests }()
			mux.ServeHTTP(w, r)
		default:
			unavailable(w, "too many requests at once: try again in a second")
		}
	})
}

// Serve answers on listener until ctx ends, then lets the requests in work finish. It
// returns nil after that, or the listener's fault. The storage stays open: see Close.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      2 * requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return serveUntil(ctx, server, listener)
}

// serveUntil serves until ctx ends, then lets the requests in work finish.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(wait)
	if errors.Is(err, context.DeadlineExceeded) {
		// Who still sends by now never finished a request: nothing was answered.
		err = server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// enter keeps the storage open until leave is called.
func (s *Server) enter() (leave func(), ok bool) {
	s.open.RLock()
	if s.closed {
		s.open.RUnlock()
		return nil, false
	}
	return s.open.RUnlock, true
}

func (s *Server) serveAdd(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		writeText(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a submission has at most %d bytes", MaxBody))
		return
	case err != nil:
		writeText(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	a, ok, err := s.addWhileOpen(body)
	if !ok {
		unavailable(w, "the witness is stopping")
		return
	}
	if err != nil {
		s.log.Error("submission failed", "err", err)
		writeText(w, http.StatusInternalServerError, "the witness's storage failed: nothing was cosigned")
		return
	}
	switch {
	case a.verdict == Cosigned:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, a.line) // who hangs up asks again
	case a.status == http.StatusConflict && a.size >= 0:
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(w, "%d\n", a.size)
	case a.verdict == Throttled:
		w.Header().Set("Retry-After", "1")
		writeText(w, a.status, a.reason)
	default:
		writeText(w, a.status, a.reason)
	}
}

func (s *Server) addWhileOpen(body []byte) (a answer, ok bool, err error) {
	leave, ok := s.enter()
	if !ok {
		return answer{}, false, nil
	}
	defer leave()
	a, err = s.add(body)
	return a, true, err
}

func (s *Server) serveLast(w http.ResponseWriter, r *http.Request) {
	l, ok := s.logs[r.PathValue("origin")]
	if !ok {
		writeText(w, http.StatusNotFound, "this witness does not know the origin")
		return
	}
	l.mu.Lock()
	last := l.state.Note
	l.mu.Unlock()
	if last == nil {
		writeText(w, http.StatusNotFound, "nothing was cosigned for this log yet")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(last)
}

// A LogStatus is what GET /logs and GET /checkpoints say of one log.
type LogStatus struct {
	Origin   string     `json:"origin"`
	Size     int64      `json:"size"`
	Root     string     `json:"root"`               // base64; empty before the first cosignature
	Time     *time.Time `json:"time,omitempty"`     // of the last cosignature, UTC
	Cosigned int        `json:"cosigned"`           // checkpoints held
	Refused  int        `json:"refused"`            // checkpoints held
	Forks    int        `json:"forks"`              // of them, other roots for a cosigned size
	Unkept   int        `json:"unkept,omitempty"`   // refused beyond the limit, since the start
	Stopped  string     `json:"stopped,omitempty"`  // the fault that stopped it
	Sequence uint64     `json:"sequence,omitempty"` // of the next record
}

func (l *watchedLog) status() LogStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := LogStatus{
		Origin: l.origin, Size: l.state.Size, Cosigned: l.state.Cosigned, Refused: l.state.Refused,
		Forks: l.state.Forks, Unkept: l.unkept, Sequence: l.state.Next,
	}
	if l.state.Known {
		at := time.Unix(l.state.Time, 0).UTC()
		st.Root, st.Time = l.state.Root.String(), &at
	}
	if l.broken != nil {
		st.Stopped = l.broken.Error()
	}
	return st
}

// A Page is what GET /checkpoints/<origin> and GET /unsigned return.
type Page struct {
	Log     *LogStatus `json:"log,omitempty"`
	Records []Record   `json:"records"`
	Next    *uint64    `json:"next,omitempty"` // ask again with ?from=next
}

func (s *Server) serveRecords(w http.ResponseWriter, r *http.Request) {
	l, ok := s.logs[r.PathValue("origin")]
	if !ok {
		writeText(w, http.StatusNotFound, "this witness does not know the origin")
		return
	}
	status := l.status()
	s.servePage(w, r, &status, func(from uint64) (lower, upper []byte) {
		return numberedKey('c', l.origin, from), numberedKey('c', l.origin, ^uint64(0))
	})
}

func (s *Server) serveUnsigned(w http.ResponseWriter, r *http.Request) {
	s.servePage(w, r, nil, func(from uint64) (lower, upper []byte) {
		return unsignedKey(from), unsignedKey(^uint64(0))
	})
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request, status *LogStatus, bounds func(from uint64) (lower, upper []byte)) {
	var from uint64
	if text := r.FormValue("from"); text != "" {
		var err error
		if from, err = strconv.ParseUint(text, 10, 63); err != nil {
			writeText(w, http.StatusBadRequest, "from is not a sequence number")
			return
		}
	}
	leave, ok := s.enter()
	if !ok {
		unavailable(w, "the witness is stopping")
		return
	}
	lower, upper := bounds(from)
	records, err := s.storage.records(lower, upper, MaxPage)
	leave()
	if err != nil {
		s.log.Error("reading failed", "err", err)
		writeText(w, http.StatusInternalServerError, "the witness's storage failed")
		return
	}
	page := Page{Log: status, Records: records}
	if len(records) == MaxPage {
		next := records[len(records)-1].Sequence + 1
		page.Next = &next
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *Server) serveLogs(w http.ResponseWriter, _ *http.Request) {
	all := make([]LogStatus, 0, len(s.origins))
	for _, origin := range s.origins {
		all = append(all, s.logs[origin].status())
	}
	writeJSON(w, http.StatusOK, all)
}

// Health is what GET /health returns.
type Health struct {
	Status  string `json:"status"` // ok, or what is wrong
	Witness string `json:"witness"`
	Logs    int    `json:"logs"`
	Forks   int    `json:"forks"`
	Refused int    `json:"refused"`
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h := Health{Status: "ok", Witness: s.key.name, Logs: len(s.origins)}
	code := http.StatusOK
	for _, origin := range s.origins {
		st := s.logs[origin].status()
		h.Forks += st.Forks
		h.Refused += st.Refused
		if st.Stopped != "" {
			h.Status, code = "storage failed: start again", http.StatusServiceUnavailable
		}
	}
	leave, ok := s.enter()
	if !ok {
		h.Status, code = "stopping", http.StatusServiceUnavailable
	} else {
		leave()
	}
	writeJSON(w, code, h)
}

func unavailable(w http.ResponseWriter, reason string) {
	w.Header().Set("Retry-After", "1")
	writeText(w, http.StatusServiceUnavailable, reason)
}

func writeText(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, line)
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // the reader hung up
}
