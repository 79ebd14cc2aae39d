package waybill

import (
	"errors"
	"fmt"

	"github.com/waybill-go/waybill/internal/jose"
)

// Class is what a refusal means to the peer. Each transport translates it into a status.
type Class uint8

// The classes of refusal, with their HTTP status.
const (
	OK              Class = iota
	Unauthenticated       // 401: present a fresh waybill
	Denied                // 403: the waybill is good, but lacks something
	Invalid               // 400: the request does not carry exactly one well-formed waybill
	TooLarge              // 431
	Unavailable           // 503: this side is at fault; try again
)

// refusal is a reason why a token was not accepted.
type refusal struct {
	reason string
	class  Class
	text   string
}

func (r *refusal) Error() string { return "waybill: " + r.text }

// The reasons why there is no waybill. Test for them with [errors.Is]. [Reason] returns the stable
// name that peers see.
var (
	ErrNoWaybill    error = &refusal{"absent", Unauthenticated, "no waybill in this context; an edge, or Authority.Start, begins a journey"}
	ErrMalformed    error = &refusal{"malformed", Invalid, "malformed token"}
	ErrAmbiguous    error = &refusal{"ambiguous", Invalid, "more than one token"}
	ErrTooLarge     error = &refusal{"too_large", TooLarge, "token too large"}
	ErrAlgorithm    error = &refusal{"algorithm", Unauthenticated, "algorithm not accepted"}
	ErrForged       error = &refusal{"forged", Unauthenticated, "signature or tag does not match"}
	ErrUnknownKey   error = &refusal{"unknown_key", Unauthenticated, "key not in the ring"}
	ErrRevokedKey   error = &refusal{"revoked", Unauthenticated, "key revoked"}
	ErrProtection   error = &refusal{"protection", Unauthenticated, "protection not accepted here"}
	ErrAudience     error = &refusal{"audience", Unauthenticated, "token belongs to another trust domain"}
	ErrExpired      error = &refusal{"expired", Unauthenticated, "token expired"}
	ErrNotYetValid  error = &refusal{"not_yet_valid", Unauthenticated, "token not valid yet"}
	ErrLifetime     error = &refusal{"lifetime", Unauthenticated, "token lifetime exceeds the limit"}
	ErrMissingClaim error = &refusal{"missing_claim", Denied, "required claim missing"}
	ErrNoKey        error = &refusal{"no_key", Unavailable, "no key"}

	// If the ring has not been confirmed recently, an unknown key may be a new key: the peer should
	// try again.
	errUnknownKeyYet error = &refusal{"unknown_key", Unavailable, "key not in the ring yet: the ring was not confirmed recently, or its file may still be on its way"}
)

// Is reports both forms of an unknown key as [ErrUnknownKey].
func (r *refusal) Is(target error) bool { return r == errUnknownKeyYet && target == ErrUnknownKey }

// Errors caused by the handler: misuse, or a change made too late. They are never sent to a peer.
var (
	ErrReadOnly      = errors.New("waybill: this node has no private key: it can read and forward waybills, but not change them")
	ErrCommitted     = errors.New("waybill: the response has been sent, so a change would be lost; use Detach for background work")
	ErrTooLate       = errors.New("waybill: the response headers have been sent and no trailer was negotiated; change claims before the first byte")
	ErrFixed         = errors.New("waybill: claim is fixed for the journey")
	ErrUndeclared    = errors.New("waybill: claim not declared to the Authority; pass it to waybill.Claims")
	ErrNoClaim       = errors.New("waybill: no such claim")
	ErrClaimType     = errors.New("waybill: claim value does not have the declared type")
	ErrStarted       = errors.New("waybill: this context is already on a journey")
	ErrForeignDomain = errors.New("waybill: the context's waybill belongs to another Authority")
)

// The reasons why a returned token was rejected. See [Lost].
var (
	ErrStale       = errors.New("waybill: returned token does not match the token this call sent")
	ErrRegistered  = errors.New("waybill: returned token changes registered claims")
	ErrNotAccepted = errors.New("waybill: returned token changes claims that this call does not accept")
	ErrMerge       = errors.New("waybill: merge rule failed")
	ErrUnread      = errors.New("waybill: the response was closed before its end, where a returned token might have followed")
)

// Reason returns the stable name of a refusal, for peers and metrics: "expired", "unknown_key" and
// so on, "ok" for nil, and "error" for any other error.
func Reason(err error) string {
	if err == nil {
		return "ok"
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.reason
	}
	return "error"
}

// ClassOf returns the class of a refusal, [OK] for nil, and [Unavailable] for any other error.
func ClassOf(err error) Class {
	if err == nil {
		return OK
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.class
	}
	return Unavailable
}

// translate returns the refusal for an error of the codec, with the codec's text as detail.
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
