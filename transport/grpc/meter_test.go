package waybillgrpc_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// meters counts what the counters "waybill.*" are given, by "name outcome".
type meters struct {
	noop.MeterProvider
	mu     sync.Mutex
	counts map[string]int64
}

type meter struct {
	noop.Meter
	to *meters
}

type counter struct {
	noop.Int64Counter
	to   *meters
	name string
}

func (m *meters) Meter(string, ...metric.MeterOption) metric.Meter { return &meter{to: m} }

func (m *meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return &counter{to: m.to, name: name}, nil
}

func (c *counter) Add(_ context.Context, n int64, opts ...metric.AddOption) {
	set := metric.NewAddConfig(opts).Attributes()
	outcome, _ := set.Value("outcome")
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	if c.to.counts == nil {
		c.to.counts = map[string]int64{}
	}
	c.to.counts[c.name+" "+outcome.AsString()] += n
}

func (m *meters) count(name string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[name]
}

func (m *meters) want(t *testing.T, want map[string]int64) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !maps.Equal(m.counts, want) {
		t.Errorf("metrics: got %v, want %v", m.counts, want)
	}
}
