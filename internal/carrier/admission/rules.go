// Package admission decides whether a server lets a request through to its handler. Every transport
// applies the same rules, and translates a refusal into its own status.
//
// Integration tests: internal/integration/carriers.
package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

// Rules are the admission rules of one server. The zero Rules admit a request without a waybill,
// and refuse one whose waybill is invalid.
type Rules struct {
	Required   bool     // refuse a request without a waybill
	ReportOnly bool     // refuse nothing, and count the requests that would be refused
	Claims     []string // names of required claims; implies Required
}

// Require adds required claims, for the option RequireClaims.
func (r *Rules) Require(claims []waybill.Declaration) error {
	if len(claims) == 0 {
		return errors.New("RequireClaims has no claims: name them, or use Required to require a waybill with any claims")
	}
	if slices.Contains(claims, nil) {
		return errors.New("RequireClaims has a nil claim: pass claims made with waybill.NewClaim")
	}
	for _, c := range claims {
		r.Claims = append(r.Claims, c.Name())
	}
	return nil
}

// Judge returns the reason to refuse the request of ctx, or nil.
func (r Rules) Judge(ctx context.Context) error {
	if r.ReportOnly {
		return nil
	}
	return r.lacks(ctx)
}

// Admit calls Judge and counts each refusal, including those that ReportOnly lets pass.
func (r Rules) Admit(ctx context.Context, rec *telemetry.Recorder) error {
	return r.Refuse(ctx, rec, r.lacks(ctx))
}

// Refuse counts the refusal err, if it is not nil. It returns err, or nil if ReportOnly is set.
func (r Rules) Refuse(ctx context.Context, rec *telemetry.Recorder, err error) error {
	switch {
	case err == nil:
		return nil
	case r.ReportOnly:
		rec.Observed(ctx, err)
		return nil
	}
	rec.Refused(ctx, err)
	return err
}

// lacks returns the reason why the waybill of ctx does not satisfy the rules, or nil.
func (r Rules) lacks(ctx context.Context) error {
	wb, err := waybill.FromContext(ctx)
	switch {
	case errors.Is(err, waybill.ErrNoWaybill):
		if r.Required || len(r.Claims) > 0 {
			return err
		}
		return nil
	case err != nil:
		return err
	}
	for _, name := range r.Claims {
		if !wb.Has(name) {
			return fmt.Errorf("%w: %s", waybill.ErrMissingClaim, name)
		}
	}
	return nil
}
