package waybillautoprop_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	waybillautoprop "github.com/waybill-go/waybill/propagation/autoprop"
	"github.com/waybill-go/waybill/waybilltest"
)

var Cell = waybill.NewClaim[string]("cell")

func authority(t testing.TB) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, waybill.Claims(Cell))
}

// handled collects what OpenTelemetry complains about.
type handled struct{ errs []error }

func (h *handled) Handle(err error) { h.errs = append(h.errs, err) }

// The variable installs the propagator by its exact name, and Installed tells why it did not.
func TestEnvironment(t *testing.T) {
	before := otel.GetTextMapPropagator()
	t.Cleanup(func() { otel.SetTextMapPropagator(before) })
	for _, tt := range []struct {
		name, value string
		fields      []string
		complaint   string // of OpenTelemetry
		amiss       string // says Installed
	}{
		{"beside others", "tracecontext,baggage,waybill", []string{"traceparent", "tracestate", "baggage", "waybill"}, "", ""},
		{"alone", "waybill", []string{"waybill"}, "", ""},
		{"spaces", "tracecontext, baggage, waybill", []string{"traceparent", "tracestate"}, "unknown propagator", "has spaces around waybill"},
		{"space behind", "waybill ,tracecontext", []string{"traceparent", "tracestate"}, "unknown propagator", "has spaces around waybill"},
		{"space elsewhere", "tracecontext, baggage,waybill", []string{"traceparent", "tracestate", "waybill"}, "unknown propagator", ""},
		{"another case", "tracecontext,Waybill", []string{"traceparent", "tracestate"}, "unknown propagator", "does not name waybill"},
		{"not named", "tracecontext", []string{"traceparent", "tracestate"}, "", "does not name waybill"},
		{"none", "waybill,none", nil, "", "none"},
		{"not set", "", []string{"traceparent", "tracestate", "baggage"}, "", "is not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("OTEL_PROPAGATORS", tt.value)
			var complaints handled
			otel.SetErrorHandler(&complaints)
			otel.SetTextMapPropagator(autoprop.NewTextMapPropagator())

			got, want := otel.GetTextMapPropagator().Fields(), tt.fields
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("fields: got %v, want %v", got, want)
			}
			if err := errors.Join(complaints.errs...); (err == nil) != (tt.complaint == "") ||
				err != nil && !strings.Contains(err.Error(), tt.complaint) {
				t.Errorf("OpenTelemetry's complaint: got %v, want %q", err, tt.complaint)
			}
			if err := waybillautoprop.Installed(); (err == nil) != (tt.amiss == "") ||
				err != nil && !strings.Contains(err.Error(), tt.amiss) {
				t.Errorf("Installed: got %v, want %q", err, tt.amiss)
			}
		})
	}
	t.Run("forgotten", func(t *testing.T) {
		t.Setenv("OTEL_PROPAGATORS", "waybill")
		otel.SetTextMapPropagator(propagation.TraceContext{})
		if err := waybillautoprop.Installed(); err == nil || !strings.Contains(err.Error(), "SetTextMapPropagator") {
			t.Errorf("Installed: got %v, want a word on SetTextMapPropagator", err)
		}
	})
}

// Nobody else gets the name.
func TestDuplicateRegistration(t *testing.T) {
	defer func() {
		err, _ := recover().(error)
		if err == nil || !strings.Contains(err.Error(), "duplicate registration") {
			t.Errorf("a second propagator of the name: got %v, want a panic of the registry", err)
		}
	}()
	autoprop.RegisterTextMapPropagator(waybillautoprop.Name, propagation.TraceContext{})
}

// A propagator that was handed out before there is an Authority follows it when it comes, and another one after.
func TestBind(t *testing.T) {
	t.Cleanup(waybillautoprop.Unbind)
	t.Setenv("OTEL_PROPAGATORS", "waybill")
	p := autoprop.NewTextMapPropagator()
	first := authority(t)
	ctx, err := first.Start(t.Context(), Cell.To("eu-3"))
	if err != nil {
		t.Fatal(err)
	}
	bind := func(auth *waybill.Authority) {
		if err := waybillautoprop.Bind(auth); err != nil {
			t.Fatal(err)
		}
	}
	if err := waybillautoprop.Bind(nil); err == nil {
		t.Error("bound to no Authority")
	}

	carrier := propagation.MapCarrier{waybill.Header: issue(t, first)}
	if got := p.Extract(t.Context(), carrier); got != t.Context() {
		t.Errorf("not bound: Extract made another context")
	}

	bind(first)
	if cell, err := Cell.Lookup(p.Extract(t.Context(), carrier)); cell != "eu-3" {
		t.Errorf("bound: got the cell %q (%v), want eu-3", cell, err)
	}
	onward := propagation.MapCarrier{}
	p.Inject(ctx, onward)
	if len(onward) != 0 {
		t.Errorf("bound: Inject wrote %v", slices.Collect(maps.Keys(onward)))
	}

	bind(waybilltest.Authority(t, waybill.Protect(waybill.Sealed)))
	if _, err := waybill.FromContext(p.Extract(t.Context(), carrier)); !errors.Is(err, waybill.ErrProtection) {
		t.Errorf("bound to another Authority: got %v, want %v", err, waybill.ErrProtection)
	}
}

// Binding goes on beside traffic.
func TestBindConcurrently(t *testing.T) {
	t.Cleanup(waybillautoprop.Unbind)
	t.Setenv("OTEL_PROPAGATORS", "waybill")
	p := autoprop.NewTextMapPropagator()
	auth := authority(t)
	carrier := propagation.MapCarrier{waybill.Header: issue(t, auth)}
	var work sync.WaitGroup
	bound := make(chan struct{})
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-bound:
					if cell, err := Cell.Lookup(p.Extract(context.Background(), carrier)); cell != "eu-3" {
						t.Errorf("after Bind: got the cell %q (%v), want eu-3", cell, err)
					}
					return
				default:
					p.Extract(context.Background(), carrier)
				}
			}
		})
	}
	if err := waybillautoprop.Bind(auth); err != nil {
		t.Error(err)
	}
	close(bound)
	work.Wait()
}

func issue(t *testing.T, auth *waybill.Authority) string {
	t.Helper()
	wb, err := auth.Issue(Cell.To("eu-3"))
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}
