package web

import (
	"context"
	"crypto/sha256"
	"time"
)

// twiceWithin is how long after a form the same one, from the same session, is a second press of it: whoever means it twice
// takes longer.
const twiceWithin = 3 * time.Second

// press is the last form that a session sent.
type press struct {
	form [sha256.Size]byte
	at   time.Time
	// to is where its answer led, empty when it led nowhere; set before done is closed.
	to   string
	done chan struct{}
}

// press says whether this very form was sent a moment ago, and where that led: it is not done again then. A browser whose
// button is pressed twice takes its first question back and asks anew; the first one goes on here all the same, and is
// waited for. An act that led to no other page is repeated: it records nothing, or knows its own second press.
func (v *visit) press() (p *press, again bool, err error) {
	sum := sha256.Sum256([]byte(v.r.URL.Path + "\x00" + v.r.PostForm.Encode()))
	v.session.mu.Lock()
	last := v.session.pressed
	p = &press{form: sum, at: v.now(), done: make(chan struct{})}
	v.session.pressed = p
	v.session.mu.Unlock()
	if last == nil || last.form != sum || p.at.Sub(last.at).Abs() > twiceWithin {
		return p, false, nil
	}
	select {
	case <-last.done:
	case <-v.r.Context().Done():
		close(p.done)
		return nil, false, context.Cause(v.r.Context())
	}
	p.to = last.to
	return p, p.to != "", nil
}

// end says where the form led.
func (p *press) end(to string) {
	p.to = to
	close(p.done)
}
