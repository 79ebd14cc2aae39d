package integrationhttp

import (
	"net/http"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	waybillprop "github.com/waybill-go/waybill/propagation"
	"github.com/waybill-go/waybill/waybilltest"
)

// An application that injects by hand, as it does with a trace, sends no token: by default the
// propagator writes none. If it always writes one, our transport removes it for hosts that are not
// approved, on every hop of a redirect.
func TestManualInject(t *testing.T) {
	for name, tt := range map[string]struct {
		opts            []waybillprop.Option
		waybill         bool // our transport
		first, redirect int
	}{
		"by default":                {nil, false, 0, 0},
		"always, our transport":     {[]waybillprop.Option{waybillprop.InsecureInjectAlways()}, true, 1, 0},
		"by default, our transport": {nil, true, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			before := otel.GetTextMapPropagator()
			otel.SetTextMapPropagator(k.propagator(tt.opts...))
			defer otel.SetTextMapPropagator(before)

			got := make(chan int, 2)
			count := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- len(r.Header["Waybill"]) })
			foreign := serve(t, false, count)
			internal := serve(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				count(w, r)
				http.Redirect(w, r, foreign.URL, http.StatusTemporaryRedirect)
			}))
			rt := base(t, internal)
			if tt.waybill {
				rt = k.sending(rt, internal)
			}
			ctx := waybilltest.Context(t, k.auth)
			r, err := http.NewRequestWithContext(ctx, "GET", internal.URL, nil)
			check(t, err)
			otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(r.Header))
			resp, err := (&http.Client{Transport: rt}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if first, second := <-got, <-got; first != tt.first || second != tt.redirect {
				t.Errorf("the hosts got %d and %d tokens, want %d and %d", first, second, tt.first, tt.redirect)
			}
		})
	}
}
