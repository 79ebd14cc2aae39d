package integrationhttp

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/httptrace/otelhttptrace"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// otelhttptrace records the headers that were sent as attributes of spans. No span holds the token,
// whether the trace is in the context, above our transport or below it.
func TestClientTraceRecordsNoToken(t *testing.T) {
	for _, p := range protocols {
		for _, where := range []string{"context", "above", "below"} {
			t.Run(p.name+"/"+where, func(t *testing.T) {
				k := newKit(t)
				var got []string
				s := serve(t, p.http2, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					got = append(got, r.Header.Values(waybill.Header)...)
				}))
				traced := func(ctx context.Context) *httptrace.ClientTrace {
					return otelhttptrace.NewClientTrace(ctx, otelhttptrace.WithTracerProvider(k.tracer))
				}
				otel := func(base http.RoundTripper) http.RoundTripper {
					return otelhttp.NewTransport(base, otelhttp.WithTracerProvider(k.tracer),
						otelhttp.WithPropagators(k.propagator()), otelhttp.WithClientTrace(traced))
				}
				ctx := waybilltest.Context(t, k.auth, cell.To("eu-3"))
				span := oteltrace.SpanFromContext(ctx)
				var rt http.RoundTripper
				switch where {
				case "context":
					ctx, span = k.tracer.Tracer("test").Start(ctx, "caller")
					ctx = httptrace.WithClientTrace(ctx, traced(ctx))
					rt = k.sending(base(t, s), s)
				case "above":
					rt = otel(k.sending(base(t, s), s))
				case "below":
					rt = k.sending(otel(waybillhttp.Redacted(base(t, s))), s)
				}
				get(t, ctx, rt, s.URL)
				span.End()
				s.Close()
				wb, err := waybill.FromContext(ctx)
				check(t, err)
				if len(got) != 1 || got[0] != wb.Token() {
					t.Fatalf("the server got %d tokens, want the one", len(got))
				}
				redacted := 0
				for _, span := range k.spans.Ended() {
					attributes := span.Attributes()
					for _, e := range span.Events() {
						attributes = append(attributes, e.Attributes...)
					}
					for _, a := range attributes {
						if holds(a, wb.Token()) {
							t.Errorf("span %s holds the token in %s", span.Name(), a.Key)
						}
						if holds(a, "[redacted]") {
							redacted++
						}
					}
				}
				if redacted == 0 {
					t.Error("no span shows the redacted value: the trace did not run")
				}
			})
		}
	}
}

func holds(a attribute.KeyValue, text string) bool { return strings.Contains(a.Value.String(), text) }
