package carriers

import (
	"context"
	"maps"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// counted reads the counters of one provider.
type counted struct {
	*metric.MeterProvider
	reader *metric.ManualReader
}

func counting() counted {
	reader := metric.NewManualReader()
	return counted{metric.NewMeterProvider(metric.WithReader(reader)), reader}
}

// counts returns the counters of the meter "waybill", by "name outcome transport".
func (c counted) counts(t testing.TB) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	check(t, c.reader.Collect(context.Background(), &data))
	sums := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.Name != "waybill" {
			continue // of the instrumentation
		}
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, p := range sum.DataPoints {
				name := m.Name
				for _, key := range []string{"outcome", "transport"} {
					if v, ok := p.Attributes.Value(attribute.Key(key)); ok {
						name += " " + v.AsString()
					}
				}
				sums[name] += p.Value
			}
		}
	}
	return sums
}

func (c counted) want(t testing.TB, what string, want map[string]int64) {
	t.Helper()
	if got := c.counts(t); !maps.Equal(got, want) {
		t.Errorf("%s: counted %v, want %v", what, got, want)
	}
}
