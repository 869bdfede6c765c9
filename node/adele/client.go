// Package adele brings a commune's ledger to the regional platform: entries and checkpoints go
// over TLS 1.3 with the device's own key as the client's certificate, and go on from where the
// platform stands (decree of 16 July 2024, art. 7 §2). The wire format is that of
// tools/adele/API.md.
package adele

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pointage/ledger"
)

const (
	// DefaultTimeout is how long one request may take in all.
	DefaultTimeout = 30 * time.Second
	// MaxUpload is the length of one upload of entries, in bytes, MaxUploadCount how many entries
	// it has: half of what the platform takes.
	MaxUpload      = 2 << 20
	MaxUploadCount = 2048
	// MaxAnswer is the length of an answer that is read, in bytes.
	MaxAnswer = 1 << 20
	// maxWords is how much of the platform's own words an error shows, in bytes.
	maxWords = 200
)

// What the platform can say beside yes. All are wrapped with its own words.
var (
	// ErrFork: the platform holds other entries, or has anchored another history. Nothing is
	// to be sent again before people have looked: both sides keep what they have.
	ErrFork = errors.New("the platform holds another ledger")
	// ErrRefused: this machine has no right to it, or what was sent is no part of the ledger.
	ErrRefused = errors.New("the platform refuses")
	// ErrDestroyed: the election is over and the personal data are destroyed.
	ErrDestroyed = errors.New("the platform has destroyed its personal data")
	// ErrUnavailable: no answer, or one that says to come again. Trying later costs only time.
	ErrUnavailable = errors.New("the platform can't be reached or is busy")
	// ErrAnswer: the answer is not the platform's.
	ErrAnswer = errors.New("the answer is not one of the platform's: check its address")
)

// Options says whom to talk to, and as who.
type Options struct {
	// URL is https://host[:port].
	URL string
	// Pin is the SHA-256 of the platform's public key, in hexadecimal, as it prints it; empty
	// trusts the machine's certificate authorities.
	Pin string
	// Device is the key of this machine that the manifest names.
	Device ed25519.PrivateKey
	// Timeout of one request; DefaultTimeout when 0.
	Timeout time.Duration
}

// A Client talks to one platform for one machine. Its methods may be called by many goroutines.
type Client struct {
	base *url.URL
	http *http.Client
}

// NewClient makes a client; Close drops its connections.
func NewClient(options Options) (*Client, error) {
	base, err := url.Parse(options.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, fmt.Errorf("read the platform's address: %q is not https://host[:port]", options.URL)
	}
	certificate, err := Certificate(options.Device)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}
	if options.Pin != "" {
		pin, err := hex.DecodeString(options.Pin)
		if err != nil || len(pin) != sha256.Size {
			return nil, errors.New("read the platform's pin: it has 64 hexadecimal digits")
		}
		// The pin takes the place of the authorities: whoever holds that key is the platform.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s, pin) }
	}
	if options.Timeout == 0 {
		options.Timeout = DefaultTimeout
	}
	return &Client{base: base, http: &http.Client{
		Timeout: options.Timeout,
		Transport: &http.Transport{
			TLSClientConfig: config, MaxConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: options.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func checkPin(s tls.ConnectionState, pin []byte) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the platform shows no certificate")
	}
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	if subtle.ConstantTimeCompare(sum[:], pin) != 1 {
		return errors.New("the platform's key is not the one that was pinned")
	}
	return nil
}

// Certificate is a self-signed certificate for a device's key: the platform knows the key from the
// manifest and looks at nothing else in it.
func Certificate(device ed25519.PrivateKey) (tls.Certificate, error) {
	if len(device) != ed25519.PrivateKeySize {
		return tls.Certificate{}, errors.New("make a certificate: no device key")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pointage device"},
		// The key's life is the election's, whatever the clocks say.
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, device.Public(), device)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: device}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A Status says where the platform's copy of a commune's ledger stands.
type Status struct {
	Epoch uint8  `json:"epoch"`
	Size  uint64 `json:"size"`
	Root  string `json:"root"` // base64
	// Refused is why an upload was not taken.
	Refused      string `json:"refused"`
	AnchoredSize uint64 `json:"anchored_size"`
	AnchoredRoot string `json:"anchored_root"`
	// Agrees: "yes", "no", "behind", or "" when nothing was anchored.
	Agrees string `json:"agrees"`
}

// Status asks for the newest epoch that the platform has of a commune.
func (c *Client) Status(ctx context.Context, ins ledger.Commune) (Status, error) {
	return c.ask(ctx, http.MethodGet, fmt.Sprintf("communes/%d/ledger", ins), nil, nil)
}

// StatusOf asks for one epoch.
func (c *Client) StatusOf(ctx context.Context, ins ledger.Commune, epoch uint8) (Status, error) {
	return c.ask(ctx, http.MethodGet, fmt.Sprintf("communes/%d/ledger/%d", ins, epoch), nil, nil)
}

// Upload sends the encoded entries of an epoch from a position on; those that the platform has
// already are compared there. conflict says that it stands elsewhere: go on from the status.
func (c *Client) Upload(ctx context.Context, ins ledger.Commune, epoch uint8, from uint64, entries [][]byte) (st Status, conflict bool, err error) {
	var body []byte
	for _, e := range entries {
		if len(e) > ledger.MaxEntry {
			return st, false, fmt.Errorf("upload entry %d: %d bytes, at most %d", from, len(e), ledger.MaxEntry)
		}
		body = ledger.AppendToBundle(body, e)
	}
	query := url.Values{"from": {strconv.FormatUint(from, 10)}}
	st, err = c.ask(ctx, http.MethodPut, fmt.Sprintf("communes/%d/ledger/%d/entries", ins, epoch), query, body)
	var at *conflictError
	if errors.As(err, &at) {
		return at.status, true, nil
	}
	return st, false, err
}

// Checkpoint sends a checkpoint's note, with whatever cosignatures it has; its entries must be
// there before it.
func (c *Client) Checkpoint(ctx context.Context, ins ledger.Commune, epoch uint8, note []byte) error {
	_, err := c.ask(ctx, http.MethodPut, fmt.Sprintf("communes/%d/ledger/%d/checkpoint", ins, epoch), nil, note)
	return err
}

// TokenKey gives the platform K, 32 bytes, with which it tells whose the ledger's tokens are. It takes the
// one that fits the roll, when it has the commune's list; ErrRefused before.
func (c *Client) TokenKey(ctx context.Context, ins ledger.Commune, k []byte) error {
	body := hex.AppendEncode(nil, k)
	defer clear(body)
	_, err := c.ask(ctx, http.MethodPut, fmt.Sprintf("communes/%d/token-key", ins), nil, body)
	return err
}

// Document sends a bureau's minutes or another paper, under a name of a-z, 0-9, dots and hyphens.
func (c *Client) Document(ctx context.Context, ins ledger.Commune, n ledger.BureauNumber, name string, content []byte) error {
	_, err := c.ask(ctx, http.MethodPut, fmt.Sprintf("communes/%d/bureaux/%d/documents/%s", ins, n, url.PathEscape(name)), nil, content)
	return err
}

// conflictError is 409: the platform stands elsewhere, or holds something else.
type conflictError struct{ status Status }

func (e *conflictError) Error() string { return fmt.Sprintf("%v: %s", ErrFork, e.status.Refused) }

func (e *conflictError) Unwrap() error { return ErrFork }

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body []byte) (Status, error) {
	address := c.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return Status{}, fmt.Errorf("ask the platform: %w", err)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return Status{}, fmt.Errorf("ask the platform: %w", ctx.Err())
		}
		return Status{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer))
	if err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return judge(answer.StatusCode, raw)
}

func judge(code int, raw []byte) (Status, error) {
	var st Status
	words := strconv.Quote(strings.TrimSpace(strings.ToValidUTF8(string(raw[:min(len(raw), maxWords)]), "?")))
	switch {
	case code == http.StatusNoContent, code == http.StatusCreated:
		return st, nil
	case code == http.StatusOK, code == http.StatusConflict:
		if err := json.Unmarshal(raw, &st); err != nil {
			if code == http.StatusConflict {
				return st, fmt.Errorf("%w: %s", ErrRefused, words)
			}
			return st, ErrAnswer
		}
		if code == http.StatusConflict {
			return st, &conflictError{st}
		}
		return st, nil
	case code == http.StatusGone:
		return st, ErrDestroyed
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500 && code != http.StatusInsufficientStorage:
		return st, fmt.Errorf("%w (%d %s)", ErrUnavailable, code, words)
	}
	return st, fmt.Errorf("%w (%d %s)", ErrRefused, code, words)
}
