// Package record keeps the recorders of functions that get their options with each call.
package record

import (
	"log/slog"
	"reflect"
	"sync"

	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill/internal/telemetry"
)

// recorders holds one Recorder for each target, as long as the process lives: a process has few providers and loggers.
var recorders sync.Map

type target struct {
	transport string
	provider  metric.MeterProvider
	logger    *slog.Logger
}

// For returns the Recorder of a transport, a provider and a logger, which is made on first use.
func For(transport string, provider metric.MeterProvider, logger *slog.Logger) *telemetry.Recorder {
	if provider != nil && !reflect.ValueOf(provider).Comparable() {
		return telemetry.New(transport, provider, logger)
	}
	key := target{transport, provider, logger}
	if r, ok := recorders.Load(key); ok {
		return r.(*telemetry.Recorder)
	}
	r, _ := recorders.LoadOrStore(key, telemetry.New(transport, provider, logger))
	return r.(*telemetry.Recorder)
}
