// Package integrationhttp tests the HTTP transport and the propagator together with OpenTelemetry's
// instrumentation.
package integrationhttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
)

// Two services, each with the same layers, open each token once, see its claims, and return the
// change.
func TestOneOpenPerHop(t *testing.T) {
	for _, tt := range []struct {
		layers string
		traced bool
	}{
		{"waybill", false},
		{"otelhttp > waybill", true},
		{"waybill > otelhttp", true},
		{"otelhttp > otelhttp > waybill", true},
		{"waybill > otelhttp > otelhttp", true},
		{"otelhttp > waybill > otelhttp", true},
		{"waybill > waybill", false},
		{"waybill > otelhttp > waybill > otelhttp", true},
		{"otelhttp > waybill > otelhttp > waybill", true},
		{"otelhttp > timeout > waybill", true},
		{"waybill > timeout > otelhttp", true},
		{"timeout > otelhttp > waybill > otelhttp", true},
		{"waybill > clone > otelhttp", true},
		{"waybill > waybill > clone > otelhttp", true},
		{"otelhttp > waybill > clone > otelhttp > clone > otelhttp", true},
		{"filtered > waybill", false},
		{"traceonly > waybill", true},
		{"waybill > traceonly", true},
	} {
		for _, p := range protocols {
			for _, client := range []string{"waybill", "waybill > otelhttp", "otelhttp > waybill"} {
				t.Run(tt.layers+" "+p.name+" client "+client, func(t *testing.T) {
					k := newKit(t)
					var traces []oteltrace.TraceID
					seen := func(ctx context.Context) {
						traces = append(traces, oteltrace.SpanContextFromContext(ctx).TraceID())
						if got, err := cell.Lookup(ctx); got != "eu-3" {
							t.Errorf("cell %q, %v; want eu-3", got, err)
						}
					}
					inner := serve(t, p.http2, k.chain(t, tt.layers, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						seen(r.Context())
						check(t, waybill.Update(r.Context(), seats.To(2)))
						io.WriteString(w, "inner")
					})))
					rt := base(t, inner)
					switch client {
					case "waybill":
						rt = k.sending(rt, inner)
					case "waybill > otelhttp":
						rt = k.sending(k.tracing(rt, k.propagator()), inner)
					case "otelhttp > waybill":
						rt = k.tracing(k.sending(rt, inner), k.propagator())
					}
					outer := serve(t, p.http2, k.chain(t, tt.layers, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						seen(r.Context())
						if resp := get(t, r.Context(), rt, inner.URL); resp.StatusCode != 200 {
							t.Errorf("the inner service says %d, want 200", resp.StatusCode)
						}
						if got, _ := seats.Get(r.Context()); got != 2 {
							t.Errorf("%d seats after the call, want 2", got)
						}
						io.WriteString(w, "outer")
					})))
					resp := get(t, t.Context(), outer.Client().Transport, outer.URL, issue(t, k.auth, cell.To("eu-3")))
					outer.Close()
					inner.Close()

					wb, err := k.auth.Open(resp.Header.Get(waybill.HeaderReturn))
					if n, _ := seats.Of(wb); n != 2 || err != nil {
						t.Errorf("the client's returned token has %d seats, %v; want 2", n, err)
					}
					counts := k.counts(t)
					for name, want := range map[string]int64{
						"waybill.open ok":         2,
						"waybill.open absent":     0,
						"waybill.inject sent":     1,
						"waybill.return answered": 2,
						"waybill.return relayed":  1,
					} {
						if counts[name] != want {
							t.Errorf("%s: %d, want %d (%v)", name, counts[name], want, counts)
						}
					}
					// A client that traces joins the spans of the two services, whatever our layers do.
					if tt.traced && client != "waybill" && (len(traces) != 2 || traces[0] != traces[1] || !traces[0].IsValid()) {
						t.Errorf("traces %v, want one", traces)
					}
				})
			}
		}
	}
}

// Two tokens are ambiguous, although the carrier's Get returns one of them.
func TestTwoTokensBehindInstrumentation(t *testing.T) {
	for _, layers := range []string{"waybill", "otelhttp > waybill", "waybill > otelhttp", "traceonly > waybill"} {
		t.Run(layers, func(t *testing.T) {
			k := newKit(t)
			s := serve(t, false, k.chain(t, layers, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("the handler ran, want the request refused")
			})))
			token := issue(t, k.auth)
			if resp := get(t, t.Context(), s.Client().Transport, s.URL, token, token); resp.StatusCode != 400 {
				t.Errorf("status %d, want 400", resp.StatusCode)
			}
			if counts := k.counts(t); counts["waybill.open ok"] != 0 || counts["waybill.open ambiguous"] == 0 {
				t.Errorf("counted %v, want ambiguous only", counts)
			}
		})
	}
}

// The server's span reports the outcome, whatever layer opened the token.
func TestSpanOfAHop(t *testing.T) {
	for _, layers := range []string{"otelhttp > waybill", "traceonly > waybill"} {
		t.Run(layers, func(t *testing.T) {
			k := newKit(t)
			s := serve(t, false, k.chain(t, layers, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			token := issue(t, k.auth, cell.To("eu-3"))
			get(t, t.Context(), s.Client().Transport, s.URL, token)
			s.Close()
			wb, err := k.auth.Open(token)
			check(t, err)
			spans := k.spans.Ended()
			if len(spans) != 1 {
				t.Fatalf("%d spans, want 1", len(spans))
			}
			got := map[string]string{}
			for _, a := range spans[0].Attributes() {
				got[string(a.Key)] = a.Value.AsString()
				if a.Value.AsString() == "eu-3" || a.Value.AsString() == token {
					t.Errorf("the span holds a claim or the token in %s", a.Key)
				}
			}
			for key, want := range map[string]string{
				"waybill.outcome": "ok", "waybill.sid": wb.ID(), "waybill.kid": wb.KeyID(),
			} {
				if got[key] != want {
					t.Errorf("%s: %q, want %q", key, got[key], want)
				}
			}
		})
	}
}

// The route of an inner mux names the span, although the mux sees a copy of the request.
func TestSpanIsNamedByItsRoute(t *testing.T) {
	k := newKit(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /carts/{id}", func(http.ResponseWriter, *http.Request) {})
	s := serve(t, false, k.chain(t, "otelhttp > waybill", mux))
	get(t, t.Context(), s.Client().Transport, s.URL+"/carts/7", issue(t, k.auth))
	s.Close()
	spans := k.spans.Ended()
	if len(spans) != 1 || spans[0].Name() != "GET /carts/{id}" {
		t.Errorf("spans %v, want one named GET /carts/{id}", spans)
	}
}

// otelhttp's writer and ours, one inside the other, lose nothing.
func TestWritersNested(t *testing.T) {
	for _, p := range protocols {
		for _, layers := range []string{"otelhttp > waybill", "waybill > otelhttp", "waybill > otelhttp > waybill"} {
			t.Run(p.name+"/"+layers, func(t *testing.T) {
				k := newKit(t)
				var plain, nested string
				ref := serve(t, p.http2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain = shape(w) }))
				get(t, t.Context(), ref.Client().Transport, ref.URL)
				s := serve(t, p.http2, k.chain(t, layers, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					nested = shape(w)
					check(t, waybill.Update(r.Context(), seats.To(1)))
					check(t, http.NewResponseController(w).Flush())
					check(t, waybill.Update(r.Context(), seats.To(2)))
					io.WriteString(w, "body")
				})))
				ctx, err := k.auth.Start(t.Context())
				check(t, err)
				get(t, ctx, k.sending(base(t, s), s), s.URL)
				s.Close()
				ref.Close()
				if nested != plain {
					t.Errorf("the handler's writer is %s, want %s", nested, plain)
				}
				if got, _ := seats.Get(ctx); got != 2 {
					t.Errorf("%d seats, want those of the trailer: 2", got)
				}
			})
		}
	}
}

// shape lists the optional interfaces of a ResponseWriter.
func shape(w http.ResponseWriter) string {
	_, flusher := w.(http.Flusher)
	_, hijacker := w.(http.Hijacker)
	_, pusher := w.(http.Pusher)
	_, readerFrom := w.(io.ReaderFrom)
	return fmt.Sprintf("flusher=%v hijacker=%v pusher=%v readerFrom=%v", flusher, hijacker, pusher, readerFrom)
}
