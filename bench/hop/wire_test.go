//go:build unix

package hop

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

const (
	requests  = 300 // in each measurement, after the first request of its connection
	wireLimit = 11  // additional bytes of each request with a repeated token; one of them is Waybill-Hop
)

// meter counts what a client's connections send and receive.
type meter struct{ sent, received atomic.Int64 }

func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &metered{c, m}, err
}

type metered struct {
	net.Conn
	m *meter
}

// Write counts before it writes, because the response may arrive before Write returns.
func (c *metered) Write(b []byte) (int, error) {
	c.m.sent.Add(int64(len(b)))
	return c.Conn.Write(b)
}

func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.m.received.Add(int64(n))
	return n, err
}

// wire is a client whose bytes are counted, with its one call.
type wire func(testing.TB, *waybill.Authority, *meter) func(ctx context.Context, traceparent string) error

var wires = []struct {
	name  string
	setup wire
}{{"http2", wireHTTP2}, {"grpc", wireGRPC}}

// wireHTTP2 uses HTTP/2 without TLS, because the overhead of TLS does not depend on the header.
func wireHTTP2(tb testing.TB, auth *waybill.Authority, m *meter) func(context.Context, string) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := httptest.NewUnstartedServer(must(waybillhttp.NewServer(auth)).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			tb.Errorf("protocol %s, want HTTP/2", r.Proto)
		}
		io.WriteString(w, "body")
	})))
	s.Config.Protocols = protocols
	s.Start()
	tb.Cleanup(s.Close)
	rt := &http.Transport{DialContext: m.dial, Protocols: protocols}
	tb.Cleanup(rt.CloseIdleConnections)
	u, _ := url.Parse(s.URL)
	client := &http.Client{Transport: must(waybillhttp.NewTransport(auth, rt, waybillhttp.AllowHosts(u.Host), waybillhttp.AllowPlaintext()))}
	return func(ctx context.Context, traceparent string) error {
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		if err != nil {
			return err
		}
		if traceparent != "" {
			r.Header.Set("Traceparent", traceparent)
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}

func wireGRPC(tb testing.TB, auth *waybill.Authority, m *meter) func(context.Context, string) error {
	addr := serveGRPC(tb, checker{e: &env{TB: tb}}, must(waybillgrpc.NewServer(auth)).ServerOptions()...)
	opts := append(must(waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext())).DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return m.dial(ctx, "tcp", addr) }))
	health := grpc_health_v1.NewHealthClient(dial(tb, addr, opts...))
	return func(ctx context.Context, traceparent string) error {
		if traceparent != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
		}
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
}

// TestWire checks that a token sent repeatedly on one connection costs almost nothing, because
// HPACK (RFC 7541) remembers it. This also holds next to a trace header, which differs in each
// request and pushes older entries out of the table.
func TestWire(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			auth := authority(t)
			for _, traced := range []bool{false, true} {
				without := bytesEach(t, w.setup, auth, "", traced)
				for _, size := range []int{300, 1000, 2000} {
					token := tokenOf(t, auth, size)
					compare(t, token, traced, without, bytesEach(t, w.setup, auth, token, traced))
				}
			}
		})
	}
}

func compare(t *testing.T, token string, traced bool, without, with traffic) {
	t.Helper()
	more, first := with.sent-without.sent, with.first-without.first
	t.Logf("traced %-5v  token of %4d bytes: %6.1f bytes more to the first request, %4.1f to each one after (%.1f, not %.1f), %.1f to its response",
		traced, len(token), first, more, with.sent, without.sent, with.received-without.received)
	limit := float64(wireLimit)
	if traced && len(token) > 300+2 {
		limit = float64(len(token)) / 10 // a large token is pushed out sooner
	}
	if more > limit {
		t.Errorf("a token of %d bytes adds %.1f bytes to each request, want at most %.0f", len(token), more, limit)
	}
	if first < float64(len(token))/2 {
		t.Errorf("the first request grew by %.0f bytes only, want it to carry the token", first)
	}
}

// traffic is the size of requests in bytes: of the first request with the token, and of the later
// ones on average.
type traffic struct{ first, sent, received float64 }

// bytesEach makes requests one after another on a new connection.
func bytesEach(t *testing.T, setup wire, auth *waybill.Authority, token string, traced bool) traffic {
	t.Helper()
	m := &meter{}
	call := setup(t, auth, m)
	if err := call(t.Context(), ""); err != nil { // opens the connection
		t.Fatal(err)
	}
	made := m.sent.Load()
	do := func() {
		ctx, traceparent := t.Context(), ""
		if token != "" {
			var hop waybill.Hop
			if ctx, hop = auth.Receive(ctx, []string{token}, nil); hop.Err() != nil {
				t.Fatalf("the token: %v", hop.Err())
			}
		}
		if traced {
			traceparent = fmt.Sprintf("00-%016x%016x-%016x-01", rand.Uint64(), rand.Uint64(), rand.Uint64())
		}
		if err := call(ctx, traceparent); err != nil {
			t.Fatal(err)
		}
	}
	do()
	first, received := m.sent.Load(), m.received.Load()
	for range requests {
		do()
	}
	return traffic{
		first:    float64(first - made),
		sent:     float64(m.sent.Load()-first) / requests,
		received: float64(m.received.Load()-received) / requests,
	}
}
