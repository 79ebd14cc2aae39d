package waybillautoprop

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	waybillprop "github.com/waybill-go/waybill/propagation"
)

// Name is what OTEL_PROPAGATORS calls the propagator of waybills.
const Name = "waybill"

// registered is the propagator that programs get by its name. The registry panics if the name has been given away.
var registered late

func init() { autoprop.RegisterTextMapPropagator(Name, &registered) }

// Bind gives the propagator its Authority. Before, it does nothing: calls carry no waybill, and handlers find none. It may
// be called at any time, concurrently with traffic, and again, with another Authority. A nil Authority panics.
func Bind(auth *waybill.Authority) {
	registered.bound.Store(&bound{waybillprop.New(auth)})
}

// late is a propagator that is there before any key is.
type late struct{ bound atomic.Pointer[bound] }

type bound struct{ propagation.TextMapPropagator }

// Fields returns what Inject may write, once it is bound.
func (l *late) Fields() []string { return []string{waybill.Header} }

// Inject does what [waybillprop.New] says, once it is bound.
func (l *late) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if b := l.bound.Load(); b != nil {
		b.Inject(ctx, carrier)
	}
}

// Extract does what [waybillprop.New] says, once it is bound.
func (l *late) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	if b := l.bound.Load(); b != nil {
		return b.Extract(ctx, carrier)
	}
	return ctx
}
