package integrationhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// later is a clock that a test moves.
type later struct{ by atomic.Int64 }

func (l *later) now() time.Time { return time.Now().Add(time.Duration(l.by.Load())) }

func (l *later) pass(d time.Duration) { l.by.Add(int64(d)) }

// A handler that keeps its connection for several lives of its token calls onward with Reissue. After
// an upgrade, and after headers without a trailer, its changes come too late, and Update says so.
func TestLongHandlersCallOnward(t *testing.T) {
	for name, open := range map[string]func(testing.TB, http.ResponseWriter, *http.Request) func(){
		"WebSocket": func(t testing.TB, w http.ResponseWriter, r *http.Request) func() {
			conn, err := coder.Accept(w, r, nil)
			if err != nil {
				t.Errorf("accept: %v", err)
				return func() {}
			}
			return func() { conn.Close(coder.StatusNormalClosure, "") }
		},
		"SSE": func(t testing.TB, w http.ResponseWriter, r *http.Request) func() {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var clock later
			auth := waybilltest.Authority(t, waybill.Claims(cell, seats), waybill.Clock(clock.now))
			inner := serve(t, false, must(waybillhttp.NewServer(auth, waybillhttp.Required())).Middleware(
				http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if got, _ := cell.Get(r.Context()); got != "eu-3" {
						t.Errorf("cell %q onward, want eu-3", got)
					}
				})))
			onward := must(waybillhttp.NewTransport(auth, base(t, inner), waybillhttp.AllowHosts(strings.TrimPrefix(inner.URL, "https://"))))
			done := make(chan struct{})
			edge := serve(t, false, must(waybillhttp.NewEdge(auth, waybillhttp.StartWith(
				func(*http.Request) ([]waybill.Change, error) { return []waybill.Change{cell.To("eu-3")}, nil },
			))).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				end := open(t, w, r)
				defer end()
				ctx := context.WithoutCancel(r.Context())
				for life := range 4 {
					if life > 0 {
						clock.pass(20 * time.Minute)
						again, err := http.NewRequestWithContext(ctx, "GET", inner.URL, nil)
						check(t, err)
						if _, err := onward.RoundTrip(again); !errors.Is(err, waybill.ErrExpired) {
							t.Errorf("life %d, without Reissue: %v, want ErrExpired", life, err)
						}
					}
					ctx, err := waybill.Reissue(ctx)
					check(t, err)
					if got := get(t, ctx, onward, inner.URL).StatusCode; got != 200 {
						t.Errorf("life %d: onward %d, want 200", life, got)
					}
					if err := waybill.Update(ctx, seats.To(life)); !errors.Is(err, waybill.ErrTooLate) {
						t.Errorf("life %d: Update gives %v, want ErrTooLate", life, err)
					}
				}
			})))
			if name == "SSE" {
				get(t, t.Context(), base(t, edge), edge.URL)
			} else {
				conn, resp, err := coder.Dial(t.Context(), edge.URL, &coder.DialOptions{HTTPClient: &http.Client{Transport: base(t, edge)}})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.CloseNow()
				if resp.Header.Get("Waybill-Update") == "" {
					t.Error("the handshake returns no token, want the one of the new journey")
				}
				conn.Read(t.Context()) // until the handler closes
			}
			<-done
		})
	}
}

// An edge renews at the end of a stream as well: a client of gRPC gets a trailer whose token has a life. A
// stream that is longer than a life brings no token.
func TestEdgeRenewsAtTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		takes  time.Duration
		change bool
	}{
		"changed": {10 * time.Minute, true}, "unchanged": {10 * time.Minute, false}, "too long": {16 * time.Minute, true},
	} {
		var clock later
		auth := waybilltest.Authority(t, waybill.Claims(cell, seats), waybill.Clock(clock.now))
		s := serve(t, true, must(waybillhttp.NewEdge(auth)).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			clock.pass(tt.takes)
			if tt.change {
				if err := waybill.Update(r.Context(), seats.To(1)); errors.Is(err, waybill.ErrTooLate) != (name == "too long") {
					t.Errorf("%s: Update gives %v", name, err)
				}
			}
			w.Header().Set("Grpc-Status", "0")
		})))
		r, err := http.NewRequest("POST", s.URL, strings.NewReader(""))
		check(t, err)
		r.Header = http.Header{"Waybill": {issue(t, auth, cell.To("eu-3"))}, "Te": {"trailers"}, "Content-Type": {"application/grpc"}}
		resp, err := base(t, s).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		wb, err := auth.Open(resp.Trailer.Get("Waybill-Update"))
		if name == "too long" {
			if resp.Trailer["Waybill-Update"] != nil {
				t.Errorf("%s: trailer %v, want no token", name, resp.Trailer)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: the returned token: %v", name, err)
			continue
		}
		if left := wb.Expires().Sub(clock.now()); left < 14*time.Minute {
			t.Errorf("%s: the returned token lives for %v, want a whole life", name, left)
		}
	}
}

// A client of package waybillgrpc is a hop: an edge in front of a gRPC server does not renew its
// waybill, which the client would have to reject.
func TestEdgeServesGRPCHops(t *testing.T) {
	var clock later
	auth := waybilltest.Authority(t, waybill.Claims(cell, seats, coupon), waybill.Clock(clock.now))
	over := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(over, checker{t: t, attempts: new(atomic.Int32)})
	edge := serve(t, true, must(waybillhttp.NewEdge(auth)).Middleware(over))
	client := dial(t, edge, must(waybillgrpc.NewClient(auth)).DialOptions()...)
	ctx := waybilltest.Context(t, auth, cell.To("eu-3"))
	clock.pass(8 * time.Minute) // more than half of a life
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	check(t, waybill.Lost(ctx))
	if got, _ := seats.Get(ctx); got != 4 {
		t.Errorf("%d seats, want 4", got)
	}
}
