package waybillprop

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/grant"
	"github.com/waybill-go/waybill/internal/taken"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// New returns the propagator of one trust domain. It is safe for concurrent use. Metrics go to OpenTelemetry's global
// provider, with the transport "propagator"; an Inject that writes nothing because nobody granted it counts as
// "waybill.withheld" and not as an outgoing call, which a transport of this module may be about to count. A nil Authority
// panics.
func New(auth *waybill.Authority, opts ...Option) propagation.TextMapPropagator {
	if auth == nil {
		panic("waybillprop: nil Authority")
	}
	p := &propagator{auth: auth, rec: telemetry.New("propagator", nil, nil), withheld: telemetry.Withheld(nil)}
	for _, o := range opts {
		o.apply(p)
	}
	return p
}

type propagator struct {
	auth     *waybill.Authority
	rec      *telemetry.Recorder
	withheld metric.Int64Counter
	always   bool
}

// Fields returns what Inject may write.
func (p *propagator) Fields() []string { return []string{waybill.Header} }

// Inject writes the waybill if that is granted. It never reads the carrier: some cannot be read.
func (p *propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	g := grant.From(ctx)
	if g == nil && !p.always {
		if _, err := waybill.FromContext(ctx); err == nil {
			p.withheld.Add(ctx, 1)
		}
		return
	}
	call, err := p.auth.Send(ctx)
	switch {
	case err != nil:
		p.rec.Injected(ctx, err)
	case !p.always && !g.Take():
		p.withheld.Add(ctx, 1)
	default:
		write(carrier, call.Token())
		p.rec.Injected(ctx, nil)
	}
}

// Extract opens what the carrier brought. A waybill that the context has already, of another request or message, is
// masked even if the carrier brings none.
func (p *propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	brought := values(carrier)
	header, ok := carrier.(propagation.HeaderCarrier)
	if ok && len(brought) == 0 {
		if _, ok := taken.From(ctx, p.auth, http.Header(header)); ok {
			return ctx // our middleware stands further out
		}
	}
	var hop waybill.Hop
	if ok {
		ctx, hop = p.auth.ReceiveFrom(ctx, brought, header)
	} else {
		ctx, hop = p.auth.Receive(ctx, brought)
	}
	p.rec.Opened(ctx, hop)
	return ctx
}

// headerKey is the name as net/http spells it. Its carriers would spell it out for each call.
const headerKey = "Waybill"

func write(carrier propagation.TextMapCarrier, token string) {
	if header, ok := carrier.(propagation.HeaderCarrier); ok {
		header[headerKey] = []string{token}
		return
	}
	carrier.Set(waybill.Header, token)
}

// values returns what the carrier holds, all of it if the carrier can tell: two tokens are none. A carrier that cannot
// does not tell an empty token from an absent one either.
func values(carrier propagation.TextMapCarrier) []string {
	switch c := carrier.(type) {
	case propagation.HeaderCarrier: // older versions lack the method below
		return c[headerKey]
	case interface{ Values(key string) []string }: // propagation.ValuesGetter
		return c.Values(waybill.Header)
	}
	if value := carrier.Get(waybill.Header); value != "" {
		return []string{value}
	}
	return nil
}
