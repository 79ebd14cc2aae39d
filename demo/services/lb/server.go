// Package lb is a balancer as dumb as they come: round robin over the gateways, and the next one if a gateway is
// down. It has no affinity and no keys; a waybill is a header to it like any other.
package lb

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/waybill-go/waybill/demo/internal/service"
)

// What the balancer tells its client of the trouble that it had.
const (
	HeaderRetries = "Demo-Retries" // how often it tried again
	HeaderCut     = "Demo-Cut"     // how many of these because a gateway died while it was answering
)

// Run serves until ctx ends.
func Run(ctx context.Context, e *service.Env) error {
	lis, err := e.Listen()
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "http" },
		Transport: &roundRobin{
			backends: follow(ctx, e.Peers["gateway"]).now,
			next: otelhttp.NewTransport(&http.Transport{
				DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
				MaxIdleConnsPerHost: 64,
				// Longer than a gateway takes: one that is cut off says nothing.
				ResponseHeaderTimeout: 6 * time.Second,
			}),
		},
		ErrorLog: log.New(io.Discard, "", 0), // the client is told
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.Watch.Begin(r.Context(), "HTTP")()
		proxy.ServeHTTP(w, r)
	})
	srv := &http.Server{Handler: otelhttp.NewHandler(handler, "lb"), ReadHeaderTimeout: 5 * time.Second}
	return e.Serve(ctx, lis, srv)
}

// roundRobin sends each request to the next backend, and on to the next after it while that is down.
type roundRobin struct {
	backends func() []string
	next     http.RoundTripper
	turn     atomic.Uint64
}

// RoundTrip implements http.RoundTripper.
func (b *roundRobin) RoundTrip(r *http.Request) (*http.Response, error) {
	var cut int
	for attempt := 0; ; attempt++ {
		backends := b.backends()
		if len(backends) == 0 {
			return nil, errors.New("lb: no gateway is known")
		}
		out := r.Clone(r.Context())
		out.URL.Host = backends[b.turn.Add(1)%uint64(len(backends))]
		res, err := b.next.RoundTrip(out)
		if err != nil && !refused(err) {
			cut++
		}
		// A body can be read once only.
		last := attempt+1 >= 2*len(backends) || r.ContentLength != 0 || r.Context().Err() != nil
		switch {
		case err == nil && (res.StatusCode != http.StatusServiceUnavailable || last):
			res.Header.Set(HeaderRetries, strconv.Itoa(attempt))
			res.Header.Set(HeaderCut, strconv.Itoa(cut))
			return res, nil
		case last:
			return nil, err
		case err == nil:
			res.Body.Close()
		}
	}
}

// refused reports whether a request never reached its backend.
func refused(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}
