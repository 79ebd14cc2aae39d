package waybillhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/waybill-go/waybill"
)

// Edge is the server side of the service that clients talk to. It does what a [Server] does, and
// also begins and renews journeys. It is safe for concurrent use, and one Edge can wrap any number
// of handlers. [NewEdge] makes one; the zero Edge refuses every request with status 503.
//
// A request begins a new journey if it has no waybill, or if its waybill has expired or has an
// unknown key. The new waybill is in the handler's context, and goes back with the response. A
// valid waybill is renewed when less than half of its life is left, within the absolute end of its
// journey. A request with any other waybill, such as a forged one, is refused. So is a request
// whose key is unknown to a ring that has not been confirmed recently: the key may be new, and the
// status is 503.
//
// An Edge handles a request from a [Transport] as a [Server] does. It neither begins nor renews a
// journey, because the service that sent the request keeps its own waybill.
type Edge struct {
	middleware
	start   func(*http.Request) ([]waybill.Change, error) // nil: journeys without claims
	renewal sync.Once                                     // logs the first failure: all fail for the same reason
}

// NewEdge returns the edge of the Authority's trust domain. The error wraps [waybill.ErrReadOnly] if
// the Authority cannot issue waybills.
func NewEdge(auth *waybill.Authority, opts ...EdgeOption) (*Edge, error) {
	common, err := newCommon(auth)
	if err != nil {
		return nil, err
	}
	if !auth.CanIssue() {
		return nil, fmt.Errorf("waybillhttp: an edge must issue waybills: %w; "+
			"give its ring a private key, or use NewServer", waybill.ErrReadOnly)
	}
	e := &Edge{middleware: newMiddleware(common)}
	e.edge = e
	for _, o := range opts {
		if err := o.applyEdge(e); err != nil {
			return nil, err
		}
	}
	e.record()
	return e, nil
}

// Middleware returns a handler that opens the waybill of each request, begins or renews its
// journey, applies the edge's rules, calls next, and sends back what changed.
func (e *Edge) Middleware(next http.Handler) http.Handler { return e.around(next, "NewEdge") }

// begin begins or renews the journey of a client's request. If it returns an error, the request has
// no journey.
func (e *Edge) begin(r *http.Request, hop waybill.Hop) error {
	ctx := r.Context()
	_, err := waybill.FromContext(ctx)
	if err == nil {
		e.renew(ctx, hop)
		return nil
	}
	if !startsAnew(err) {
		return nil // the rules refuse it
	}
	err = e.startJourney(ctx, r)
	if waybill.ClassOf(err) == waybill.Unavailable {
		e.logger.ErrorContext(ctx, "waybill: no journey begun", "error", err)
	}
	return err
}

// startJourney begins a journey in the hop of ctx.
func (e *Edge) startJourney(ctx context.Context, r *http.Request) error {
	var changes []waybill.Change
	if e.start != nil {
		var err error
		if changes, err = e.start(r); err != nil {
			return err
		}
	}
	_, err := e.auth.Start(ctx, changes...)
	if err != nil && waybill.ClassOf(err) != waybill.Unavailable {
		// The claims cannot be issued. The client is not at fault, so the error must not be one of its
		// class.
		err = fmt.Errorf("waybillhttp: %v", err)
	}
	return err
}

// startsAnew reports whether a client's token counts as absent: it was valid once, or its ring is
// gone. If the ring has not been confirmed recently, the token may be good, and does not count as
// absent.
func startsAnew(err error) bool {
	return errors.Is(err, waybill.ErrNoWaybill) ||
		errors.Is(err, waybill.ErrExpired) ||
		errors.Is(err, waybill.ErrUnknownKey) && waybill.ClassOf(err) != waybill.Unavailable
}

// renew gives the client's waybill a new life if it is due. If that fails, the old waybill remains
// valid for a while.
func (e *Edge) renew(ctx context.Context, hop waybill.Hop) {
	if _, err := waybill.FromContext(ctx); err != nil {
		return // with ReportOnly, a request without a waybill is let through
	}
	if err := hop.Renew(false); err != nil {
		e.renewal.Do(func() { e.logger.ErrorContext(ctx, "waybill: not renewed", "error", err) })
	}
}
