package waybill_test

import (
	"errors"
	"testing"

	"github.com/waybill-go/waybill"
)

func TestReasons(t *testing.T) {
	for _, test := range []struct {
		err    error
		reason string
		class  waybill.Class
	}{
		{nil, "ok", waybill.OK},
		{waybill.ErrNoWaybill, "absent", waybill.Unauthenticated},
		{waybill.ErrMalformed, "malformed", waybill.Invalid},
		{waybill.ErrAmbiguous, "ambiguous", waybill.Invalid},
		{waybill.ErrTooLarge, "too_large", waybill.TooLarge},
		{waybill.ErrAlgorithm, "algorithm", waybill.Unauthenticated},
		{waybill.ErrForged, "forged", waybill.Unauthenticated},
		{waybill.ErrUnknownKey, "unknown_key", waybill.Unauthenticated},
		{waybill.ErrRevokedKey, "revoked", waybill.Unauthenticated},
		{waybill.ErrProtection, "protection", waybill.Unauthenticated},
		{waybill.ErrAudience, "audience", waybill.Unauthenticated},
		{waybill.ErrExpired, "expired", waybill.Unauthenticated},
		{waybill.ErrNotYetValid, "not_yet_valid", waybill.Unauthenticated},
		{waybill.ErrLifetime, "lifetime", waybill.Unauthenticated},
		{waybill.ErrMissingClaim, "missing_claim", waybill.Denied},
		{waybill.ErrNoKey, "no_key", waybill.Unavailable},
		{errors.New("other"), "error", waybill.Unavailable},
		{waybill.ErrStale, "error", waybill.Unavailable},
	} {
		for _, err := range []error{test.err, wrapped(test.err)} {
			if got := waybill.Reason(err); got != test.reason {
				t.Errorf("Reason(%v): got %s, want %s", err, got, test.reason)
			}
			if got := waybill.ClassOf(err); got != test.class {
				t.Errorf("ClassOf(%v): got %d, want %d", err, got, test.class)
			}
		}
	}
	if errors.Is(waybill.ErrUnknownKey, waybill.ErrRevokedKey) || errors.Is(waybill.ErrForged, waybill.ErrUnknownKey) {
		t.Error("errors.Is does not tell two refusals apart")
	}
}
