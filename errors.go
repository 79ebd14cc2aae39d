package waybill

import (
	"errors"
	"fmt"

	"github.com/waybill-go/waybill/internal/jose"
)

// Class is what a refusal means to the peer. Transports translate it into a status of their own.
type Class uint8

// The classes of refusal, with the HTTP status that stands for each.
const (
	OK              Class = iota
	Unauthenticated       // 401: present a fresh waybill
	Denied                // 403: the waybill is good, but lacks something
	Invalid               // 400: what was sent is not one waybill
	TooLarge              // 431
	Unavailable           // 503: the fault is here; try again
)

// refusal is a reason for which a token was not accepted.
type refusal struct {
	reason string
	class  Class
	text   string
}

func (r *refusal) Error() string { return "waybill: " + r.text }

// The reasons for which there is no waybill. Test for them with [errors.Is]; [Reason] gives the stable name that peers see.
var (
	ErrNoWaybill    error = &refusal{"absent", Unauthenticated, "no waybill in this context"}
	ErrMalformed    error = &refusal{"malformed", Invalid, "malformed token"}
	ErrAmbiguous    error = &refusal{"ambiguous", Invalid, "more than one token"}
	ErrTooLarge     error = &refusal{"too_large", TooLarge, "token too large"}
	ErrAlgorithm    error = &refusal{"algorithm", Unauthenticated, "algorithm not accepted"}
	ErrForged       error = &refusal{"forged", Unauthenticated, "signature or tag does not match"}
	ErrUnknownKey   error = &refusal{"unknown_key", Unauthenticated, "key not in the ring"}
	ErrRevokedKey   error = &refusal{"revoked", Unauthenticated, "key revoked"}
	ErrProtection   error = &refusal{"protection", Unauthenticated, "protection not accepted here"}
	ErrAudience     error = &refusal{"audience", Unauthenticated, "token of another trust domain"}
	ErrExpired      error = &refusal{"expired", Unauthenticated, "token expired"}
	ErrNotYetValid  error = &refusal{"not_yet_valid", Unauthenticated, "token not valid yet"}
	ErrLifetime     error = &refusal{"lifetime", Unauthenticated, "token lives longer than accepted"}
	ErrMissingClaim error = &refusal{"missing_claim", Denied, "required claim missing"}
	ErrNoKey        error = &refusal{"no_key", Unavailable, "no key"}

	// An unknown key while the ring is out of touch may be a new one: the peer should try again.
	errUnknownKeyYet error = &refusal{"unknown_key", Unavailable, "key not in the ring, and the ring is not freshly confirmed"}
)

// Is lets both forms of an unknown key be found as [ErrUnknownKey].
func (r *refusal) Is(target error) bool { return r == errUnknownKeyYet && target == ErrUnknownKey }

// What a handler may do wrong, or too late. These never cross the wire.
var (
	ErrReadOnly      = errors.New("waybill: this node has no key to issue with, it can read and forward only")
	ErrCommitted     = errors.New("waybill: the response has left, a change would be lost; use Detach for background work")
	ErrTooLate       = errors.New("waybill: the response headers have left and no trailer was negotiated; change claims before the first byte")
	ErrFixed         = errors.New("waybill: claim is fixed for the journey")
	ErrUndeclared    = errors.New("waybill: claim not declared to the Authority; pass it to waybill.Claims")
	ErrNoClaim       = errors.New("waybill: no such claim")
	ErrClaimType     = errors.New("waybill: claim does not have its declared type")
	ErrStarted       = errors.New("waybill: this context is already on a journey")
	ErrForeignDomain = errors.New("waybill: the context's waybill belongs to another Authority")
)

// Why an update that came back was not taken. See [Lost].
var (
	ErrStale       = errors.New("waybill: update is not of the token that this call sent")
	ErrRegistered  = errors.New("waybill: update changes registered claims")
	ErrNotAccepted = errors.New("waybill: update changes claims that are not accepted from there")
	ErrMerge       = errors.New("waybill: merge rule failed")
)

// Reason returns the stable name of a refusal, for peers and metrics: "expired", "unknown_key" and so on, "ok" for nil,
// and "error" for an error that is none of this package's refusals.
func Reason(err error) string {
	if err == nil {
		return "ok"
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.reason
	}
	return "error"
}

// ClassOf returns the class of a refusal, and [Unavailable] for an error that is none of this package's.
func ClassOf(err error) Class {
	if err == nil {
		return OK
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.class
	}
	return Unavailable
}

// translate gives an error of the codec its reason; the codec's text stays as detail.
func translate(err error) error {
	e, ok := errors.AsType[*jose.Error](err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch e.Kind {
	case jose.Algorithm:
		return fmt.Errorf("%w: %w", ErrAlgorithm, e)
	case jose.Forged:
		return ErrForged
	case jose.Audience:
		return fmt.Errorf("%w: %w", ErrAudience, e)
	default:
		return fmt.Errorf("%w: %w", ErrMalformed, e)
	}
}
