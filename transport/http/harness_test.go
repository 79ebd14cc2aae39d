package waybillhttp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

const (
	headerKey = "Waybill"
	returnKey = "Waybill-Update"
	hopKey    = "Waybill-Hop"
)

var (
	cell   = waybill.NewClaim[string]("cell")
	seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	tags   = waybill.NewClaim[[]string]("tags").Merge(waybill.Union)
	coupon = waybill.NewClaim[string]("coupon").OnSuccess()
	tenant = waybill.NewClaim[string]("tenant").Fixed()
)

var declared = waybill.Claims(cell, seats, tags, coupon, tenant)

// authority returns the Authority of one service. All of them share their keys.
func authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, append(opts, declared)...)
}

// issue returns a token.
func issue(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) string {
	t.Helper()
	wb, err := auth.Issue(changes...)
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	return wb.Token()
}

// at sets a clock that is ahead by d.
func at(d time.Duration) waybill.Option {
	return waybill.Clock(func() time.Time { return time.Now().Add(d) })
}

// protocols are the versions of HTTP that the tests use.
var protocols = []struct {
	name  string
	major int
	start func(testing.TB, http.Handler) *httptest.Server
}{
	{"http1", 1, serve},
	{"http2", 2, serveHTTP2},
}

// serve starts a TLS server that speaks HTTP/1.1.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, false)
}

func serveHTTP2(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	return start(t, h, true)
}

func start(t testing.TB, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.Config.ErrorLog = silent
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// host returns the server's address, as a pattern for AllowHosts.
func host(s *httptest.Server) string {
	u, _ := url.Parse(s.URL)
	return u.Host
}

// client returns a client that sends auth's waybills to the servers.
func client(t testing.TB, auth *waybill.Authority, servers []*httptest.Server, opts ...waybillhttp.ClientOption) *http.Client {
	t.Helper()
	for _, s := range servers {
		opts = append(opts, waybillhttp.AllowHosts(host(s)))
	}
	return &http.Client{Transport: must(waybillhttp.NewTransport(auth, base(t, servers...), opts...))}
}

// base returns a transport that trusts the servers and uses their version of HTTP.
func base(t testing.TB, servers ...*httptest.Server) http.RoundTripper {
	t.Helper()
	tr := servers[0].Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

// do sends a request and reads the response.
func do(t testing.TB, c *http.Client, r *http.Request) answer {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the body: %v", r.Method, r.URL, err)
	}
	return answer{resp, string(b)}
}

func get(t testing.TB, ctx context.Context, c *http.Client, url string) answer {
	t.Helper()
	return do(t, c, request(t, ctx, http.MethodGet, url))
}

func request(t testing.TB, ctx context.Context, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// present sends a token by hand, as the client of an edge does, and returns the response.
func present(t testing.TB, s *httptest.Server, token string) answer {
	t.Helper()
	r := request(t, t.Context(), http.MethodGet, s.URL)
	if token != "" {
		r.Header.Set(headerKey, token)
	}
	return do(t, s.Client(), r)
}

// claims opens the one returned token of a response.
func (a answer) claims(t testing.TB, auth *waybill.Authority) *waybill.Waybill {
	t.Helper()
	updates := a.Header[returnKey]
	if len(updates) != 1 {
		t.Fatalf("%d returned tokens in the response header, want 1", len(updates))
	}
	wb, err := auth.Open(updates[0])
	if err != nil {
		t.Fatalf("the returned token does not open: %v", err)
	}
	return wb
}

// seatsOf returns the seats in ctx, or -1.
func seatsOf(ctx context.Context) int {
	n, ok := seats.Get(ctx)
	if !ok {
		return -1
	}
	return n
}

// must returns v. An error of a constructor fails the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// check reports an error in a handler, where t.Fatal is not allowed.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("unexpected error: %v", err)
	}
}

// meter counts what is recorded, by instrument and outcome.
type meter struct {
	noop.MeterProvider
	mu     sync.Mutex
	counts map[string]int64
}

func (m *meter) Meter(string, ...metric.MeterOption) metric.Meter { return meterOf{m: m} }

// count returns one count.
func (m *meter) count(instrument, outcome string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[instrument+" "+outcome]
}

// all returns the names of what was counted, sorted.
func (m *meter) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type meterOf struct {
	noop.Meter
	m *meter
}

func (m meterOf) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{m: m.m, name: name}, nil
}

type counter struct {
	noop.Int64Counter
	m    *meter
	name string
}

func (c counter) Add(_ context.Context, n int64, opts ...metric.AddOption) {
	attrs := metric.NewAddConfig(opts).Attributes()
	outcome, _ := attrs.Value(attribute.Key("outcome"))
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.m.counts == nil {
		c.m.counts = map[string]int64{}
	}
	c.m.counts[c.name+" "+outcome.AsString()] += n
}
