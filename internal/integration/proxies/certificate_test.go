package integrationproxies

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// certificate is the certificate of the proxies, for 127.0.0.1.
type certificate struct {
	file  string // the certificate and its private key
	roots *x509.CertPool
	pin   string // of its key, in chromium's form
}

// newCertificate writes the certificate of package httptest into a file.
func newCertificate(t *testing.T) certificate {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	c := certificate{
		file:  filepath.Join(t.TempDir(), "certificate.pem"),
		roots: x509.NewCertPool(),
		pin:   base64.StdEncoding.EncodeToString(sum[:]),
	}
	c.roots.AddCert(s.Certificate())
	if err := os.WriteFile(c.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// transport returns the transport of a client that trusts the certificate.
func (c certificate) transport(t *testing.T, http2 bool) *http.Transport {
	tr := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: c.roots},
		ForceAttemptHTTP2:   http2,
		MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}
