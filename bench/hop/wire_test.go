//go:build unix

package hop

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

const (
	requests  = 300 // of each measurement, after the first of its connection
	wireLimit = 10  // bytes of each request more, for a repeated token
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

func (c *metered) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.m.sent.Add(int64(n))
	return n, err
}

func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.m.received.Add(int64(n))
	return n, err
}

// wire is a client whose bytes are counted, and one call of it.
type wire func(testing.TB, *waybill.Authority, *meter) func(context.Context) error

var wires = []struct {
	name  string
	setup wire
}{{"http2", wireHTTP2}, {"grpc", wireGRPC}}

// wireHTTP2 speaks HTTP/2 in the clear: what TLS adds does not depend on the header.
func wireHTTP2(tb testing.TB, auth *waybill.Authority, m *meter) func(context.Context) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := httptest.NewUnstartedServer(waybillhttp.Middleware(auth)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	client := &http.Client{Transport: waybillhttp.NewTransport(auth, rt, waybillhttp.AllowHosts(u.Host), waybillhttp.AllowPlaintext())}
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		if err != nil {
			return err
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

func wireGRPC(tb testing.TB, auth *waybill.Authority, m *meter) func(context.Context) error {
	addr := serveGRPC(tb, checker{e: &env{TB: tb}}, waybillgrpc.ServerOptions(auth)...)
	opts := append(waybillgrpc.DialOptions(auth, waybillgrpc.AllowPlaintext()),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return m.dial(ctx, "tcp", addr) }))
	health := grpc_health_v1.NewHealthClient(dial(tb, addr, opts...))
	return func(ctx context.Context) error {
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
}

// A token that is sent again and again on one connection costs next to nothing, because HPACK (RFC 7541) remembers it.
func TestWire(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			auth := authority(t)
			without := bytesEach(t, w.setup, auth, "")
			for _, size := range []int{300, 1000, 2000} {
				token := tokenOf(t, auth, size)
				with := bytesEach(t, w.setup, auth, token)
				more := with.sent - without.sent
				t.Logf("%s: %d bytes of token add %.1f bytes to each request (%.1f to %.1f), %.0f to the first; %.1f to each response",
					w.name, len(token), more, without.sent, with.sent, with.first-without.first, with.received-without.received)
				if more > wireLimit {
					t.Errorf("%d bytes of token add %.1f bytes, want %d at most", len(token), more, wireLimit)
				}
				if with.first-without.first < float64(size)/2 {
					t.Errorf("the first request grew by %.0f bytes only, want it to carry the token", with.first-without.first)
				}
			}
		})
	}
}

// traffic is bytes of one request.
type traffic struct{ first, sent, received float64 }

// bytesEach makes requests one after the other on a connection of their own.
func bytesEach(t *testing.T, setup wire, auth *waybill.Authority, token string) traffic {
	t.Helper()
	m := &meter{}
	call := setup(t, auth, m)
	do := func() {
		ctx := t.Context()
		if token != "" {
			var hop waybill.Hop
			if ctx, hop = auth.Receive(ctx, []string{token}); hop.Err() != nil {
				t.Fatal(fmt.Errorf("the token: %w", hop.Err()))
			}
		}
		if err := call(ctx); err != nil {
			t.Fatal(err)
		}
	}
	do()
	first, received := m.sent.Load(), m.received.Load()
	for range requests {
		do()
	}
	return traffic{
		first:    float64(first),
		sent:     float64(m.sent.Load()-first) / requests,
		received: float64(m.received.Load()-received) / requests,
	}
}
