package platform

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// tlsFile holds the platform's certificate and its key, PEM. A real one may be put in its place;
// the one that is made here is told apart by its pin.
const tlsFile = "tls.pem"

// certificate reads the platform's TLS certificate, or makes one that signs itself.
func (rg *Region) certificate() (*tls.Certificate, error) {
	path := filepath.Join(rg.dir, tlsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = makeCertificate(rg.now()); err == nil {
			err = writeFileSynced(path, text, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the TLS certificate: %w", err)
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("open the TLS certificate %s: %w", path, err)
	}
	return &c, nil
}

func makeCertificate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ADELE"}, DNSNames: []string{"adele"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}

// Pin is the SHA-256 of the TLS certificate's public key (SubjectPublicKeyInfo), in hexadecimal:
// what a client compares when no authority vouches for the certificate.
func (rg *Region) Pin() string {
	sum := sha256.Sum256(rg.tls.Leaf.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// tlsConfig asks for a client's certificate without requiring one: people have codes. Nobody's
// signature on it is looked at: the handshake proves that the client holds the key (RFC 8446
// §4.4.3), and the manifest says whose it is.
func (rg *Region) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*rg.tls}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"}}
}

// errMachine: a client's certificate is of no machine of the election.
var errMachine = errors.New("no machine of this election has the certificate's key")

// identify says who asks: a machine by its certificate, a person by his session.
func (rg *Region) identify(r *http.Request) (identity, error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		key, ok := r.TLS.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
		if !ok {
			return identity{role: Nobody}, errMachine
		}
		who, ok := rg.machines[string(key)]
		if !ok || rg.retired(who, key) {
			return identity{role: Nobody}, errMachine
		}
		return who, nil
	}
	if who, ok := rg.sessions.find(bearer(r), rg.now()); ok {
		return who, nil
	}
	return identity{role: Nobody}, nil
}
