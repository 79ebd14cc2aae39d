package waybill

import (
	"context"

	"github.com/waybill-go/waybill/internal/grant"
)

// Grant returns a context in which the OpenTelemetry propagator of package waybillprop may write the waybill once. The
// propagator sees no destination, so it writes nothing of its own accord: a carrier of one's own that goes through it
// grants each call, after it has approved where the call goes.
//
//	propagator.Inject(waybill.Grant(ctx), carrier)
//
// The grant is good for exactly one Inject: a redirect or a retry with the same context writes nothing. The transports of
// this module need none, and neither does a carrier that uses [Send].
func Grant(ctx context.Context) context.Context { return grant.NewContext(ctx) }
