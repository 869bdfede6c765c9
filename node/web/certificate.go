package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	// certificateNote is the journal's note of the tablets' certificate and key: encrypted on the bureau's media, so
	// that a spare machine with the keys shows the certificate that the tablets know already.
	certificateNote = "screens/certificate"
	// certificateLasts is how long one is good; a clock may be wrong by a day.
	certificateLasts, clockDoubt = 60 * 24 * time.Hour, 48 * time.Hour
)

// ServeTablets shows the screens at a listener on the bureau's own network, encrypted. Nobody vouches for the
// certificate but the fingerprint, which is read at the machine and compared on each tablet once.
func (s *Server) ServeTablets(ctx context.Context, l net.Listener) (fingerprint string, err error) {
	addresses := tabletAddresses(l.Addr())
	c, err := s.certificate(ctx, addresses)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(c.Certificate[0])
	fingerprint = strings.ToUpper(fmt.Sprintf("% x", sum))
	s.mu.Lock()
	s.tablets, s.fingerprint = addresses, fingerprint
	s.mu.Unlock()
	s.serve(l, c)
	return fingerprint, nil
}

func (s *Server) addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tablets)
}

// tabletAddresses are what to type at a tablet: the listener's address, or each of the machine's own.
func tabletAddresses(a net.Addr) (out []string) {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return []string{"https://" + a.String() + "/"}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, x := range all {
		if n, ok := x.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() && !n.IP.IsLoopback() {
			out = append(out, "https://"+net.JoinHostPort(n.IP.String(), port)+"/")
		}
	}
	return out
}

// certificate is the one that was kept, or a new one when that is over or for other addresses.
func (s *Server) certificate(ctx context.Context, addresses []string) (*tls.Certificate, error) {
	var hosts []net.IP
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(a, "https://"), "/"))
		if err == nil {
			hosts = append(hosts, net.ParseIP(host))
		}
	}
	if c := readCertificate(s.bureau.Kept(certificateNote)); c != nil && s.serves(c, hosts) {
		return c, nil
	}
	f := s.bureau.Facts()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw the tablets' key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw a serial: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("pointage %s, commune %d, bureau %d", f.Election, f.Commune, f.Bureau)},
		NotBefore: s.now().Add(-clockDoubt), NotAfter: s.now().Add(certificateLasts), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IPAddresses: hosts,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the tablets' certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("keep the tablets' key: %w", err)
	}
	kept := append([]byte{byte(len(private) >> 8), byte(len(private))}, append(private, der...)...)
	if err := s.bureau.Keep(ctx, certificateNote, kept); err != nil {
		return nil, fmt.Errorf("keep the tablets' certificate: %w", err)
	}
	return readCertificate(kept), nil
}

// readCertificate reads what certificate keeps: the key's length in two bytes, the key (PKCS #8), the certificate. It
// is nil for anything else.
func readCertificate(kept []byte) *tls.Certificate {
	if len(kept) < 2 {
		return nil
	}
	n := int(kept[0])<<8 | int(kept[1])
	if len(kept) < 2+n {
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(kept[2 : 2+n])
	if err != nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(kept[2+n:])
	if err != nil {
		return nil
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// serves says whether a certificate is good now, and for some days, at these addresses.
func (s *Server) serves(c *tls.Certificate, hosts []net.IP) bool {
	if at := s.now(); at.Before(c.Leaf.NotBefore) || at.Add(clockDoubt).After(c.Leaf.NotAfter) {
		return false
	}
	for _, h := range hosts {
		if !slices.ContainsFunc(c.Leaf.IPAddresses, h.Equal) {
			return false
		}
	}
	return true
}
