package waybillprop

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// New returns the propagator of one trust domain. It is safe for concurrent use. Metrics go to
// OpenTelemetry's global provider, with the transport "propagator". It returns an error if auth is nil.
func New(auth *waybill.Authority, opts ...Option) (propagation.TextMapPropagator, error) {
	if auth == nil {
		return nil, errors.New("waybillprop: no Authority: pass the one that waybill.New returned")
	}
	p := &propagator{auth: auth, rec: telemetry.New("propagator", nil, nil)}
	for _, o := range opts {
		o.apply(p)
	}
	return p, nil
}

type propagator struct {
	auth   *waybill.Authority
	rec    *telemetry.Recorder
	always bool
}

// Fields returns the names that Inject may write.
func (p *propagator) Fields() []string { return []string{waybill.Header} }

// Inject writes the waybill with [InsecureInjectAlways], and nothing without. It never reads the carrier,
// because some carriers cannot be read.
func (p *propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if !p.always {
		return
	}
	call, err := p.auth.Send(ctx)
	p.rec.Injected(ctx, err)
	if err == nil {
		write(carrier, call.Token())
	}
}

// Extract opens the token in the carrier. A waybill that the context inherited from another request or
// message is hidden, even if the carrier has no token. A request that one of the transports is handling
// keeps its waybill: the transport took the token out of the carrier.
func (p *propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	var source any
	if header, ok := carrier.(propagation.HeaderCarrier); ok {
		source = header
	}
	ctx, hop := p.auth.Extract(ctx, values(carrier), source)
	p.rec.Opened(ctx, hop)
	return ctx
}

// headerKey is the name as net/http spells it, which its carriers would compute for each call.
const headerKey = "Waybill"

func write(carrier propagation.TextMapCarrier, token string) {
	if header, ok := carrier.(propagation.HeaderCarrier); ok {
		header[headerKey] = []string{token}
		return
	}
	carrier.Set(waybill.Header, token)
}

// values returns all tokens in the carrier, because two tokens are invalid. A carrier that cannot list
// values returns one, and does not distinguish an empty token from an absent one.
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
