package waybillprop_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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
			// An inherited waybill never stays: neither a local one nor that of another message.
			for _, inherited := range []context.Context{
				t.Context(),
				waybilltest.Context(t, auth, seats.To(9)),
				started(t, auth, seats.To(9)),
			} {
				ctx := waybillprop.New(auth).Extract(inherited, tt.carrier)
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
	p := waybillprop.New(auth)
	first := p.Extract(t.Context(), carrier)
	if second := p.Extract(first, carrier); second != first {
		t.Error("the second Extract made another context, want the same")
	}
	if got := m.count("waybill.open", "ok"); got != 1 {
		t.Errorf("opened %d times, want once", got)
	}
}

// Our middleware takes the token out of the header. Instrumentation further in must not take that for a request without
// one; in another header, the absence means what it says.
func TestExtractInsideMiddleware(t *testing.T) {
	auth := authority(t)
	p := waybillprop.New(auth)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Waybill", issue(t, auth, seats.To(1)))
	waybillhttp.Middleware(auth)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if ctx := p.Extract(r.Context(), propagation.HeaderCarrier(r.Header)); ctx != r.Context() {
			t.Error("Extract made another context of the request's, want the same")
		}
		ctx := p.Extract(r.Context(), propagation.HeaderCarrier(r.Header.Clone()))
		if _, err := waybill.FromContext(ctx); !errors.Is(err, waybill.ErrNoWaybill) {
			t.Errorf("another header gave %v, want ErrNoWaybill", err)
		}
		other := waybillprop.New(authority(t)).Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		if _, err := waybill.FromContext(other); !errors.Is(err, waybill.ErrNoWaybill) {
			t.Errorf("another Authority gave %v, want ErrNoWaybill", err)
		}
		r.Header.Set("Waybill", issue(t, auth, seats.To(2)))
		if n, _ := seats.Get(p.Extract(r.Context(), propagation.HeaderCarrier(r.Header))); n != 2 {
			t.Errorf("a token set in between gave %d seats, want its own 2", n)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
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
	other, err := waybill.New(waybilltest.Domain, auth.Ring(), waybill.Claims(seats))
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
		{"by default", auth, nil, journey, false, "withheld"},
		{"by default, no waybill", auth, nil, t.Context(), false, ""},
		{"granted", auth, nil, waybill.Grant(journey), true, "sent"},
		{"granted, no waybill", auth, nil, waybill.Grant(t.Context()), false, "absent"},
		{"granted, another Authority's", other, nil, waybill.Grant(journey), false, "foreign_domain"},
		{"always", auth, always, journey, true, "sent"},
		{"always, granted", auth, always, waybill.Grant(journey), true, "sent"},
		{"always, no waybill", auth, always, t.Context(), false, "absent"},
		{"always, masked", auth, always, waybill.Without(journey), false, "absent"},
		{"always, another Authority's", other, always, journey, false, "foreign_domain"},
		{"always, expired", clocked, always, waybilltest.Context(t, clocked), false, "expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ahead = time.Hour
			m := install(t)
			p := waybillprop.New(tt.auth, tt.opts...)
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
			switch tt.outcome {
			case "":
				clear(want)
			case "withheld":
				want = map[string]int64{"waybill.withheld ": 1}
			}
			if !maps.Equal(m.counts, want) {
				t.Errorf("counted %v, want %v", m.counts, want)
			}
		})
	}
}

func TestGrantIsGoodOnce(t *testing.T) {
	m := install(t)
	auth := authority(t)
	p := waybillprop.New(auth)
	journey := waybilltest.Context(t, auth)
	ctx := waybill.Grant(journey)
	ctx, cancel := context.WithCancel(ctx) // a redirect has the same context, or one derived from it
	defer cancel()
	for i, want := range []int{1, 0, 0} {
		if got := inject(t, p, ctx); len(got) != want {
			t.Errorf("Inject %d wrote %d values, want %d", i+1, len(got), want)
		}
	}
	if got := inject(t, p, waybill.Grant(ctx)); len(got) != 1 {
		t.Errorf("a second grant wrote %d values, want 1", len(got))
	}
	if sent, kept := m.count("waybill.inject", "sent"), m.count("waybill.withheld", ""); sent != 2 || kept != 2 {
		t.Errorf("counted %v, want 2 sent and 2 withheld", m.counts)
	}
}

func TestGrantIsGoodForOneOfMany(t *testing.T) {
	auth := authority(t)
	p := waybillprop.New(auth)
	ctx := waybill.Grant(waybilltest.Context(t, auth))
	carriers := make([]propagation.MapCarrier, 50)
	var wg sync.WaitGroup
	for i := range carriers {
		carriers[i] = propagation.MapCarrier{}
		wg.Go(func() { p.Inject(ctx, carriers[i]) })
	}
	wg.Wait()
	written := 0
	for _, c := range carriers {
		written += len(c)
	}
	if written != 1 {
		t.Errorf("50 concurrent Injects wrote %d values, want 1", written)
	}
}

// A foreign propagator in a composite leaves the grant to the one it is for.
func TestGrantIsLeftToItsAuthority(t *testing.T) {
	auth := authority(t)
	both := propagation.NewCompositeTextMapPropagator(waybillprop.New(authority(t)), waybillprop.New(auth))
	if got := inject(t, both, waybill.Grant(waybilltest.Context(t, auth))); len(got) != 1 {
		t.Errorf("wrote %d values, want 1", len(got))
	}
}

// A granted call carries the claims as they stand at that moment.
func TestInjectAfterUpdate(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth, seats.To(1))
	if err := waybill.Update(ctx, seats.To(2)); err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	waybillprop.New(auth).Inject(waybill.Grant(ctx), propagation.HeaderCarrier(header))
	next := waybillprop.New(authority(t)).Extract(t.Context(), propagation.HeaderCarrier(header))
	if n, _ := seats.Get(next); n != 2 {
		t.Errorf("the next hop sees %d seats, want 2", n)
	}
}

func TestNilAuthorityPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic, want one")
		}
	}()
	waybillprop.New(nil)
}

func BenchmarkPropagator(b *testing.B) {
	auth := authority(b)
	p := waybillprop.New(auth)
	always := waybillprop.New(auth, waybillprop.InsecureInjectAlways())
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
