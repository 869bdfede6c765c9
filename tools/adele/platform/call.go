package platform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pointage/ledger"
)

// A call is one request on its way through the platform.
type call struct {
	rg       *Region
	w        http.ResponseWriter
	r        *http.Request
	who      identity
	resource Resource
	scope    Scope
	commune  ledger.Commune // 0 when the address names none
	bureau   ledger.BureauNumber
	locked   bool
	// ends are run, last first, when the outcome is durable or given up.
	ends []func()
}

// end runs what the call holds free.
func (c *call) end() {
	for i := len(c.ends) - 1; i >= 0; i-- {
		c.ends[i]()
	}
}

// An outcome is what becomes of a call: what is logged, written and answered, in that order.
type outcome struct {
	status  int
	kind    string // media type
	body    []byte
	retry   time.Duration
	refused bool
	// What the log entry says; the commune is the call's unless given.
	why, content string
	subjects     []string
	count        int
	commune      ledger.Commune
	// change writes what changes, in the batch of the log entry; after runs once that is durable,
	// failed if it never was.
	change        func(*pebble.Batch) error
	after, failed func()
	// quiet: nothing personal was shown and nothing changed.
	quiet bool
}

// lock lets this call alone read and change; it lasts until the change is durable.
func (c *call) lock() {
	if !c.locked {
		c.rg.acts.Lock()
		c.ends, c.locked = append(c.ends, c.rg.acts.Unlock), true
	}
}

// refuse answers with a status and a line for people; why is the log's code for it, and holds
// nothing of what was asked.
func refuse(status int, why, line string) *outcome {
	return &outcome{status: status, kind: "text/plain; charset=utf-8", body: []byte(line + "\n"), refused: true, why: why}
}

func answerJSON(status int, value any) *outcome {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode an answer: %v", err))
	}
	return &outcome{status: status, kind: "application/json", body: append(body, '\n')}
}

// body reads the whole request; a cut or too long one is refused and leaves nothing behind.
func (c *call) body(limit int64) ([]byte, *outcome) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(http.StatusRequestEntityTooLarge, "too large", fmt.Sprintf("at most %d bytes are taken here: nothing was changed", limit))
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "cut short", "the request was cut short: nothing was changed, send it again")
	}
	return raw, nil
}

// json reads a small request strictly.
func (c *call) json(into any) *outcome {
	raw, out := c.body(MaxSmall)
	if out != nil {
		return out
	}
	return strictJSON(raw, into)
}

func strictJSON(raw []byte, into any) *outcome {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		return refuse(http.StatusBadRequest, "malformed", "the request is not the JSON that is expected here: see API.md")
	}
	return nil
}

// entry is what the log says of a call.
func (c *call) entry(out *outcome) LogEntry {
	e := LogEntry{
		At: c.rg.now(), Actor: c.who.actor(), Act: string(c.resource), Commune: c.commune, Outcome: outcomeDone, Why: out.why,
		Count: out.count, Content: out.content, Subjects: out.subjects,
	}
	if c.who.role != Nobody {
		e.Role = c.who.role
	}
	if out.commune != 0 {
		e.Commune = out.commune
	}
	if len(e.Subjects) > MaxSubjects {
		e.Subjects = e.Subjects[:MaxSubjects]
	}
	if out.refused {
		e.Outcome = outcomeRefused
	}
	return e
}

// settle logs the call with what it changes, in one synced batch.
func (c *call) settle(out *outcome) error {
	if out.quiet && out.change == nil && !out.refused {
		return nil
	}
	if out.refused && c.who.role == Nobody && !c.rg.unlogged.take(c.rg.now()) {
		return nil
	}
	batch := c.rg.st.db.NewBatch()
	defer batch.Close()
	if out.change != nil {
		if err := out.change(batch); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	_, err := c.rg.log.commit(batch, c.entry(out))
	return err
}

// send answers; nothing is answered before what it rests on is durable.
func (c *call) send(out *outcome) {
	h := c.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	if out.kind != "" {
		h.Set("Content-Type", out.kind)
	}
	if out.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(out.retry/time.Second)+1))
	}
	c.w.WriteHeader(out.status)
	_, _ = c.w.Write(out.body) // who hangs up asks again
}
