// Package anchor brings the commune's checkpoints to a witness outside (ADELE, or any
// other that speaks C2SP tlog-witness v1.0.0) and its timestamped cosignatures back.
package anchor

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/ledger"
)

const (
	// DefaultTimeout is how long one request to the witness may take in all.
	DefaultTimeout = 10 * time.Second
	// MaxAnswer is the length of a witness's answer, in bytes.
	MaxAnswer = 64 << 10
	// MaxProof is how many hashes a submission carries (C2SP tlog-witness).
	MaxProof = 63
	// MaxResubmissions is how often one submission is sent again with the size that
	// the witness named; a witness that then still names another one is being
	// moved by somebody else, or is broken.
	MaxResubmissions = 4

	sizeType      = "text/x.tlog.size"
	maxHeader     = 64 << 10
	maxReason     = 200          // bytes of a witness's own words in an error
	lastTimestamp = 253402300799 // the year 9999 ends: later ones can't be written down
)

// What a witness can say beside a cosignature. All are wrapped with the size and the
// witness's own words.
var (
	// ErrFork: the witness holds another history of this log (422, or 409 without a
	// size). Somebody else signs with the log's key, or this ledger is not the one
	// that was anchored before. A person has to look; the witness keeps the evidence.
	ErrFork = errors.New("the witness holds another history of this log")
	// ErrUnknownLog: the witness was never told of the origin (404).
	ErrUnknownLog = errors.New("the witness does not know this log: give it log.vkey")
	// ErrLogKey: the witness knows another key for the origin (403).
	ErrLogKey = errors.New("the witness knows another key for this log: give it this log.vkey")
	// ErrRefused: the witness takes the submission for malformed (any other 4xx, or a
	// redirection): the address is not a witness's, or one side is wrong.
	ErrRefused = errors.New("the witness refuses the submission: check its address")
	// ErrAnswer: the answer can't be used: no valid cosignature of the configured key.
	ErrAnswer = errors.New("no valid cosignature in the witness's answer: check its key")
	// ErrUnavailable: no answer, 408, 429 or 5xx. Trying again later costs only time.
	ErrUnavailable = errors.New("the witness can't be reached or is busy")
	// ErrUnsettled: the witness named another size each time.
	ErrUnsettled = errors.New("the witness keeps naming other sizes")
)

// An AheadError says that the witness has cosigned a larger checkpoint than the one
// submitted: another signer of this log was quicker. A newer checkpoint puts it right.
type AheadError struct {
	Size uint64 // that the witness knows
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("the witness has already seen size %d", e.Size)
}

// A Prover proves that the tree of old entries is the beginning of the tree of size
// entries (RFC 6962 §2.1.2), for 0 < old < size.
type Prover interface {
	Prove(ctx context.Context, old, size uint64) ([]tlog.Hash, error)
}

// A Checkpoint is what is submitted: the size and root, and the note with the log's
// signature and no other.
type Checkpoint struct {
	ledger.Checkpoint
	Note []byte
}

// An Anchored checkpoint carries the witness's verified cosignature.
type Anchored struct {
	Checkpoint Checkpoint
	Line       string    // the cosignature line in its canonical form, newline included
	Time       time.Time // that the witness attests, whole seconds, UTC
}

// Bytes is the note with the log's and the witness's lines.
func (a Anchored) Bytes() []byte {
	return append(bytes.Clone(a.Checkpoint.Note), a.Line...)
}

// A Client submits to one witness. Its methods may be called by many goroutines.
type Client struct {
	endpoint string
	key      *ledger.NoteKey
	http     *http.Client
}

// Options may be left zero.
type Options struct {
	Timeout   time.Duration     // of one request; DefaultTimeout
	Transport http.RoundTripper // default: a transport of the client's own
}

// NewClient makes a client of the witness at address, the submission prefix of C2SP
// tlog-witness, whose cosignatures must be by vkey (algorithm byte 04).
func NewClient(address, vkey string, options Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("read witness address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("read witness address: %q is not http(s)://host[:port][/prefix]", address)
	}
	key, err := ledger.ParseCosignerVKey(strings.TrimSpace(vkey))
	if err != nil {
		return nil, fmt.Errorf("read witness key: %w", err)
	}
	if options.Timeout == 0 {
		options.Timeout = DefaultTimeout
	}
	if options.Transport == nil {
		options.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        2,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHeader,
			TLSHandshakeTimeout:    options.Timeout,
		}
	}
	return &Client{
		endpoint: u.JoinPath("add-checkpoint").String(),
		key:      key,
		http: &http.Client{
			Timeout:   options.Timeout,
			Transport: options.Transport,
			// A redirected submission is no answer of the witness that was named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Witness is the name of the witness's key.
func (c *Client) Witness() string { return c.key.Name() }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Submit anchors cp. old is the size that the witness is believed to know, 0 if
// unknown: the right one is learned from its answer. The errors are those of this
// package, the prover's, and the context's.
func (c *Client) Submit(ctx context.Context, cp Checkpoint, old uint64, prover Prover) (Anchored, error) {
	if err := checkNote(cp); err != nil {
		return Anchored{}, err
	}
	old = min(old, cp.Size)
	for range 1 + MaxResubmissions {
		answer, err := c.post(ctx, cp, old, prover)
		if err != nil {
			return Anchored{}, fmt.Errorf("anchor size %d: %w", cp.Size, err)
		}
		known, conflict, err := answer.judge()
		if err != nil {
			return Anchored{}, fmt.Errorf("anchor size %d: %w", cp.Size, err)
		}
		switch {
		case !conflict:
			anchored, err := c.accept(cp, answer.body)
			if err != nil {
				return Anchored{}, fmt.Errorf("anchor size %d: %w", cp.Size, err)
			}
			return anchored, nil
		case known > cp.Size:
			return Anchored{}, fmt.Errorf("anchor size %d: %w", cp.Size, &AheadError{known})
		}
		// Our own size is named after an answer that was lost: the same
		// checkpoint again, with old = size, is cosigned anew if the roots agree.
		old = known
	}
	return Anchored{}, fmt.Errorf("anchor size %d: %w", cp.Size, ErrUnsettled)
}

// checkNote holds the caller to what it says it submits.
func checkNote(cp Checkpoint) error {
	signatures, ok := bytes.CutPrefix(cp.Note, []byte(cp.Text()+"\n"))
	if !ok {
		return fmt.Errorf("anchor size %d: the note is not of this checkpoint", cp.Size)
	}
	if bytes.Count(signatures, []byte("\n")) != 1 || !bytes.HasPrefix(signatures, []byte("— "+cp.Origin+" ")) {
		return fmt.Errorf("anchor size %d: the note carries more than the log's signature", cp.Size)
	}
	return nil
}

// A reply is an answer of the witness, read within its bound.
type reply struct {
	status int
	kind   string // media type
	body   []byte
}

func (c *Client) post(ctx context.Context, cp Checkpoint, old uint64, prover Prover) (reply, error) {
	var proof []tlog.Hash
	if old > 0 && old < cp.Size {
		var err error
		if proof, err = prover.Prove(ctx, old, cp.Size); err != nil {
			return reply{}, fmt.Errorf("prove growth from %d: %w", old, err)
		}
		if len(proof) > MaxProof {
			return reply{}, fmt.Errorf("prove growth from %d: %d hashes, at most %d are allowed", old, len(proof), MaxProof)
		}
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, hash := range proof {
		body.WriteString(base64.StdEncoding.EncodeToString(hash[:]) + "\n")
	}
	body.WriteString("\n")
	body.Write(cp.Note)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, &body)
	if err != nil {
		return reply{}, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := c.http.Do(request)
	if err != nil {
		return reply{}, unavailable(ctx, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer+1))
	if err != nil {
		return reply{}, unavailable(ctx, err)
	}
	if len(raw) > MaxAnswer {
		return reply{}, fmt.Errorf("%w: more than %d bytes", ErrAnswer, MaxAnswer)
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	return reply{status: response.StatusCode, kind: kind, body: raw}, nil
}

// unavailable tells our own stopping from the witness's silence.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask the witness: %w", ctx.Err())
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// judge sorts the answer into its class. conflict comes with the size that the witness
// knows; neither conflict nor err is a cosignature to verify.
func (r reply) judge() (known uint64, conflict bool, err error) {
	class := ErrRefused
	switch {
	case r.status == http.StatusOK:
		return 0, false, nil
	case r.status == http.StatusConflict && r.kind == sizeType:
		text := string(bytes.TrimSuffix(r.body, []byte("\n")))
		known, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return 0, false, fmt.Errorf("%w: a conflict without a size", ErrAnswer)
		}
		return known, true, nil
	case r.status == http.StatusConflict, r.status == http.StatusUnprocessableEntity:
		class = ErrFork
	case r.status == http.StatusNotFound:
		class = ErrUnknownLog
	case r.status == http.StatusForbidden:
		class = ErrLogKey
	case r.status == http.StatusRequestTimeout, r.status == http.StatusTooManyRequests, r.status >= 500:
		class = ErrUnavailable
	}
	return 0, false, fmt.Errorf("%w (%d %s)", class, r.status, r.words())
}

// words is the beginning of the answer, fit for one line.
func (r reply) words() string {
	text := r.body[:min(len(r.body), maxReason)]
	return strconv.Quote(strings.TrimSpace(strings.ToValidUTF8(string(text), "?")))
}

// accept finds the configured witness's line in the answer and verifies it over the
// checkpoint that was sent. Lines of other keys are ignored.
func (c *Client) accept(cp Checkpoint, answer []byte) (Anchored, error) {
	for line := range strings.Lines(string(answer)) {
		if !strings.HasPrefix(line, "— "+c.key.Name()+" ") || !strings.HasSuffix(line, "\n") {
			continue
		}
		n, err := note.Open([]byte(cp.Text()+"\n"+line), note.VerifierList(c.key))
		if err != nil {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
		if err != nil {
			panic(fmt.Sprintf("note.Open took %q, base64 says %v", line, err))
		}
		// The verified signature is hash, seconds, Ed25519.
		seconds := binary.BigEndian.Uint64(raw[4:])
		if seconds == 0 || seconds > lastTimestamp {
			return Anchored{}, fmt.Errorf("%w: it attests the time %d", ErrAnswer, seconds)
		}
		return Anchored{
			Checkpoint: cp,
			// Spare bits in base64 would verify too; an export has one form only.
			Line: "— " + c.key.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n",
			Time: time.Unix(int64(seconds), 0).UTC(),
		}, nil
	}
	return Anchored{}, ErrAnswer
}
