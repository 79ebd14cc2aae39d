//go:build !race

package natstest

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// Without an SDK and a propagator, traces cost no allocation; nor do they with a provider that does
// nothing.
func TestTracesCostNothing(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	quiet := []waybillnats.Option{waybillnats.MeterProvider(metric.NewMeterProvider()),
		waybillnats.Logger(slog.New(slog.NewTextHandler(io.Discard, nil)))}
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	value := token(t, auth, Cell.To("eu-3"))
	costs := func(opts ...waybillnats.Option) (handle, publish float64) {
		conn := newConn(t, auth, nc, append(opts, quiet...)...)
		handler := conn.Handler(func(context.Context, *waybillnats.Msg) {})
		msg, h := &nats.Msg{Subject: "quotes", Header: nats.Header{"X": {"1"}}}, []string{value}
		handle = testing.AllocsPerRun(200, func() {
			msg.Header["Waybill"] = h
			handler(msg)
		})
		publish = testing.AllocsPerRun(200, func() { note(t, conn.Publish(ctx, msg)) })
		return handle, publish
	}
	handle, publish := costs(waybillnats.WithoutTraces())
	for name, opt := range map[string]waybillnats.Option{
		"global": waybillnats.TracerProvider(nil), "noop": waybillnats.TracerProvider(noop.NewTracerProvider()),
	} {
		h, p := costs(opt)
		if h > handle || p > publish {
			t.Errorf("%s: %v allocations to handle and %v to publish, want %v and %v", name, h, p, handle, publish)
		}
	}
}
