package adele

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pointage/ledger"
)

// The client against the real platform is tested beside the platform; here, what needs none.

func TestAddressesAndKeysOfNoUseAreRefused(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for name, o := range map[string]Options{
		"not TLS":     {URL: "http://adele.example", Device: key},
		"no host":     {URL: "https://", Device: key},
		"with a path": {URL: "https://adele.example/api", Device: key},
		"short pin":   {URL: "https://adele.example", Pin: "abcd", Device: key},
		"no key":      {URL: "https://adele.example"},
	} {
		if _, err := NewClient(o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersAreSortedByWhatToDo(t *testing.T) {
	for _, c := range []struct {
		code int
		body string
		want error
	}{
		{http.StatusOK, `{"size":3}`, nil},
		{http.StatusNoContent, "", nil},
		{http.StatusOK, "<html>", ErrAnswer},
		{http.StatusConflict, `{"size":3,"refused":"fork"}`, ErrFork},
		{http.StatusConflict, "not JSON", ErrRefused},
		{http.StatusForbidden, "role", ErrRefused},
		{http.StatusUnprocessableEntity, "rules", ErrRefused},
		{http.StatusInsufficientStorage, "full", ErrRefused},
		{http.StatusGone, "destroyed", ErrDestroyed},
		{http.StatusTooManyRequests, "", ErrUnavailable},
		{http.StatusInternalServerError, "", ErrUnavailable},
		{http.StatusFound, "", ErrRefused},
	} {
		if _, err := judge(c.code, []byte(c.body)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%d %q: %v, want %v", c.code, c.body, err, c.want)
		}
	}
}

// long is a ledger of entries of the largest size.
type long struct{ size uint64 }

func (l long) Head() (uint8, uint64)             { return 0, l.size }
func (l long) Size(uint8) (uint64, error)        { return l.size, nil }
func (long) Entry(uint8, uint64) ([]byte, error) { return make([]byte, ledger.MaxEntry), nil }

func TestOneUploadHasItsBounds(t *testing.T) {
	part, err := slice(long{100}, 0, 0, 100)
	if err != nil || len(part) != MaxUpload/(ledger.MaxEntry+2) {
		t.Errorf("%d entries: %v", len(part), err)
	}
	if part, err = slice(long{100}, 0, 99, 100); err != nil || len(part) != 1 {
		t.Errorf("the last one: %d entries, %v", len(part), err)
	}
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(Options{URL: "https://" + address, Device: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Sync(t.Context(), 21014, long{1}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx, 21014); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
