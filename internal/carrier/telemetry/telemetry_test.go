package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	mnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tnoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/waybilltest"
)

// meter is a provider that counts, because the root module does not require an SDK.
type meter struct {
	mnoop.MeterProvider
	fail error

	mu     sync.Mutex
	counts map[string]int64
	names  []string
}

func newMeter() *meter { return &meter{counts: map[string]int64{}} }

func (m *meter) Meter(name string, _ ...metric.MeterOption) metric.Meter {
	m.names = append(m.names, name)
	return scope{m: m}
}

type scope struct {
	mnoop.Meter
	m *meter
}

func (s scope) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{name: name, m: s.m}, s.m.fail
}

func (s scope) Int64Histogram(name string, _ ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	return histogram{name: name, m: s.m}, s.m.fail
}

type counter struct {
	mnoop.Int64Counter
	name string
	m    *meter
}

func (c counter) Add(_ context.Context, n int64, opts ...metric.AddOption) {
	set := metric.NewAddConfig(opts).Attributes()
	c.m.add(c.name, set, n)
}

type histogram struct {
	mnoop.Int64Histogram
	name string
	m    *meter
}

func (h histogram) Record(_ context.Context, n int64, opts ...metric.RecordOption) {
	set := metric.NewRecordConfig(opts).Attributes()
	h.m.add(h.name, set, n)
}

func (m *meter) add(name string, set attribute.Set, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[name+" "+set.Encoded(attribute.DefaultEncoder())] += n
}

// String lists the counts since the last call.
func (m *meter) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m.counts)) {
		all = append(all, fmt.Sprintf("%s %d", name, m.counts[name]))
	}
	clear(m.counts)
	return strings.Join(all, "\n")
}

func (m *meter) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := m.String(); got != strings.Join(want, "\n") {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, strings.Join(want, "\n"))
	}
}

// span records its attributes.
type span struct {
	tnoop.Span
	recording bool
	attrs     map[string]string
}

func (s *span) IsRecording() bool { return s.recording }

func (s *span) SetAttributes(kv ...attribute.KeyValue) {
	for _, a := range kv {
		s.attrs[string(a.Key)] = a.Value.AsString()
	}
}

func TestOpened(t *testing.T) {
	m := newMeter()
	r := telemetry.New("http", m, slog.New(slog.DiscardHandler))
	if !slices.Equal(m.names, []string{"waybill"}) {
		t.Errorf("got meters %q, want waybill", m.names)
	}
	auth := waybilltest.Authority(t)
	wb, err := auth.Issue()
	if err != nil {
		t.Fatal(err)
	}
	token := wb.Token()
	for _, test := range []struct {
		values []string
		want   []string
		attrs  map[string]string
	}{
		{[]string{token}, []string{"waybill.open outcome=ok,transport=http 1", fmt.Sprintf("waybill.token.size transport=http %d", len(token))},
			map[string]string{"waybill.outcome": "ok", "waybill.sid": wb.ID(), "waybill.kid": wb.KeyID()}},
		{nil, []string{"waybill.open outcome=absent,transport=http 1"}, map[string]string{"waybill.outcome": "absent"}},
		{[]string{token + "x"}, []string{"waybill.open outcome=malformed,transport=http 1"}, map[string]string{"waybill.outcome": "malformed"}},
		{[]string{token, token}, []string{"waybill.open outcome=ambiguous,transport=http 1"}, map[string]string{"waybill.outcome": "ambiguous"}},
	} {
		outer := &span{recording: true, attrs: map[string]string{}}
		ctx, hop := auth.Extract(trace.ContextWithSpan(t.Context(), outer), test.values, nil)
		r.Opened(ctx, hop)
		m.want(t, "opened", test.want...)
		if !maps.Equal(outer.attrs, test.attrs) {
			t.Errorf("%s: got attributes %v, want %v", test.want[0], outer.attrs, test.attrs)
		}
		if len(test.values) > 1 {
			continue
		}
		// An inner layer describes its own span, and does not count again.
		inner := &span{recording: true, attrs: map[string]string{}}
		ctx, hop = auth.Receive(trace.ContextWithSpan(ctx, inner), test.values, nil)
		r.Opened(ctx, hop)
		m.want(t, "opened again")
		if !maps.Equal(inner.attrs, test.attrs) {
			t.Errorf("%s: inner span: got attributes %v, want %v", test.want[0], inner.attrs, test.attrs)
		}
	}
	quiet := &span{attrs: map[string]string{}}
	ctx, hop := auth.Receive(trace.ContextWithSpan(t.Context(), quiet), []string{token}, nil)
	r.Opened(ctx, hop)
	if len(quiet.attrs) > 0 {
		t.Errorf("a span that does not record: got %v", quiet.attrs)
	}
}

// TestTraced checks that traces contain the claims that the Authority lists, and no others.
func TestTraced(t *testing.T) {
	cell, seats := waybill.NewClaim[string]("cell"), waybill.NewClaim[int]("seats")
	tags, email := waybill.NewClaim[[]string]("tags"), waybill.NewClaim[string]("email")
	all := []waybill.Change{cell.To("eu-\u00fc\n"), seats.To(3), tags.To([]string{"a"}), email.To("ann@example.org")}
	r := telemetry.New("http", newMeter(), nil)
	declared := waybill.Claims(cell, seats, tags, email)
	for _, test := range []struct {
		name  string
		opts  []waybill.Option
		attrs map[string]string
	}{
		{"none by default", nil, nil},
		{"one", []waybill.Option{waybill.Traced(cell)}, map[string]string{"waybill.claim.cell": "eu-\u00fc\n"}},
		{"every kind, and an absent claim",
			[]waybill.Option{waybill.Traced(cell, seats), waybill.Traced(tags, waybill.NewClaim[bool]("absent"))},
			map[string]string{"waybill.claim.cell": "eu-\u00fc\n", "waybill.claim.seats": "3", "waybill.claim.tags": `["a"]`}},
	} {
		auth := waybilltest.Authority(t, append(test.opts, declared)...)
		wb, err := auth.Issue(all...)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{wb.Token(), wb.Token() + "x"} {
			s := &span{recording: true, attrs: map[string]string{}}
			ctx, hop := auth.Receive(trace.ContextWithSpan(t.Context(), s), []string{token}, nil)
			r.Opened(ctx, hop)
			maps.DeleteFunc(s.attrs, func(key, _ string) bool { return !strings.HasPrefix(key, "waybill.claim.") })
			want := test.attrs
			if hop.Err() != nil {
				want = nil
			}
			if !maps.Equal(s.attrs, want) {
				t.Errorf("%s, token %v: got attributes %v, want %v", test.name, hop.Err(), s.attrs, want)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	m := newMeter()
	r := telemetry.New("http", m, nil)
	missing := fmt.Errorf("%w: cell", waybill.ErrMissingClaim)
	r.Refused(t.Context(), missing)
	r.Refused(t.Context(), waybill.ErrExpired)
	r.Observed(t.Context(), missing)
	r.Refused(t.Context(), errors.New("secret cause"))
	m.want(t, "refused", "waybill.observe outcome=missing_claim,transport=http 1", "waybill.refuse outcome=error,transport=http 1",
		"waybill.refuse outcome=expired,transport=http 1", "waybill.refuse outcome=missing_claim,transport=http 1")
}

func TestInjected(t *testing.T) {
	m := newMeter()
	r := telemetry.New("grpc", m, nil)
	for err, want := range map[error]string{
		nil: "sent", waybill.ErrForeignDomain: "foreign_domain", waybill.ErrNoWaybill: "absent", waybill.ErrExpired: "expired",
		fmt.Errorf("why: %w", waybill.ErrForged): "forged", errors.New("other"): "error",
	} {
		r.Injected(t.Context(), err)
		m.want(t, "injected", "waybill.inject outcome="+want+",transport=grpc 1")
	}
}

func TestReturned(t *testing.T) {
	m := newMeter()
	r := telemetry.New("nats", m, nil)
	r.Returned(t.Context(), telemetry.Answered)
	r.Returned(t.Context(), telemetry.Answered)
	r.Merged(t.Context(), waybill.Unchanged, nil)
	m.want(t, "returned", "waybill.return outcome=answered,transport=nats 2")
	for _, test := range []struct {
		outcome waybill.Outcome
		err     error
		want    []string
	}{
		{waybill.Unchanged, nil, nil},
		{waybill.Merged, nil, []string{"waybill.return outcome=merged,transport=nats 1"}},
		{waybill.Merged, waybill.ErrClaimType, []string{"waybill.return outcome=dropped,transport=nats 1", "waybill.return outcome=merged,transport=nats 1"}},
		{waybill.Relayed, nil, []string{"waybill.return outcome=relayed,transport=nats 1"}},
		{waybill.Conflict, nil, []string{"waybill.return outcome=conflict,transport=nats 1"}},
		{waybill.Rejected, waybill.ErrStale, []string{"waybill.return outcome=rejected,transport=nats 1"}},
		{waybill.Rejected, fmt.Errorf("x: %w", waybill.ErrTooLate), []string{"waybill.return outcome=too_late,transport=nats 1"}},
		{waybill.Rejected, waybill.ErrTooLarge, []string{"waybill.return outcome=too_large,transport=nats 1"}},
	} {
		r.Merged(t.Context(), test.outcome, test.err)
		m.want(t, string(test.outcome), test.want...)
	}
}

// TestSuppressed checks that every suppression is counted, and that the first for each destination
// is logged, for a bounded number of destinations.
func TestSuppressed(t *testing.T) {
	m := newMeter()
	var log bytes.Buffer
	r := telemetry.New("http", m, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		r.Suppressed(t.Context(), "api.example", "not on the list")
		r.Suppressed(t.Context(), "cdn.example", "plaintext")
	}
	m.want(t, "suppressed", "waybill.inject outcome=suppressed,transport=http 6")
	if got := log.String(); strings.Count(got, "\n") != 2 || strings.Count(got, "destination=api.example") != 1 || !strings.Contains(got, "why=plaintext") {
		t.Errorf("got the log %s, want one line for each destination", got)
	}
	log.Reset()
	const many = 2000
	for i := range many {
		r.Suppressed(t.Context(), fmt.Sprintf("host-%d.example", i), "not on the list")
	}
	if got := strings.Count(log.String(), "\n"); got < 200 || got > 256 {
		t.Errorf("got %d lines for %d destinations, want at most 256", got, many)
	}
	m.want(t, "suppressed", fmt.Sprintf("waybill.inject outcome=suppressed,transport=http %d", many))
}

// TestBrokenProvider checks that an instrument that cannot be made is reported once, and that its
// Recorder still works.
func TestBrokenProvider(t *testing.T) {
	var reported []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { reported = append(reported, err) }))
	m := newMeter()
	m.fail = errors.New("no instrument")
	r := telemetry.New("http", m, nil)
	if len(reported) != 9 || !errors.Is(reported[0], m.fail) {
		t.Errorf("got %v, want an error for each of 9 instruments", reported)
	}
	r.Injected(t.Context(), nil)
	r.Returned(t.Context(), telemetry.Answered)
}

// TestConcurrent is most useful under the race detector.
func TestConcurrent(t *testing.T) {
	m := newMeter()
	r := telemetry.New("http", m, slog.New(slog.DiscardHandler))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				r.Injected(t.Context(), nil)
				r.Suppressed(t.Context(), fmt.Sprint(i*100+j), "x")
			}
		})
	}
	all.Wait()
	m.want(t, "all", "waybill.inject outcome=sent,transport=http 800", "waybill.inject outcome=suppressed,transport=http 800")
}
