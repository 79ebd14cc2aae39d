package integrationhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Two services with otelhttp and the propagator, without our middleware and transport.
func TestPropagatorAlone(t *testing.T) {
	for _, tt := range []struct {
		name     string
		opts     []waybillprop.Option // of the client
		arrives  bool
		injected []string
	}{
		{"by default", nil, false, nil},
		{"always", []waybillprop.Option{waybillprop.InsecureInjectAlways()}, true, []string{"waybill.inject sent 1"}},
	} {
		for _, p := range protocols {
			t.Run(tt.name+" "+p.name, func(t *testing.T) {
				k := newKit(t)
				server := k.propagator()
				var traces []oteltrace.TraceID
				seen := func(ctx context.Context) {
					traces = append(traces, oteltrace.SpanContextFromContext(ctx).TraceID())
					if got := baggage.FromContext(ctx).Member("user").Value(); got != "ann" {
						t.Errorf("baggage %q, want ann", got)
					}
				}
				inner := serve(t, p.http2, k.instrument(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					seen(r.Context())
					got, err := cell.Lookup(r.Context())
					if tt.arrives && got != "eu-3" {
						t.Errorf("the inner service sees cell %q, %v; want eu-3", got, err)
					}
					if !tt.arrives && !errors.Is(err, waybill.ErrNoWaybill) {
						t.Errorf("the inner service sees cell %q, %v; want no waybill", got, err)
					}
				}), server))
				rt := k.tracing(base(t, inner), k.propagator(tt.opts...))
				outer := serve(t, p.http2, k.instrument(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					seen(r.Context())
					if got, err := cell.Lookup(r.Context()); got != "eu-3" {
						t.Errorf("the outer service sees cell %q, %v; want eu-3", got, err)
					}
					get(t, r.Context(), rt, inner.URL)
				}), server))

				r, err := http.NewRequestWithContext(t.Context(), "GET", outer.URL, nil)
				check(t, err)
				r.Header.Set("Waybill", issue(t, k.auth, cell.To("eu-3")))
				r.Header.Set("Baggage", "user=ann")
				r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
				resp, err := outer.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				outer.Close()
				inner.Close()

				for _, id := range traces {
					if id.String() != "0af7651916cd43dd8448eb211c80319c" {
						t.Errorf("trace %s, want the client's", id)
					}
				}
				if len(traces) != 2 {
					t.Errorf("%d services ran, want 2", len(traces))
				}
				if got := injected(k.counts(t)); !slices.Equal(got, tt.injected) {
					t.Errorf("counted %q, want %q", got, tt.injected)
				}
			})
		}
	}
}

// injected returns the counts of outgoing calls, sorted.
func injected(counts map[string]int64) (all []string) {
	for name, n := range counts {
		if strings.HasPrefix(name, "waybill.inject") {
			all = append(all, fmt.Sprint(name, " ", n))
		}
	}
	slices.Sort(all)
	return all
}

// leak is a host that must not get a token.
type leak struct{ t testing.TB }

func (l leak) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n := len(r.Header["Waybill"]); n != 0 {
		l.t.Errorf("%s%s got %d tokens, want none", r.Host, r.URL, n)
	}
	if r.Header.Get("Traceparent") == "" {
		l.t.Errorf("%s%s got no trace, want the instrumentation at work", r.Host, r.URL)
	}
}

// A program that sets the propagator globally sends no token to a foreign host, directly or over a
// redirect.
func TestNothingLeaks(t *testing.T) {
	for _, status := range []int{0, 301, 302, 303, 307, 308} {
		for _, client := range []string{"otelhttp", "waybill > otelhttp", "otelhttp > waybill"} {
			t.Run(fmt.Sprintf("%s redirect=%d", client, status), func(t *testing.T) {
				k := newKit(t)
				before := otel.GetTextMapPropagator()
				otel.SetTextMapPropagator(k.propagator())
				defer otel.SetTextMapPropagator(before)

				foreign := serve(t, false, leak{t})
				got := make(chan int, 1)
				internal := serve(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got <- len(r.Header["Waybill"])
					http.Redirect(w, r, foreign.URL, status)
				}))
				tracing := otelhttp.WithTracerProvider(k.tracer)
				rt := base(t, internal)
				sends := true
				switch client {
				case "otelhttp":
					rt, sends = otelhttp.NewTransport(rt, tracing), false
				case "waybill > otelhttp":
					rt = k.sending(otelhttp.NewTransport(rt, tracing), internal)
				case "otelhttp > waybill":
					rt = otelhttp.NewTransport(k.sending(rt, internal), tracing)
				}
				front := serve(t, false, must(waybillhttp.NewServer(k.auth)).Middleware(http.HandlerFunc(
					func(w http.ResponseWriter, r *http.Request) {
						if status == 0 {
							get(t, r.Context(), rt, foreign.URL)
							return
						}
						get(t, r.Context(), rt, internal.URL)
						if n := <-got; n != map[bool]int{true: 1}[sends] {
							t.Errorf("the internal host got %d tokens, sends: %v", n, sends)
						}
					})))
				get(t, t.Context(), front.Client().Transport, front.URL, issue(t, k.auth))
				front.Close()
				counts := k.counts(t)
				if got := injected(counts); client == "otelhttp" && len(got) != 0 {
					t.Errorf("counted %v, want no call of ours", got)
				}
				if client != "otelhttp" && counts["waybill.inject suppressed"] == 0 {
					t.Errorf("counted %v, want suppressed", counts)
				}
			})
		}
	}
}

// InsecureInjectAlways sends tokens everywhere, which is the reason for its name.
func TestInsecureInjectAlwaysLeaks(t *testing.T) {
	k := newKit(t)
	got := make(chan int, 2)
	count := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- len(r.Header["Waybill"]) })
	foreign := serve(t, false, count)
	internal := serve(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count(w, r)
		http.Redirect(w, r, foreign.URL, http.StatusTemporaryRedirect)
	}))
	always := k.propagator(waybillprop.InsecureInjectAlways())
	ctx, err := k.auth.Start(t.Context())
	check(t, err)
	for name, tt := range map[string]struct {
		rt   http.RoundTripper
		want []int
	}{
		"alone":               {k.tracing(base(t, internal), always), []int{1, 1}},
		"inside of waybill":   {k.sending(k.tracing(base(t, internal), always), internal), []int{1, 1}},
		"outside of waybill":  {k.tracing(k.sending(base(t, internal), internal), always), []int{1, 0}},
		"outside, no waybill": {k.tracing(k.sending(base(t, internal)), always), []int{0, 0}},
	} {
		get(t, ctx, tt.rt, internal.URL)
		if a, b := <-got, <-got; a != tt.want[0] || b != tt.want[1] {
			t.Errorf("%s: the two hosts got %d and %d tokens, want %v", name, a, b, tt.want)
		}
	}
}

// The fields of the composite include the waybill's.
func TestFields(t *testing.T) {
	k := newKit(t)
	want := map[string]bool{"traceparent": true, "tracestate": true, "baggage": true, "waybill": true}
	fields := k.propagator().Fields()
	for _, f := range fields {
		if !want[f] {
			t.Errorf("field %q, want one of %v", f, want)
		}
	}
	if len(fields) != len(want) {
		t.Errorf("%d fields, want %d", len(fields), len(want))
	}
}

// The header carrier of this version of OpenTelemetry lists all values.
var _ propagation.ValuesGetter = propagation.HeaderCarrier(nil)
