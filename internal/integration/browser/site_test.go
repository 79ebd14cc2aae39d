package browser

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// module is the path of the client for scripts.
const module = "../../../clients/waybill.mjs"

// pinned is a certificate for all sites.
type pinned struct {
	tls.Certificate
	pin string // of its key, in chromium's form
	pem []byte
}

// certificate makes the certificate.
var certificate = sync.OnceValues(func() (pinned, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pinned{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*.waybill.test", "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return pinned{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return pinned{}, err
	}
	sum := sha256.Sum256(spki)
	return pinned{
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pin:         base64.StdEncoding.EncodeToString(sum[:]),
		pem:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}, nil
})

// protocols are the versions of HTTP under test.
var protocols = []struct {
	name  string
	major int
}{{"HTTP/1.1", 1}, {"HTTP/2", 2}}

// site is a host with replicas behind a round robin. Each site has its own name, because cookies
// ignore ports.
type site struct {
	url, host string
	local     string // the same by the name localhost, for clients other than the browser

	mu   sync.Mutex
	most load // of one request
	seen []*http.Request
}

// load is the number of tokens of a request, or of cookies of another system, and their bytes.
type load struct {
	tokens, bytes int
}

var sites atomic.Int64

// serve starts a site. Its replicas get every path except the static files.
func serve(t *testing.T, major int, replicas ...http.Handler) *site {
	t.Helper()
	cert, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{}
	var turn atomic.Uint64
	mux := http.NewServeMux()
	mux.HandleFunc("/waybill.mjs", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, module) })
	mux.HandleFunc("/favicon.ico", http.NotFound)
	mux.HandleFunc("/tab", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, tabPage)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != major {
			t.Errorf("%s %s came by %s", r.Method, r.URL, r.Proto)
		}
		s.note(r)
		replicas[int(turn.Add(1))%len(replicas)].ServeHTTP(w, r)
	})
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert.Certificate}}
	server.EnableHTTP2 = major == 2
	server.Config.ErrorLog = log.New(new(bytes.Buffer), "", 0) // aborted requests
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s.host = fmt.Sprintf("site%d.waybill.test", sites.Add(1))
	s.url, s.local = "https://"+net.JoinHostPort(s.host, port), "https://localhost:"+port
	return s
}

// note records a request of a client, as it comes to the edge.
func (s *site) note(r *http.Request) {
	var now load
	for _, c := range r.Cookies() {
		now.tokens++
		now.bytes += len(c.Name) + len("=") + len(c.Value)
	}
	for _, line := range r.Header.Values("Waybill") {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" {
				now.tokens++
				now.bytes += len(token)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.tokens > s.most.tokens {
		s.most.tokens = now.tokens
	}
	if now.bytes > s.most.bytes {
		s.most.bytes = now.bytes
	}
	s.seen = append(s.seen, r.Clone(r.Context()))
}

// requests returns the requests that came.
func (s *site) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// echoReferer is another site, which must not learn of a journey.
type echoReferer struct{ t *testing.T }

func (e echoReferer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if got := r.Referer(); got != "" {
		e.t.Errorf("another site sees the Referer %s", got)
	}
}

// tabPage is the page of a client with scripts. It touches no journey.
const tabPage = `<!doctype html><title>tab</title><script type="module">
import { waybill } from "/waybill.mjs";
const origin = new URLSearchParams(location.search).get("api") ?? location.origin;
window.by = {
  fetch: (input, init) => fetch(input, init),
  module: waybill({ origin }).fetch,
  queue: waybill({ origin, cookies: true }).fetch,
};

// change sets claim n, and returns whether an answer acknowledged it.
window.change = async (how, n, ms, abortAfter) => {
  const init = { method: "POST" };
  if (abortAfter !== undefined) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), abortAfter);
    init.signal = controller.signal;
  }
  try {
    return (await by[how]("/change?n=" + n + "&ms=" + ms, init)).ok;
  } catch {
    return false;
  }
};

// claims returns the numbers of the claims that the journey has.
window.claims = async (how) => (await by[how]("/claims")).json();
</script>`
