// Package policy decides whether a hop's outcome is good enough for its handler. Every transport asks it and translates
// the answer.
package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/telemetry"
)

// Policy is what a route demands. The zero Policy lets a request without a waybill pass, and refuses an invalid one.
type Policy struct {
	Required bool     // refuse a request without a waybill
	Observe  bool     // refuse nothing
	Claims   []string // names of claims that must be there; implies Required
}

// Require adds claims that must be there.
func (p *Policy) Require(claims []waybill.Declaration) {
	for _, c := range claims {
		p.Claims = append(p.Claims, c.Name())
	}
}

// Judge returns the reason to refuse what is in ctx, or nil.
func (p Policy) Judge(ctx context.Context) error {
	if p.Observe {
		return nil
	}
	return p.lacks(ctx)
}

// Admit is Judge, counted: also what only observing lets pass.
func (p Policy) Admit(ctx context.Context, rec *telemetry.Recorder) error {
	return p.Refuse(ctx, rec, p.lacks(ctx))
}

// Refuse counts a refusal, unless err is nil. It returns err, or nil if nothing is to be refused.
func (p Policy) Refuse(ctx context.Context, rec *telemetry.Recorder, err error) error {
	switch {
	case err == nil:
		return nil
	case p.Observe:
		rec.Observed(ctx, err)
		return nil
	}
	rec.Refused(ctx, err)
	return err
}

// lacks returns what the waybill in ctx lacks.
func (p Policy) lacks(ctx context.Context) error {
	wb, err := waybill.FromContext(ctx)
	switch {
	case errors.Is(err, waybill.ErrNoWaybill):
		if p.Required || len(p.Claims) > 0 {
			return err
		}
		return nil
	case err != nil:
		return err
	}
	for _, name := range p.Claims {
		if !wb.Has(name) {
			return fmt.Errorf("%w: %s", waybill.ErrMissingClaim, name)
		}
	}
	return nil
}
