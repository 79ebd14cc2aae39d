package waybillprop_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var seats = waybill.NewClaim[int]("seats")

func authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, append(opts, waybill.Claims(seats))...)
}

func issue(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) string {
	t.Helper()
	wb, err := auth.Issue(changes...)
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}

func tokenOf(t testing.TB, ctx context.Context) string {
	t.Helper()
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return wb.Token()
}

// several is a carrier that can tell all its values, as newer gRPC carriers can.
type several struct {
	propagation.MapCarrier
	values []string
}

func (s several) Values(string) []string { return s.values }

func (s several) Get(string) string {
	if len(s.values) == 0 {
		return ""
	}
	return s.values[0]
}

func TestExtract(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, seats.To(1))
	header := func(values ...string) propagation.HeaderCarrier { return propagation.HeaderCarrier{"Waybill": values} }
	for _, tt := range []struct {
		name    string
		carrier propagation.TextMapCarrier
		want    error
		outcome string
	}{
		{"map", propagation.MapCarrier{"waybill": token}, nil, "ok"},
		{"header", header(token), nil, "ok"},
		{"all values", several{values: []string{token}}, nil, "ok"},
		{"map, absent", propagation.MapCarrier{}, waybill.ErrNoWaybill, "absent"},
		{"header, absent", propagation.HeaderCarrier{}, waybill.ErrNoWaybill, "absent"},
		{"nil header", propagation.HeaderCarrier(nil), waybill.ErrNoWaybill, "absent"},
		{"header, empty", header(""), waybill.ErrMalformed, "malformed"},
		{"header, two", header(token, token), waybill.ErrAmbiguous, "ambiguous"},
		{"all values, two", several{values: []string{token, token}}, waybill.ErrAmbiguous, "ambiguous"},
		{"garbage", propagation.MapCarrier{"waybill": "garbage"}, waybill.ErrMalformed, "malformed"},
		{"expired", propagation.MapCarrier{"waybill": issue(t, authority(t, waybill.Clock(func() time.Time {
			return time.Now().Add(-time.Hour)
		})))}, waybill.ErrExpired, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := install(t)
			// An inherited waybill never stays: neither a local one nor that of another message that is over.
			over, hop := auth.Receive(t.Context(), []string{issue(t, auth, seats.To(9))}, nil)
			hop.Discard()
			for _, inherited := range []context.Context{t.Context(), over, started(t, auth, seats.To(9))} {
				ctx := propagator(auth).Extract(inherited, tt.carrier)
				wb, err := waybill.FromContext(ctx)
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if n, ok := seats.Of(wb); ok != (tt.want == nil) || ok && n != 1 {
					t.Errorf("seats %d, %v; want 1 from the carrier or none", n, ok)
				}
			}
			if got := m.count("waybill.open", tt.outcome); got != 3 || len(m.counts) != 1 {
				t.Errorf("counted %v, want %s for each of 3", m.counts, tt.outcome)
			}
		})
	}
}

func started(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) context.Context {
	t.Helper()
	ctx, err := auth.Start(t.Context(), changes...)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func TestExtractTwiceOpensOnce(t *testing.T) {
	m := install(t)
	auth := authority(t)
	carrier := propagation.HeaderCarrier{"Waybill": {issue(t, auth)}}
	p := propagator(auth)
	first := p.Extract(t.Context(), carrier)
	if second := p.Extract(first, carrier); second != first {
		t.Error("the second Extract made another context, want the same")
	}
	if got := m.count("waybill.open", "ok"); got != 1 {
		t.Errorf("opened %d times, want once", got)
	}
}

// Our middleware takes the token out of the header. A propagator further in leaves the request's waybill alone, whatever
// copy of the header it looks at, until the request is over.
func TestExtractInsideMiddleware(t *testing.T) {
	auth := authority(t)
	p := propagator(auth)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Waybill", issue(t, auth, seats.To(1)))
	server, err := waybillhttp.NewServer(auth)
	if err != nil {
		t.Fatal(err)
	}
	var over context.Context
	server.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		over = r.Context()
		for name, by := range map[string]propagation.TextMapPropagator{"ours": p, "another Authority's": propagator(authority(t))} {
			for header, carrier := range map[string]propagation.TextMapCarrier{
				"the header": propagation.HeaderCarrier(r.Header), "a copy": propagation.HeaderCarrier(r.Header.Clone()),
				"another carrier": propagation.MapCarrier{},
			} {
				if ctx := by.Extract(r.Context(), carrier); ctx != r.Context() {
					t.Errorf("%s propagator, %s: Extract made another context of the request's, want the same", name, header)
				}
			}
		}
		r.Header.Set("Waybill", issue(t, auth, seats.To(2)))
		if n, _ := seats.Get(p.Extract(r.Context(), propagation.HeaderCarrier(r.Header))); n != 2 {
			t.Errorf("a token set in between gave %d seats, want its own 2", n)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	// The request is over: its context shows nothing to another one.
	ctx := p.Extract(over, propagation.HeaderCarrier{})
	if _, err := waybill.FromContext(ctx); !errors.Is(err, waybill.ErrNoWaybill) {
		t.Errorf("after the request: got %v, want ErrNoWaybill", err)
	}
}

// unreadable is a carrier whose Get must not be called, as that of gRPC's own instrumentation.
type unreadable struct {
	t   testing.TB
	set map[string]string
}

func (u unreadable) Get(string) string {
	u.t.Error("Inject reads the carrier")
	return ""
}

func (u unreadable) Keys() []string {
	u.t.Error("Inject lists the carrier")
	return nil
}

func (u unreadable) Set(key, value string) { u.set[key] = value }

// inject returns what is written.
func inject(t testing.TB, p propagation.TextMapPropagator, ctx context.Context) map[string]string {
	t.Helper()
	u := unreadable{t, map[string]string{}}
	p.Inject(ctx, u)
	return u.set
}

func TestInject(t *testing.T) {
	auth := authority(t)
	other, err := waybill.New(waybilltest.Domain, waybilltest.Ring(), waybill.Claims(seats))
	if err != nil {
		t.Fatal(err)
	}
	var ahead time.Duration
	clocked := authority(t, waybill.Clock(func() time.Time { return time.Now().Add(ahead) }))
	journey := waybilltest.Context(t, auth, seats.To(1))
	always := []waybillprop.Option{waybillprop.InsecureInjectAlways()}
	for _, tt := range []struct {
		name    string
		auth    *waybill.Authority
		opts    []waybillprop.Option
		ctx     context.Context
		writes  bool
		outcome string
	}{
		{"by default", auth, nil, journey, false, ""},
		{"by default, no waybill", auth, nil, t.Context(), false, ""},
		{"always", auth, always, journey, true, "sent"},
		{"always, no waybill", auth, always, t.Context(), false, "absent"},
		{"always, masked", auth, always, waybill.Without(journey), false, "absent"},
		{"always, another Authority's", other, always, journey, false, "foreign_domain"},
		{"always, expired", clocked, always, waybilltest.Context(t, clocked), false, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ahead = time.Hour
			m := install(t)
			p := propagator(tt.auth, tt.opts...)
			got := inject(t, p, tt.ctx)
			if !tt.writes && len(got) != 0 {
				t.Errorf("wrote %d values, want none", len(got))
			}
			if tt.writes {
				var keys []string
				for key := range got {
					keys = append(keys, key)
				}
				if !slices.Equal(keys, p.Fields()) {
					t.Errorf("wrote %v, want the Fields: %v", keys, p.Fields())
				}
				if got["waybill"] != tokenOf(t, tt.ctx) {
					t.Error("wrote something else, want the token of the context")
				}
			}
			want := map[string]int64{"waybill.inject " + tt.outcome: 1}
			if tt.outcome == "" {
				clear(want)
			}
			if !maps.Equal(m.counts, want) {
				t.Errorf("counted %v, want %v", m.counts, want)
			}
		})
	}
}

// A call carries the claims as they are at that moment.
func TestInjectAfterUpdate(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth, seats.To(1))
	if err := waybill.Update(ctx, seats.To(2)); err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	propagator(auth, waybillprop.InsecureInjectAlways()).Inject(ctx, propagation.HeaderCarrier(header))
	next := propagator(authority(t)).Extract(t.Context(), propagation.HeaderCarrier(header))
	if n, _ := seats.Get(next); n != 2 {
		t.Errorf("the next hop sees %d seats, want 2", n)
	}
}

func TestNewWithoutAuthority(t *testing.T) {
	if p, err := waybillprop.New(nil); p != nil || err == nil || !strings.Contains(err.Error(), "waybill.New") {
		t.Errorf("got %v, %v, want an error that names waybill.New", p, err)
	}
}

// propagator is one that opts suit.
func propagator(auth *waybill.Authority, opts ...waybillprop.Option) propagation.TextMapPropagator {
	p, err := waybillprop.New(auth, opts...)
	if err != nil {
		panic(err)
	}
	return p
}

func BenchmarkPropagator(b *testing.B) {
	auth := authority(b)
	p := propagator(auth)
	always := propagator(auth, waybillprop.InsecureInjectAlways())
	carrier := propagation.HeaderCarrier{"Waybill": {issue(b, auth, seats.To(1))}}
	ctx := waybilltest.Context(b, auth)
	for name, f := range map[string]func(){
		"Extract":         func() { p.Extract(context.Background(), carrier) },
		"Inject nothing":  func() { p.Inject(ctx, carrier) },
		"Inject":          func() { always.Inject(ctx, carrier) },
		"Extract nothing": func() { p.Extract(context.Background(), propagation.HeaderCarrier{}) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

// meter counts what is recorded, by instrument and outcome.
type meter struct {
	noop.MeterProvider
	mu     sync.Mutex
	counts map[string]int64
}

// install makes a meter the global provider for one test.
func install(t testing.TB) *meter {
	m := &meter{counts: map[string]int64{}}
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(m)
	t.Cleanup(func() { otel.SetMeterProvider(before) })
	return m
}

func (m *meter) count(instrument, outcome string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[instrument+" "+outcome]
}

func (m *meter) Meter(string, ...metric.MeterOption) metric.Meter { return meterOf{m: m} }

type meterOf struct {
	noop.Meter
	m *meter
}

func (m meterOf) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{m: m.m, name: name}, nil
}

type counter struct {
	noop.Int64Counter
	m    *meter
	name string
}

func (c counter) Add(_ context.Context, n int64, opts ...metric.AddOption) {
	attrs := metric.NewAddConfig(opts).Attributes()
	outcome, _ := attrs.Value(attribute.Key("outcome"))
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.counts[c.name+" "+outcome.AsString()] += n
}
