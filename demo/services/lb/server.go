// Package lb is a balancer as dumb as they come: round robin over the gateways, and the next one if
// a gateway is down. It has no affinity and no keys; a waybill is a header to it like any other.
//
// It can do more for the baseline: a cookie of the balancer names the server to which a session
// sticks.
package lb

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/services/sticky"
)

// HeaderRetries tells the client how often the balancer tried again.
const HeaderRetries = "Demo-Retries"

// Run serves until ctx is done.
func Run(ctx context.Context, e *service.Env) error {
	next := otelhttp.NewTransport(&http.Transport{
		DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		// Longer than a gateway takes: one that is cut off says nothing.
		ResponseHeaderTimeout: 6 * time.Second,
	})
	mux := http.NewServeMux()
	mux.Handle("/", proxy(&pool{backends: follow(ctx, e.Peers["gateway"]).now, next: next}))
	if sticks := e.Peers["sticky"]; len(sticks) > 0 {
		servers := follow(ctx, sticks).now
		mux.Handle(sticky.Memory, proxy(&pool{backends: servers, next: next, sticks: true}))
		mux.Handle(sticky.Store, proxy(&pool{backends: servers, next: next}))
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.Watch.Begin(r.Context(), "HTTP")()
		mux.ServeHTTP(w, r)
	})
	return e.ServeHTTP(ctx, handler)
}

func proxy(to http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "http" },
		Transport: to,
		ErrorLog:  log.New(io.Discard, "", 0), // the client is told
	}
}
