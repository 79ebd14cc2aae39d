package waybillnats

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/policy"
	"github.com/waybill-go/waybill/internal/telemetry"
	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// gate opens what messages bring, and judges it.
type gate struct {
	auth   *waybill.Authority
	policy policy.Policy
	rec    *telemetry.Recorder
}

func newGate(auth *waybill.Authority, opts []Option) *gate {
	c := newConfig(opts)
	return &gate{auth: auth, policy: c.policy, rec: c.recorder()}
}

// enter begins a hop and takes the waybill's headers out. It starts from the background, so that nothing of another
// message or of the subscriber's own request leaks into this one.
func (g *gate) enter(h nats.Header) (*wayBack, error) {
	ctx, hop := g.auth.Receive(context.Background(), header.Values(h, waybill.Header))
	hop.Begin()
	header.Remove(h, waybill.Header, waybill.HeaderUpdate)
	g.rec.Opened(ctx, hop)
	if err := g.policy.Admit(ctx, g.rec); err != nil {
		hop.Discard()
		return nil, err
	}
	return &wayBack{ctx: ctx, hop: hop, rec: g.rec}, nil
}
