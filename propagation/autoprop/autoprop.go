package waybillautoprop

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
)

// Name is the name of the propagator in OTEL_PROPAGATORS.
const Name = "waybill"

// registered is the propagator that programs get by its name. The registry panics on a duplicate name.
var registered late

func init() { autoprop.RegisterTextMapPropagator(Name, &registered) }

// Bind gives the propagator its Authority. Until then it does nothing: calls carry no waybill, and
// handlers find none. Bind may be called at any time, concurrently with traffic, and again with another
// Authority. It returns an error if auth is nil.
func Bind(auth *waybill.Authority) error {
	p, err := waybillprop.New(auth)
	if err != nil {
		return err
	}
	registered.bound.Store(&bound{p})
	return nil
}

// late is a propagator that is registered before it has an Authority.
type late struct{ bound atomic.Pointer[bound] }

type bound struct{ propagation.TextMapPropagator }

// Fields returns the names that the propagator reads.
func (l *late) Fields() []string { return []string{waybill.Header} }

// Inject writes nothing, as with [waybillprop.New] without options.
func (l *late) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if b := l.bound.Load(); b != nil {
		b.Inject(ctx, carrier)
	}
}

// Extract opens the token in the carrier, once bound.
func (l *late) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if b := l.bound.Load(); b != nil {
		return b.Extract(ctx, carrier)
	}
	return ctx
}
