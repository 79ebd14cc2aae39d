package integrationhttp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
)

// A handler that extracts the trace itself, as OpenTelemetry's documentation shows, keeps the
// journey: the middleware removed the token from the header, and Extract does not take that for its
// absence.
func TestExtractInHandler(t *testing.T) {
	for _, layers := range []string{
		"waybill", "waybill > clone", "waybill > waybill", "otelhttp > waybill", "waybill > otelhttp", "waybill > clone > otelhttp",
	} {
		for name, carrier := range map[string]func(*http.Request) propagation.TextMapCarrier{
			"header": func(r *http.Request) propagation.TextMapCarrier { return propagation.HeaderCarrier(r.Header) },
			"clone":  func(r *http.Request) propagation.TextMapCarrier { return propagation.HeaderCarrier(r.Header.Clone()) },
			"map": func(r *http.Request) propagation.TextMapCarrier {
				return propagation.MapCarrier{"traceparent": r.Header.Get("Traceparent")}
			},
			"empty": func(*http.Request) propagation.TextMapCarrier { return propagation.HeaderCarrier(nil) },
		} {
			t.Run(layers+"/"+name, func(t *testing.T) {
				k := newKit(t)
				before := otel.GetTextMapPropagator()
				otel.SetTextMapPropagator(k.propagator())
				defer otel.SetTextMapPropagator(before)

				const trace = "0af7651916cd43dd8448eb211c80319c"
				s := serve(t, false, k.chain(t, layers, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx := otel.GetTextMapPropagator().Extract(r.Context(), carrier(r))
					if got, err := cell.Lookup(ctx); got != "eu-3" {
						t.Errorf("cell %q, %v after Extract; want eu-3", got, err)
					}
					if got := oteltrace.SpanContextFromContext(ctx).TraceID().String(); name != "empty" && got != trace {
						t.Errorf("trace %s after Extract, want the client's", got)
					}
					check(t, waybill.Update(ctx, seats.To(2)))
					if got, _ := seats.Get(r.Context()); got != 2 {
						t.Errorf("%d seats in the request's context, want the change made after Extract: 2", got)
					}
				})))
				r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
				check(t, err)
				r.Header.Set("Waybill", issue(t, k.auth, cell.To("eu-3")))
				r.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
				resp, err := s.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				wb, err := k.auth.Open(resp.Header.Get(waybill.HeaderReturn))
				if n, _ := seats.Of(wb); n != 2 {
					t.Errorf("the returned token has %d seats, %v; want 2", n, err)
				}
				if counts := k.counts(t); counts["waybill.open ok"] != 1 || counts["waybill.open absent"] != 0 {
					t.Errorf("counted %v, want the token opened once", counts)
				}
			})
		}
	}
}

// A request whose context is derived from another request's shows nothing of it: never behind our
// middleware, and, where only the propagator looks, not once the other request has ended.
func TestInheritedContextIsHidden(t *testing.T) {
	k := newKit(t)
	first := func(during func(ctx context.Context)) context.Context {
		t.Helper()
		var inside context.Context
		s := serve(t, false, k.chain(t, "waybill", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inside = context.WithoutCancel(r.Context())
			if during != nil {
				during(inside)
			}
		})))
		get(t, t.Context(), s.Client().Transport, s.URL, issue(t, k.auth, cell.To("eu-3")))
		s.Close()
		return inside
	}
	// second serves a request in ctx, and returns what its handler sees.
	second := func(ctx context.Context, layers string, token string) (got string, err error) {
		h := k.chain(t, layers, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got, err = cell.Lookup(r.Context())
		}))
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		if token != "" {
			r.Header.Set("Waybill", token)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		return got, err
	}
	for _, layers := range []string{"otelhttp", "clone > otelhttp", "otelhttp > otelhttp", "open", "open > otelhttp", "otelhttp > clone > open"} {
		t.Run("ended/"+layers, func(t *testing.T) {
			if got, err := second(first(nil), layers, ""); !errors.Is(err, waybill.ErrNoWaybill) {
				t.Errorf("the second request sees cell %q, %v; want no waybill", got, err)
			}
			if got, err := second(first(nil), layers, issue(t, k.auth, cell.To("eu-7"))); got != "eu-7" {
				t.Errorf("the second request sees cell %q, %v; want its own, eu-7", got, err)
			}
		})
	}
	for _, layers := range []string{"open", "open > otelhttp", "clone > open"} {
		t.Run("under way/"+layers, func(t *testing.T) {
			first(func(ctx context.Context) {
				if got, err := second(ctx, layers, ""); !errors.Is(err, waybill.ErrNoWaybill) {
					t.Errorf("the second request sees cell %q, %v; want no waybill", got, err)
				}
				if got, err := second(ctx, layers, issue(t, k.auth, cell.To("eu-7"))); got != "eu-7" {
					t.Errorf("the second request sees cell %q, %v; want its own, eu-7", got, err)
				}
				if got, err := cell.Lookup(ctx); got != "eu-3" {
					t.Errorf("the first request sees cell %q, %v; want its own, eu-3", got, err)
				}
			})
		})
	}
}

// A middleware that sees another header map without a token recognises the request by the writer of
// the outer middleware, and keeps its journey.
func TestCloneBetweenMiddlewares(t *testing.T) {
	for _, layers := range []string{
		"waybill > clone > open", "waybill > clone > waybill", "waybill > otelhttp > clone > waybill > clone > waybill",
	} {
		t.Run(layers, func(t *testing.T) {
			k := newKit(t)
			s := serve(t, false, k.chain(t, layers, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if got, err := cell.Lookup(r.Context()); got != "eu-3" {
					t.Errorf("cell %q, %v; want eu-3", got, err)
				}
				check(t, waybill.Update(r.Context(), seats.To(2)))
			})))
			resp := get(t, t.Context(), s.Client().Transport, s.URL, issue(t, k.auth, cell.To("eu-3")))
			wb, err := k.auth.Open(resp.Header.Get(waybill.HeaderReturn))
			if n, _ := seats.Of(wb); n != 2 || resp.StatusCode != http.StatusOK {
				t.Errorf("status %d, the returned token has %d seats, %v; want 200 and 2", resp.StatusCode, n, err)
			}
			if counts := k.counts(t); counts["waybill.open ok"] != 1 || counts["waybill.open absent"] != 0 {
				t.Errorf("counted %v, want the token opened once", counts)
			}
		})
	}
}
