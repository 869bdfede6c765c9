package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"pointage/ledger"
)

const (
	// lookEvery is the pace at which a stream looks for news, breathe how often it says something anyhow.
	lookEvery, breathe = 400 * time.Millisecond, 15 * time.Second
	// maxStreams bounds all streams, maxOwnStreams those of one session (its tabs).
	maxStreams, maxOwnStreams = 64, 4
)

// news is what a stream sends when it has changed: parts of the page, drawn in the session's language.
type news struct {
	Status string `json:"status"`
	Rows   string `json:"rows"`
	Card   string `json:"card"`
	Course string `json:"course"`
	// Asking is a line about another bureau's release that is awaited, empty for none.
	Asking string `json:"asking"`
}

// stream is GET /events. It ends when the session does, and the script then goes to the sign-in page.
func (v *visit) stream() error {
	if !v.enterStream() {
		v.w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	defer v.leaveStream()
	v.w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last string
	var said time.Time
	for {
		if !v.session.alive(v.now()) {
			return v.send("locked", "")
		}
		text, err := v.news()
		if err != nil {
			v.log.Error("the stream of events failed", "err", err)
			return nil
		}
		if at := time.Now(); text != last || at.Sub(said) > breathe {
			if err := v.send("news", text); err != nil {
				return nil // the browser is gone
			}
			last, said = text, at
		}
		select {
		case <-tick.C:
		case <-v.ctx.Done():
			return nil
		case <-v.r.Context().Done():
			return nil
		}
	}
}

func (v *visit) enterStream() bool {
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	if v.session.streams >= maxOwnStreams {
		return false
	}
	select {
	case v.streams <- struct{}{}:
		v.session.streams++
		return true
	default:
		return false
	}
}

func (v *visit) leaveStream() {
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	v.session.streams--
	<-v.streams
}

func (v *visit) send(event, data string) error {
	answerBy(v.w, writeTimeout)
	if _, err := fmt.Fprintf(v.w, "event: %s\ndata: %s\n\n", event, data); err != nil {
		return err
	}
	return http.NewResponseController(v.w).Flush()
}

// news draws what may have changed.
func (v *visit) news() (string, error) {
	var n news
	var err error
	v.lang = v.session.language()
	if err := v.countContested(); err != nil {
		return "", err
	}
	if n.Status, err = v.part("status", nil); err != nil {
		return "", err
	}
	rows, err := v.rows()
	if err != nil {
		return "", err
	}
	if n.Rows, err = v.part("rows", checkinView{Rows: rows}); err != nil {
		return "", err
	}
	if n.Card, err = v.part("card", checkinView{Card: v.cardView()}); err != nil {
		return "", err
	}
	if err := v.sawCut(); err != nil {
		return "", err
	}
	if n.Course, err = v.part("course", nil); err != nil {
		return "", err
	}
	v.session.mu.Lock()
	asking := v.session.asking
	v.session.mu.Unlock()
	if asking != 0 {
		n.Asking = v.lang.say("check-in.asking", asking, v.bureau.Place(asking))
	}
	b, err := json.Marshal(n)
	return string(b), err
}

// under marks a check-in of this session that is under way, for the stream and for whoever cancels it; over ends it. A
// session with two windows has the later one marked.
func (v *visit) under(d Desk, asking ledger.BureauNumber) (ctx context.Context, over func()) {
	ctx, leave := context.WithCancel(v.r.Context())
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	v.session.under, v.session.asking, v.session.leave = &d, asking, leave
	return ctx, func() {
		leave()
		v.session.mu.Lock()
		defer v.session.mu.Unlock()
		if v.session.under == &d {
			v.session.under, v.session.asking, v.session.leave = nil, 0, nil
		}
	}
}
