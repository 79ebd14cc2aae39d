// Package telemetry reports for the propagator and the transports: metrics of the meter "waybill",
// and attributes of the current span. It uses the OpenTelemetry API only; without an SDK it does
// almost nothing.
//
// Integration tests: internal/integration/carriers.
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
)

// Name is the name of the meter.
const Name = "waybill"

// The outcomes of waybill.inject.
const (
	Sent          = "sent"
	Suppressed    = "suppressed" // the destination is not approved; also of waybill.return
	ForeignDomain = "foreign_domain"
)

// The outcomes of waybill.return on the way out. On the way in the outcomes are those of
// [waybill.Call.Merge].
const (
	Answered = "answered"  // sent back
	TooLate  = "too_late"  // changed after the last chance to send it back
	TooLarge = "too_large" // does not fit next to the response
	Dropped  = "dropped"   // on the way in: merged, but for claims that cannot be
	Unread   = "unread"    // on the way in: closed before its end, where a token might have followed
)

// maxDestinations bounds the destinations for which the first suppression is logged.
const maxDestinations = 256

// Recorder reports for one transport. It is safe for concurrent use.
type Recorder struct {
	transport string
	logger    *slog.Logger

	open, refuse, observe, inject, returns counter

	client client

	size     metric.Int64Histogram
	sizeOpts []metric.RecordOption

	logged sync.Map // destination → struct{}
	count  atomic.Int64
}

// counter is an instrument that makes the attribute set of each outcome once.
type counter struct {
	metric.Int64Counter
	transport attribute.KeyValue
	opts      sync.Map // outcome → []metric.AddOption
}

// New returns a Recorder. The default provider is the global one, the default logger is
// [slog.Default]. An instrument that the provider cannot make is reported to OpenTelemetry's error
// handler, and counts nothing.
func New(transport string, provider metric.MeterProvider, logger *slog.Logger) *Recorder {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	if logger == nil {
		logger = slog.Default()
	}
	m := provider.Meter(Name)
	r := &Recorder{transport: transport, logger: logger}
	label := attribute.String("transport", transport)
	for _, c := range []struct {
		to         *counter
		name, desc string
	}{
		{&r.open, "waybill.open", "Waybills opened, by outcome: ok, absent, or the reason why the token was not accepted."},
		{&r.refuse, "waybill.refuse", "Requests and messages refused, by reason; undecided: a message that could neither be decided nor held."},
		{&r.observe, "waybill.observe", "Requests and messages that passed only because of ReportOnly, by reason."},
		{&r.inject, "waybill.inject", "Outgoing calls: sent, suppressed, foreign_domain, or why there was no waybill; untraced: also sent, without its trace destination."},
		{&r.returns, "waybill.return", "Returned tokens: answered, suppressed, too_late or too_large on the way out; merged, relayed, conflict, rejected or unread on the way in, and dropped for claims that were not merged."},
	} {
		var err error
		if c.to.Int64Counter, err = m.Int64Counter(c.name, metric.WithDescription(c.desc)); err != nil {
			otel.Handle(err)
		}
		c.to.transport = label
	}
	var err error
	r.size, err = m.Int64Histogram("waybill.token.size", metric.WithUnit("By"),
		metric.WithDescription("Size of the tokens opened."),
		metric.WithExplicitBucketBoundaries(128, 256, 512, 1024, 2048, 3584, 7168))
	if err != nil {
		otel.Handle(err)
	}
	r.sizeOpts = []metric.RecordOption{metric.WithAttributes(label)}
	r.client.make(m, label)
	return r
}

func (c *counter) add(ctx context.Context, outcome string) { c.addN(ctx, outcome, 1) }

func (c *counter) addN(ctx context.Context, outcome string, n int64) {
	opts, ok := c.opts.Load(outcome)
	if !ok {
		set := metric.WithAttributes(attribute.String("outcome", outcome), c.transport)
		opts, _ = c.opts.LoadOrStore(outcome, []metric.AddOption{set})
	}
	c.Add(ctx, n, opts.([]metric.AddOption)...)
}

// Opened counts the outcome of a fresh hop, and describes every hop on the current span. A hop that
// is not fresh needs that too: the span did not exist yet when an outer propagator opened the
// token.
func (r *Recorder) Opened(ctx context.Context, hop waybill.Hop) {
	if hop.Fresh() {
		r.open.add(ctx, waybill.Reason(hop.Err()))
		if wb, _ := waybill.FromContext(ctx); wb != nil {
			r.size.Record(ctx, int64(len(wb.Token())), r.sizeOpts...)
		}
	}
	r.Describe(ctx, hop)
}

// Describe describes a hop on the current span, and counts nothing.
func (r *Recorder) Describe(ctx context.Context, hop waybill.Hop) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("waybill.outcome", waybill.Reason(hop.Err())))
	if wb, _ := waybill.FromContext(ctx); wb != nil {
		span.SetAttributes(attribute.String("waybill.sid", wb.ID()), attribute.String("waybill.kid", wb.KeyID()))
		for name, value := range hop.Traced() {
			span.SetAttributes(attribute.String("waybill.claim."+name, value))
		}
	}
}

// Refused counts a refused request or message.
func (r *Recorder) Refused(ctx context.Context, err error) { r.refuse.add(ctx, waybill.Reason(err)) }

// Observed counts a request or message that would be refused without ReportOnly.
func (r *Recorder) Observed(ctx context.Context, err error) { r.observe.add(ctx, waybill.Reason(err)) }

// Injected counts an outgoing call that carries a waybill, or the reason why it has none.
func (r *Recorder) Injected(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.inject.add(ctx, Sent)
	case err == waybill.ErrForeignDomain:
		r.inject.add(ctx, ForeignDomain)
	default:
		r.inject.add(ctx, waybill.Reason(err))
	}
}

// Suppressed counts an outgoing call whose waybill is not sent, and logs the first one of each
// destination.
func (r *Recorder) Suppressed(ctx context.Context, destination, why string) {
	r.inject.add(ctx, Suppressed)
	if r.first(destination) {
		r.logger.InfoContext(ctx, "waybill: not sent, the destination is not approved",
			"transport", r.transport, "destination", destination, "why", why)
	}
}

// first reports whether a destination is new, and so is to be logged.
func (r *Recorder) first(destination string) bool {
	if _, seen := r.logged.Load(destination); seen || r.count.Load() >= maxDestinations {
		return false
	}
	_, seen := r.logged.LoadOrStore(destination, struct{}{})
	if !seen {
		r.count.Add(1)
	}
	return !seen
}

// Oversized counts a message that went without its waybill, because it would exceed a limit of the
// server with it, and logs the first one of each destination.
func (r *Recorder) Oversized(ctx context.Context, destination string) {
	r.Injected(ctx, waybill.ErrTooLarge)
	if r.first("oversized " + destination) {
		r.logger.InfoContext(ctx, "waybill: not sent, the message would exceed the server's limit",
			"transport", r.transport, "destination", destination)
	}
}

// ReturnSuppressed counts an answer that goes without its returned token, and logs the first one of
// each destination.
func (r *Recorder) ReturnSuppressed(ctx context.Context, destination, why string) {
	r.returns.add(ctx, Suppressed)
	if r.first("return to " + destination) {
		r.logger.InfoContext(ctx, "waybill: changes not returned, the destination is not approved",
			"transport", r.transport, "destination", destination, "why", why)
	}
}

// Merged counts what [waybill.Call.Merge] did with a returned token.
func (r *Recorder) Merged(ctx context.Context, outcome waybill.Outcome, err error) {
	switch {
	case outcome == waybill.Unchanged:
	case errors.Is(err, waybill.ErrTooLate):
		r.Returned(ctx, TooLate)
	case errors.Is(err, waybill.ErrTooLarge):
		r.Returned(ctx, TooLarge)
	default:
		r.Returned(ctx, string(outcome))
		if err != nil && outcome != waybill.Rejected {
			r.Returned(ctx, Dropped)
		}
	}
}

// Returned counts a returned token, on the way out or on the way in.
func (r *Recorder) Returned(ctx context.Context, outcome string) { r.returns.add(ctx, outcome) }
