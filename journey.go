package waybill

import (
	"context"
	"errors"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
)

// ErrNotAtEdge is returned by [End] and [Begin] in a service that clients do not talk to: only an edge can
// end a client's journey or begin another.
var ErrNotAtEdge = errors.New("waybill: only a handler at an edge can end a journey or begin another: pass the context of its request, and return the decision from other services to the edge")

// End ends the journey of the client, as a logout does. The client forgets its tokens and keeps an empty
// journey, so that the answer to a slower request cannot bring the old one back. The context has the empty
// journey from now on. Copies of the tokens remain valid until they expire.
//
// The errors are [ErrNotAtEdge], [ErrNoKey], and [ErrTooLate] and [ErrCommitted] as for [Update].
func End(ctx context.Context) error {
	return instead(ctx, begunByEnd, nil)
}

// Begin begins another journey of the client, as a login does, with these claims and no others. Its "sid" is
// new, so a token that was planted before the login is useless. Claims that are [Claim.Fixed] can be set. At
// least one claim must be set.
//
// The errors are [ErrNotAtEdge], and the errors of [Update].
func Begin(ctx context.Context, changes ...Change) error {
	if len(changes) == 0 {
		return errors.New("waybill: Begin needs a claim: a journey without claims is over; use End to end one")
	}
	return instead(ctx, begunByBegin, changes)
}

// Began reports whether this request began the client's journey.
func Began(ctx context.Context) bool {
	s := scopeOf(ctx)
	if s == nil || s.visit == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visit.began
}

// instead replaces the client's journey.
func instead(ctx context.Context, kind int64, changes []Change) error {
	s := scopeOf(ctx)
	if s == nil || s.visit == nil {
		return ErrNotAtEdge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.visit
	if s.phase == committed {
		outlived()
	}
	if err := s.change(); err != nil {
		return err
	}
	if v.away {
		return s.err
	}
	empty, err := v.empty(v.next*kinds + kind)
	if err != nil {
		return err
	}
	if kind == begunByEnd {
		v.replace(empty, v.next > 0)
		s.base = empty
		s.set(empty)
		return nil
	}
	var e edits
	if err := e.apply(s.auth, nil, changes); err != nil {
		return err
	}
	return s.fill(empty, e, true)
}

// replace makes an empty journey the base of the request's changes.
func (v *visit) replace(empty *Waybill, due bool) {
	v.base, v.rev, v.upd = empty, 0, nil
	v.due, v.instead, v.began, v.current, v.out = due, true, false, nil, nil
}

// empty returns a new journey without claims.
func (v *visit) empty(rank int64) (*Waybill, error) {
	a := v.auth
	now := a.now()
	exp, ends := now.Add(a.life), v.at.Add(a.journey)
	if exp.After(ends) {
		exp = ends
	}
	var p jose.Builder
	p.Grow(160 + len(a.domain))
	p.Plain(jose.Aud, a.domain)
	p.Plain(jose.Sid, newSID(v.at))
	p.Seconds(jose.Iat, now.Unix())
	p.Seconds(jose.Exp, exp.Unix())
	p.Seconds(jose.End, ends.Unix())
	p.Number(jose.Rev, 0)
	if rank > 0 {
		p.Number(jose.Sup, rank)
	}
	return a.protect(a.issues, p.Payload(), exp, basRoom)
}

// fill sets the first claims of an empty journey. The caller holds mu.
func (s *scope) fill(empty *Waybill, e edits, due bool) error {
	v := s.visit
	old := *v
	v.replace(empty, due)
	w, err := s.version(empty, e, time.Time{})
	if err != nil {
		*v = old
		return err
	}
	if w == nil {
		w = empty
	}
	if err := v.fits(w); err != nil {
		*v = old
		return err
	}
	v.began = true
	s.base = w // an answer that failed keeps the first claims
	s.set(w)
	return nil
}

// Vacant reports whether the client has no journey, or an empty one, such as [End] leaves. An edge then
// begins a journey with [Authority.Start] or [Hop.Provide], or leaves the client without one.
func (h Hop) Vacant() bool {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.isVacant()
}

func (s *scope) isVacant() bool {
	cur := s.cur.Load()
	return cur == nil || s.visit != nil && cur == s.visit.base && s.visit.rev == 0
}

// Provide prepares an empty journey for a client without one. The client receives it only if a claim is set,
// or if it replaces a genuine token.
func (h Hop) Provide() error {
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.visit
	switch {
	case v == nil:
		return ErrNotAtEdge
	case v.away:
		return s.err
	case s.cur.Load() != nil:
		return nil
	}
	if err := s.closed(); err != nil {
		return err
	}
	empty, err := v.empty(v.next*kinds + begunByStart)
	if err != nil {
		return err
	}
	v.replace(empty, v.due)
	s.base = empty
	s.set(empty)
	return nil
}

// start begins the client's journey with the first claims. The caller holds mu.
func (v *visit) start(s *scope, changes []Change) error {
	if v.away {
		return s.err
	}
	if !s.isVacant() {
		return ErrStarted
	}
	var e edits
	if err := e.apply(s.auth, nil, changes); err != nil {
		return err
	}
	empty := s.cur.Load()
	if empty == nil {
		var err error
		if empty, err = v.empty(v.next*kinds + begunByStart); err != nil {
			return err
		}
	}
	return s.fill(empty, e, true)
}

// Forgotten returns why tokens that the client sent are not used, one error for each.
func (h Hop) Forgotten() []error {
	if h.s.visit == nil {
		return nil
	}
	return h.s.visit.forgotten
}

// ClockAhead reports whether a token of the client was issued by a clock that is ahead of this one by more
// than the leeway. The edge has renewed it.
func (h Hop) ClockAhead() bool { return h.s.visit != nil && h.s.visit.ahead }

// Returned returns the waybill that the last [Hop.Return], [Hop.FinalReturn] or [Hop.Commit] of an edge
// returned to the client, or nil.
func (h Hop) Returned() *Waybill {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.visit == nil {
		return nil
	}
	return h.s.visit.out
}
