package waybill

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Ended is a genuine waybill that may be over: its signature, its trust domain and its key are good, and
// its times are not judged. Its claims can be read, with [Claim.Of], and carried over into another journey.
// It cannot be sent. A nil Ended has no claims.
type Ended struct {
	wb  *Waybill
	err error // why the waybill is not accepted, or nil
}

// OpenEnded opens a token that may no longer be valid: it may have expired, its journey may have ended, and
// its life or protection may no longer be accepted. Every other fault is refused as by [Authority.Open].
func (a *Authority) OpenEnded(token string) (*Ended, error) {
	e := new(Ended)
	if err := a.openEnded(e, token); err != nil {
		return nil, err
	}
	return e, nil
}

func (a *Authority) openEnded(e *Ended, token string) error {
	now := a.now()
	w, err := a.verify(token, now, true)
	if err != nil {
		return err
	}
	e.wb, e.err = w, a.judge(&w.body().claims, now.Unix())
	if !a.accepts[w.Protection()] {
		e.err = ErrProtection
	}
	return nil
}

// ID returns the "sid" of the journey.
func (e *Ended) ID() string { return e.waybill().ID() }

// Subject returns the "sub", if any.
func (e *Ended) Subject() string { return e.waybill().Subject() }

// Issued returns the "iat".
func (e *Ended) Issued() time.Time { return e.waybill().Issued() }

// Expires returns the "exp".
func (e *Ended) Expires() time.Time { return e.waybill().Expires() }

// Ends returns the "end".
func (e *Ended) Ends() time.Time { return e.waybill().Ends() }

// Err returns why the waybill is not accepted as a current one, or nil if it would be.
func (e *Ended) Err() error {
	if e == nil {
		return ErrNoWaybill
	}
	return e.err
}

func (e *Ended) waybill() *Waybill {
	if e == nil {
		return nil
	}
	return e.wb
}

func (e *Ended) raw(name string) []byte { return e.waybill().raw(name) }

// String describes the waybill without its token and claims.
func (e *Ended) String() string { return "ended " + e.waybill().String() }

// Format prints what [Ended.String] returns, whatever the verb.
func (e *Ended) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }

// LogValue describes the waybill in a structured log.
func (e *Ended) LogValue() slog.Value { return e.waybill().LogValue() }

// Previous returns the waybill of the client's journey that is over, and an error that says why; [Reason]
// names the error. The waybill is nil if it is not known to be genuine. Both are nil if the client's journey
// goes on, on a first visit, and outside of an edge. A function that begins journeys can carry over claims of
// the waybill, with [Claim.Of].
func Previous(ctx context.Context) (*Ended, error) {
	s := scopeOf(ctx)
	if s == nil || s.visit == nil {
		return nil, nil
	}
	return s.visit.previous, s.visit.why
}
