package web_test

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"pointage/ledger"
)

// TestTabletsGetTheScreensEncryptedUnderAFingerprintThatLasts connects as a tablet does, before and after a restart.
func TestTabletsGetTheScreensEncryptedUnderAFingerprintThatLasts(t *testing.T) {
	_, s := alone(t)
	var seen []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fingerprint, err := s.screens.ServeTablets(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fingerprint)
		shown := ""
		v := s.visitor()
		v.client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // as whoever accepts the certificate by its fingerprint
			VerifyConnection: func(c tls.ConnectionState) error {
				shown = strings.ToUpper(fmt.Sprintf("% x", sha256.Sum256(c.PeerCertificates[0].Raw)))
				return nil
			},
		}}
		s.url = "https://" + l.Addr().String()
		v.get("/sign-in")
		if got := v.post("/sign-in", "who", "0", "secret", s.pass); got.path == "/sign-in" {
			t.Fatalf("a tablet can't sign in: %s", got.text())
		}
		if got := v.get("/team"); shown != fingerprint || !strings.Contains(got.text(), fingerprint) || !strings.Contains(got.text(), s.url) {
			t.Errorf("the tablet sees %s, told is %s: %s", shown, fingerprint, got.text())
		}
		plain, err := http.Get("http://" + l.Addr().String() + "/sign-in")
		if err == nil {
			plain.Body.Close()
			if plain.StatusCode < 400 {
				t.Error("tablets are served without encryption")
			}
		}
		http.DefaultClient.CloseIdleConnections()
		s.stop()
		s.start(nil)
	}
	if seen[0] != seen[1] {
		t.Errorf("the certificate changed at a restart: %v", seen)
	}
}

// TestTheRitualComparesClocksWithTheOthers: three bureaux, all on this machine's clock.
func TestTheRitualComparesClocksWithTheOthers(t *testing.T) {
	c := newCommune(t, usual())
	for _, n := range []ledger.BureauNumber{1, 2, 3} {
		c.stations[n].start(nil)
	}
	s := c.stations[1]
	until(t, "the others are connected", func() bool { return len(s.node.Status().Connected) == 2 })
	clocks := table(t, s).Clocks(t.Context())
	if len(clocks) != 2 || clocks[0].Ahead.Abs() > clocks[0].Within {
		t.Errorf("clocks %v", clocks)
	}
	p := s.president()
	if got := p.get("/opening"); !strings.Contains(got.text(), "Comparée à 2 bureau(x)") || !strings.Contains(got.text(), "2 sur 2 répondent") {
		t.Errorf("the ritual: %s", got.text())
	}
}
