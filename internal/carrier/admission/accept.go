package admission

import (
	"errors"
	"slices"

	"github.com/waybill-go/waybill"
)

// Accept returns what Call.Merge needs to accept changes of these claims only, for the option
// OnlyAccept. Without claims no changes are accepted.
func Accept(claims []waybill.Declaration) ([]waybill.MergeOption, error) {
	if slices.Contains(claims, nil) {
		return nil, errors.New("OnlyAccept has a nil claim: pass claims made with waybill.NewClaim")
	}
	return []waybill.MergeOption{waybill.OnlyClaims(claims...)}, nil
}
