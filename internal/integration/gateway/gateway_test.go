package gatewaytest

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

var versions = []struct {
	name  string
	http2 bool
}{{"HTTP1", false}, {"HTTP2", true}}

var cases = []struct {
	name     string
	path     string
	messages int // of a stream, before the change
	err      error
	status   int
	header   bool // the returned token is in the header, not in a trailer
}{
	{"unary", "/v1/check", 0, nil, 200, true},
	{"unary-error", "/v1/check", 0, status.Error(codes.NotFound, "no such train"), 404, true},
	{"stream", "/v1/watch", 3, nil, 200, false},
	{"stream-error", "/v1/watch", 3, status.Error(codes.NotFound, "no such train"), 200, false},
	{"stream-error-at-once", "/v1/watch", 0, status.Error(codes.NotFound, "no such train"), 404, true},
}

// A change behind the gateway reaches its HTTP client, without any setting of the gateway.
func TestGateway(t *testing.T) {
	for _, tt := range cases {
		for _, version := range versions {
			t.Run(tt.name+"/"+version.name, func(t *testing.T) {
				auth := authority(t)
				mux := runtime.NewServeMux()
				register(t, mux, upstream(t, auth, booking(t, tt.messages, tt.err)))
				s := front(t, auth, mux, version.http2)
				client := &http.Client{Transport: must(waybillhttp.NewTransport(auth, base(t, s),
					waybillhttp.AllowHosts(s.Listener.Addr().String())))}

				ctx, err := auth.Start(t.Context(), Cell.To("eu-3"), Seats.To(1))
				if err != nil {
					t.Fatal(err)
				}
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+tt.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp := read(t, client, r)
				if resp.StatusCode != tt.status || (resp.ProtoMajor == 2) != version.http2 {
					t.Errorf("response: got %s %s, want %d", resp.Proto, resp.Status, tt.status)
				}
				if seats, _ := Seats.Get(ctx); seats != 5 {
					t.Errorf("seats: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
				}
				if booked, _ := Booked.Get(ctx); booked != (tt.err == nil) {
					t.Errorf("booked, a claim of successful calls: got %v, want %v", booked, tt.err == nil)
				}
				if got := named(resp); len(got) != 0 {
					t.Errorf("the caller sees %v", got)
				}
			})
		}
	}
}

// A client without our transport finds the returned token in the header or trailer of HTTP. The
// gateway's own trailers do not contain it.
func TestStockClient(t *testing.T) {
	for _, tt := range cases {
		for _, version := range versions {
			t.Run(tt.name+"/"+version.name, func(t *testing.T) {
				auth := authority(t)
				mux := runtime.NewServeMux()
				register(t, mux, upstream(t, auth, booking(t, tt.messages, tt.err)))
				s := front(t, auth, mux, version.http2)
				r := request(t, auth, s.URL+tt.path)
				r.Header.Set("Te", "trailers")
				r.Header.Set("Waybill-Hop", "1")
				resp := read(t, &http.Client{Transport: base(t, s)}, r)

				if got, want := named(resp), []string{"Waybill-Update"}; !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				returned := resp.Trailer["Waybill-Update"]
				if tt.header {
					returned = resp.Header["Waybill-Update"]
				}
				wb, err := auth.Open(strings.Join(returned, ","))
				if seats, _ := Seats.Of(wb); seats != 5 {
					t.Errorf("returned token: got %d seats (%v), want 5", seats, err)
				}
				if tt.path == "/v1/check" && !slices.Equal(resp.Trailer["Grpc-Trailer-Theirs"], []string{"trailer"}) {
					t.Errorf("trailers of the service: got %v, want theirs", resp.Trailer)
				}
			})
		}
	}
}

// A token that a client of the gateway sends as metadata does not reach the service, even if the
// gateway is configured to forward everything.
func TestForwardedHeaders(t *testing.T) {
	auth := authority(t)
	var tokens, theirs []string
	record := grpc.ChainUnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			tokens = metadata.ValueFromIncomingContext(ctx, waybill.Header)
			theirs = metadata.ValueFromIncomingContext(ctx, "theirs")
			return handle(ctx, req)
		})
	mux := runtime.NewServeMux(runtime.WithIncomingHeaderMatcher(func(key string) (string, bool) {
		return strings.TrimPrefix(key, runtime.MetadataHeaderPrefix), true
	}))
	register(t, mux, upstream(t, auth, booking(t, 0, nil), record))
	s := front(t, auth, mux, true)
	r := request(t, auth, s.URL+"/v1/check")
	r.Header.Set("Grpc-Metadata-Waybill", "x")
	r.Header.Set("Theirs", "1")
	resp := read(t, &http.Client{Transport: base(t, s)}, r)
	if resp.StatusCode != http.StatusOK || !slices.Equal(theirs, []string{"1"}) {
		t.Errorf("got %s, the service got theirs %v; want 200, [1]", resp.Status, theirs)
	}
	if want := []string{r.Header.Get("Waybill")}; !slices.Equal(tokens, want) {
		t.Errorf("the service got %d tokens, want the one that the client sent", len(tokens))
	}
}

// A service registered in the gateway's process shares the request's context and needs no
// interceptor.
func TestInProcess(t *testing.T) {
	for _, tt := range cases[:2] {
		t.Run(tt.name, func(t *testing.T) {
			auth := authority(t)
			mux := runtime.NewServeMux()
			registerInProcess(t, mux, booking(t, 0, tt.err))
			s := front(t, auth, mux, true)
			resp := read(t, &http.Client{Transport: base(t, s)}, request(t, auth, s.URL+tt.path))
			wb, err := auth.Open(strings.Join(resp.Header["Waybill-Update"], ","))
			if seats, _ := Seats.Of(wb); seats != 5 || resp.StatusCode != tt.status {
				t.Errorf("got %s and %d seats (%v), want %d and 5", resp.Status, seats, err, tt.status)
			}
		})
	}
}

// booking is a service that reads one claim and changes two.
func booking(t *testing.T, messages int, result error) *service {
	return &service{messages: messages, handle: func(ctx context.Context) error {
		if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
			t.Errorf("service: cell is %q (%v), want eu-3", cell, err)
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("theirs", "trailer")); err != nil {
			t.Error(err)
		}
		if err := waybill.Update(ctx, Seats.To(5), Booked.To(true)); err != nil {
			t.Error(err)
		}
		return result
	}}
}

// request returns a request with a token set by hand, as clients in other languages do.
func request(t *testing.T, auth *waybill.Authority, url string) *http.Request {
	t.Helper()
	wb, err := auth.Issue(Cell.To("eu-3"), Seats.To(1))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Waybill", wb.Token())
	return r
}

func read(t *testing.T, c *http.Client, r *http.Request) *http.Response {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// named returns the names in a response that contain "waybill", under any prefix.
func named(resp *http.Response) (names []string) {
	for _, h := range []http.Header{resp.Header, resp.Trailer} {
		for name := range h {
			if strings.Contains(name, "Waybill") {
				names = append(names, name)
			}
		}
	}
	return names
}
