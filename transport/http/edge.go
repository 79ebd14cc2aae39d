package waybillhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/waybill-go/waybill"
)

// begin starts or renews the journey of a client's request. What it returns an error for has no journey.
func (m *middleware) begin(r *http.Request, hop waybill.Hop) (context.Context, error) {
	ctx := r.Context()
	_, err := waybill.FromContext(ctx)
	if err == nil {
		m.renew(ctx, hop)
		return ctx, nil
	}
	if !startsAnew(err) {
		return ctx, nil // for the policy to judge
	}
	started, err := m.startJourney(ctx, r)
	if waybill.ClassOf(err) == waybill.Unavailable {
		m.logger.ErrorContext(ctx, "waybill: no journey begun", "error", err)
	}
	return started, err
}

func (m *middleware) startJourney(ctx context.Context, r *http.Request) (context.Context, error) {
	var changes []waybill.Change
	if m.start != nil {
		var err error
		if changes, err = m.start(r); err != nil {
			return ctx, err
		}
	}
	started, err := m.auth.Start(ctx, changes...)
	if err != nil && waybill.ClassOf(err) != waybill.Unavailable {
		// What start asked for cannot be issued. That is no fault of the client, so the error must not read as one.
		err = fmt.Errorf("waybillhttp: %v", err)
	}
	return started, err
}

// startsAnew reports whether a client's token counts as none: it was good once, or came from a ring that is gone.
func startsAnew(err error) bool {
	return errors.Is(err, waybill.ErrNoWaybill) ||
		errors.Is(err, waybill.ErrExpired) ||
		errors.Is(err, waybill.ErrUnknownKey)
}

// renew gives the client's waybill a new life if it is time. If that fails, the old one is still good for a while.
func (m *middleware) renew(ctx context.Context, hop waybill.Hop) {
	if err := hop.Renew(); err != nil {
		m.renewal.Do(func() { m.logger.ErrorContext(ctx, "waybill: not renewed", "error", err) })
	}
}
