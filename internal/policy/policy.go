// Package policy decides whether a hop's outcome is good enough for its handler. Every transport asks it and translates
// the answer.
package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/waybill-go/waybill"
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
