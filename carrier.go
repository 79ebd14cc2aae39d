package waybill

import (
	"context"
	"fmt"
	"time"
)

// The names under which a waybill travels. HTTP and gRPC ignore the case of names, NATS does not.
const (
	Header       = "waybill"        // the token, with a request or message
	HeaderReturn = "waybill-update" // the returned token, with a response
)

// Result says how a request or call ended. It decides whether changes of [Claim.OnSuccess] claims
// travel back.
type Result uint8

// The results of a request or call.
const (
	Succeeded Result = iota
	Failed
)

// Receive opens the token of a request or message and begins its hop. The values are the raw values
// of [Header], of which there should be at most one. The outcome is in the returned context, for
// [FromContext], and in the hop. Receive never fails: the carrier's rules decide what an outcome
// means.
//
// The source identifies the request: a map or pointer that all layers handling it share and that no
// other request has, such as the map of its headers. It may be nil. If the context already holds
// the outcome of the same request, because a propagator or an outer layer opened it, that hop is
// used again; see [Hop.Outermost]. A waybill that the context inherited from another request is
// hidden.
func (a *Authority) Receive(ctx context.Context, values []string, source any) (context.Context, Hop) {
	came := newArrival(values, source)
	if s := scopeOf(ctx); s != nil && s.auth == a {
		if same, first := s.begin(&came); same {
			return ctx, Hop{s: s, outermost: first}
		}
	}
	s := newReceived(ctx, a, came)
	s.begun = true
	return s, Hop{s: s, fresh: true, outermost: true}
}

// ReceiveAt is [Authority.Receive] for a message from a queue. The token is judged at the time the
// queue's server stored the message. A time ahead of the clock by more than the leeway is refused
// with [ErrNotYetValid]. Each delivery is a new hop, which inherits nothing from ctx.
func (a *Authority) ReceiveAt(ctx context.Context, values []string, stored time.Time) (context.Context, Hop) {
	came := newArrival(values, nil)
	came.at = stored
	s := newReceived(Without(ctx), a, came)
	s.begun = true
	return s, Hop{s: s, fresh: true, outermost: true}
}

// Extract opens the token that a propagator found, and leaves the outcome in the returned context
// for [Authority.Receive]. It does not begin a hop.
//
// If a carrier has begun a hop in ctx that has not ended, and the propagator found no token or the
// one that the hop received, Extract returns ctx unchanged: the request is the same, and the
// carrier may have removed its token. Any other waybill in ctx is hidden, because it belongs to
// another request.
func (a *Authority) Extract(ctx context.Context, values []string, source any) (context.Context, Hop) {
	came := newArrival(values, source)
	if s := scopeOf(ctx); s != nil {
		has := s.underWay()
		same := s.auth == a && (has != nil && has.sameToken(&came) || s.is(&came))
		if same || has != nil && came.values == 0 {
			return ctx, Hop{s: s}
		}
	}
	s := newReceived(ctx, a, came)
	return s, Hop{s: s, fresh: true}
}

// open sets the scope to the outcome of its arrival.
func (s *scope) open() {
	a, came := s.auth, s.came
	switch {
	case came.values > 1:
		s.err = ErrAmbiguous
	case came.values == 0:
		s.err = ErrNoWaybill
	case came.raw == "":
		s.err = ErrMalformed // the header is present but empty
	case came.at.IsZero():
		s.base, s.err = a.Open(came.raw)
	case came.at.After(a.now().Add(a.leeway)):
		s.err = fmt.Errorf("%w: the message was stored ahead of the clock", ErrNotYetValid)
	default:
		s.base, s.err = a.OpenAt(came.raw, came.at)
	}
	s.cur.Store(s.base)
}
