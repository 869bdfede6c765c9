package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"pointage/ledger"
	"pointage/tools/adele/platform"
)

// opensRegion has the witness's platform take entries too, over TLS; it gives the address and the pin.
func (w *witness) opensRegion(election string) (r *platform.Region, url string) {
	w.t.Helper()
	r, err := platform.OpenRegion(w.server, w.dir, platform.RegionOptions{Election: election})
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, l) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			w.t.Error(err)
		}
	})
	return r, "https://" + l.Addr().String()
}

// official is a person at the platform, by a code of his own.
type official struct {
	t       *testing.T
	url     string
	client  http.Client
	session string
}

func newOfficial(t *testing.T, r *platform.Region, url string, role platform.Role) *official {
	t.Helper()
	issued, err := r.IssueCode(platform.CodeOrder{Role: role, Communes: []ledger.Commune{town}, Person: "one", Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	// Who holds the pin is the machine's concern, tested there.
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	o := &official{t: t, url: url, client: http.Client{Transport: transport, Timeout: patience}}
	code, err := json.Marshal(map[string]string{"code": issued.Code})
	if err != nil {
		t.Fatal(err)
	}
	var in struct{ Session string }
	if err := json.Unmarshal(o.ask("POST", "/session", code, http.StatusOK), &in); err != nil || in.Session == "" {
		t.Fatal(err)
	}
	o.session = in.Session
	return o
}

func (o *official) ask(method, path string, body []byte, want int) []byte {
	o.t.Helper()
	code, answer := o.try(method, path, body)
	if code != want {
		o.t.Fatalf("%s %s: %d %s", method, path, code, answer)
	}
	return answer
}

func (o *official) try(method, path string, body []byte) (int, []byte) {
	o.t.Helper()
	q, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, bytes.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if o.session != "" {
		q.Header.Set("Authorization", "Bearer "+o.session)
	}
	a, err := o.client.Do(q)
	if err != nil {
		o.t.Fatal(err)
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return a.StatusCode, answer
}

func TestThePlatformHoldsWhatTheLedgerHolds(t *testing.T) {
	t.Parallel()
	c := newCommune(t, nil)
	c.witness.start()
	region, url := c.witness.opensRegion(c.election)
	officer := newOfficial(t, region, url, platform.Officer)
	var list bytes.Buffer
	if err := electorsOf(t, town, townElectors, 3).WriteCSV(&list); err != nil {
		t.Fatal(err)
	}
	officer.ask("PUT", fmt.Sprintf("/communes/%d/list", town), list.Bytes(), http.StatusCreated)
	withPlatform := func(b *bureau) {
		cfg := b.config()
		cfg.Platform, cfg.PlatformPin = url, region.Pin()
		n, err := Start(cfg, b.options())
		if err != nil {
			t.Fatal(err)
		}
		b.node = n
	}
	for _, n := range []ledger.BureauNumber{1, 2} {
		withPlatform(c.bureaux[n])
	}
	c.bureaux[3].start()
	for n, b := range c.bureaux {
		if err := b.node.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.admits(c.home(n, 0))
	}
	principal := c.bureaux[1].node
	level := func(n *Node) func() bool {
		return func() bool {
			s := n.Status()
			return s.PlatformFault == "" && s.PlatformSize == s.LedgerSize && s.AnchoredSize > 0 && !n.notary.grown(s.AnchoredSize)
		}
	}
	c.until("the platform has all", level(principal))
	// The deputy goes on where the principal stood.
	c.bureaux[1].stop()
	c.bureaux[3].admits(c.home(3, 1))
	// With the tokens' key, which came from the bureau, it tells who voted.
	judge := newOfficial(t, region, url, platform.PrincipalPresident)
	c.until("the platform names the four", func() bool {
		code, answer := judge.try("GET", fmt.Sprintf("/communes/%d/check-ins", town), nil)
		return code == http.StatusOK && bytes.Count(answer, []byte("\n")) == 1+4
	})
	c.until("the deputy anchors the rest", level(c.bureaux[2].node))
	// Another bureau's machine brings nothing.
	if c.bureaux[3].node.uploads != nil {
		t.Error("a bureau without the log's key uploads")
	}
	dir := filepath.Join(t.TempDir(), "export") // it reaches as far as the last anchor
	if err := c.bureaux[2].node.Export(dir); err != nil {
		t.Fatal(err)
	}
	exported := c.verify(dir)
	if exported.Admitted != 4 {
		t.Errorf("the export has %d admitted", exported.Admitted)
	}
	c.until("the platform stands where bureau 3 does", func() bool {
		st, err := c.bureaux[2].node.uploads.client.StatusOf(t.Context(), town, 0)
		return err == nil && st.Agrees == "yes" && st.Size >= exported.Entries && st.Size == c.bureaux[3].node.Head().Size
	})
}
