package telemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/waybill-go/waybill"
)

// The reasons of waybill.forget that [waybill.Hop.Forgotten] does not give, and one of
// waybill.refuse.
const (
	Overflow       = "overflow"      // more tokens than an edge opens
	IgnoredCarrier = "other_carrier" // in a carrier that does not count, because another one has tokens
	ClockAhead     = "clock_ahead"   // used and renewed, because its issuer's clock is ahead
	CrossOrigin    = "cross_origin"  // waybill.refuse: made by a page of another origin
)

// client reports what the clients of an edge bring.
type client struct {
	forget      counter
	tokens      metric.Int64Histogram
	bytes       metric.Int64Histogram
	carriedOpts []metric.RecordOption
}

// make makes the instruments.
func (c *client) make(m metric.Meter, transport attribute.KeyValue) {
	var err error
	c.forget.transport = transport
	if c.forget.Int64Counter, err = m.Int64Counter("waybill.forget", metric.WithDescription(
		"Tokens of an edge's clients that were not used, by reason; clock_ahead: used, and renewed at once.")); err != nil {
		otel.Handle(err)
	}
	if c.tokens, err = m.Int64Histogram("waybill.client.tokens", metric.WithDescription("Tokens in one request of an edge's client."),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 192)); err != nil {
		otel.Handle(err)
	}
	if c.bytes, err = m.Int64Histogram("waybill.client.size", metric.WithUnit("By"),
		metric.WithDescription("Size of all tokens in one request of an edge's client."),
		metric.WithExplicitBucketBoundaries(512, 1024, 2048, 4096, 6144, 8192, 32768, 98304)); err != nil {
		otel.Handle(err)
	}
	c.carriedOpts = []metric.RecordOption{metric.WithAttributes(transport)}
}

// Carried records how many tokens a client's request has, and their size.
func (r *Recorder) Carried(ctx context.Context, tokens, bytes int) {
	r.client.tokens.Record(ctx, int64(tokens), r.client.carriedOpts...)
	r.client.bytes.Record(ctx, int64(bytes), r.client.carriedOpts...)
}

// Forgot counts the tokens of a client that were not used.
func (r *Recorder) Forgot(ctx context.Context, why []error) {
	for i := 0; i < len(why); {
		reason, n := waybill.Reason(why[i]), 0
		for ; i < len(why) && waybill.Reason(why[i]) == reason; i++ {
			n++
		}
		r.ForgotSome(ctx, reason, n)
	}
}

// ForgotSome counts n tokens of a client that were not used. It counts nothing if n is not
// positive.
func (r *Recorder) ForgotSome(ctx context.Context, reason string, n int) {
	if n > 0 {
		r.client.forget.addN(ctx, reason, int64(n))
	}
}

// RefusedAs counts a refused request whose reason is not one of package waybill's.
func (r *Recorder) RefusedAs(ctx context.Context, reason string) { r.refuse.add(ctx, reason) }

// ObservedAs is [Recorder.RefusedAs] for a request that passed because of ReportOnly.
func (r *Recorder) ObservedAs(ctx context.Context, reason string) { r.observe.add(ctx, reason) }
