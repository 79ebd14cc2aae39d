package waybill

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// What a carrier needs, and all that the transports of this module use: [Authority.Receive] on the way in, [Send] and
// [Call.Return] for a call, [Hop.Commit] on the way back.

// The names under which a waybill travels. HTTP and gRPC do not tell cases apart, NATS does.
const (
	Header       = "waybill"        // the token, on the way in
	HeaderUpdate = "waybill-update" // the changed token, on the way back
)

// Hop is one request or message being handled. Its zero value is of no use; [Authority.Receive] makes one.
type Hop struct {
	s     *scope
	fresh bool
}

// Receive opens what a request or message brought: the raw values of [Header], of which there should be at most one. The
// outcome is in the context, for [FromContext], and in the hop. It never fails: policies decide what an outcome means.
//
// A hop is opened once: if the context holds the outcome of the very same bytes, which a propagator for instance has left
// there, it is used again as long as nobody has begun the hop. Any other waybill in the context, inherited from a
// background or shared one, is masked. See [Authority.ReceiveFrom] for a carrier that several layers look at.
func (a *Authority) Receive(ctx context.Context, values []string) (context.Context, Hop) {
	return a.receive(ctx, values, arrival{})
}

// ReceiveFrom is [Authority.Receive] for a carrier that all layers of one request share and no two requests do, such as
// the map of its headers: source is that map, or a pointer. The outcome in the context is used again if it came from the
// same source, also after the hop was begun, and never if it did not.
func (a *Authority) ReceiveFrom(ctx context.Context, values []string, source any) (context.Context, Hop) {
	return a.receive(ctx, values, arrival{source: source})
}

// ReceiveAt is [Authority.Receive] for a message that waited in a queue: it is judged as of the time at which the queue's
// server stored it. A time ahead of the clock by more than the leeway is refused with [ErrNotYetValid].
func (a *Authority) ReceiveAt(ctx context.Context, values []string, stored time.Time) (context.Context, Hop) {
	return a.receive(Without(ctx), values, arrival{at: stored})
}

func (a *Authority) receive(ctx context.Context, values []string, came arrival) (context.Context, Hop) {
	came.values = len(values)
	if len(values) > 0 {
		came.raw = values[0]
	}
	if s := scopeOf(ctx); s != nil && s.auth == a && s.received(came) {
		return ctx, Hop{s: s}
	}
	s := newReceived(ctx, a, came)
	switch {
	case len(values) > 1:
		s.err = ErrAmbiguous
	case len(values) == 0:
		s.err = ErrNoWaybill
	case came.raw == "":
		s.err = ErrMalformed // a header that is there, and empty
	case came.at.IsZero():
		s.base, s.err = a.Open(came.raw)
	case came.at.After(a.now().Add(a.leeway)):
		s.err = fmt.Errorf("%w: the message is stored ahead of the clock", ErrNotYetValid)
	default:
		s.base, s.err = a.OpenAt(came.raw, came.at)
	}
	s.cur.Store(s.base)
	return s, Hop{s: s, fresh: true}
}

// Err returns the reason for which the hop came without a waybill, or nil.
func (h Hop) Err() error { return h.s.err }

// Fresh reports whether this call of Receive opened the token, so that each is counted once however much is nested.
func (h Hop) Fresh() bool { return h.fresh }

// Traced returns the names and values of the claims that the Authority's [Traced] allows in traces, of the waybill as it
// stands now.
func (h Hop) Traced() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		wb := h.s.cur.Load()
		for _, name := range h.s.auth.traced {
			if wb.Has(name) && !yield(name, traceable(wb.raw(name))) {
				return
			}
		}
	}
}

// traceable is a string, or else the JSON that stands in the token.
func traceable(raw []byte) string {
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// Begin claims the hop: the first caller answers for it, and is the one to commit.
func (h Hop) Begin() bool { return h.s.begun.CompareAndSwap(false, true) }

// Renew gives the waybill a new life if less than half of its own is left, within the absolute end of the journey. The edge
// does so; services behind it never do.
func (h Hop) Renew() error {
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.cur.Load()
	if w == nil {
		return s.err
	}
	now := s.auth.now()
	if w.Expires().Sub(now) >= s.auth.life/2 || !w.Expires().Before(w.Ends()) || !now.Before(w.Ends()) {
		return nil
	}
	next, err := s.version(w, nil, now)
	if err != nil {
		return err
	}
	s.cur.Store(next)
	return nil
}

// Update returns the update to send back as things stand, or "" if nothing has changed since the last time. A hop that
// failed does not send the changes of OnSuccess claims.
func (h Hop) Update(failed bool) string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.update(failed)
}

// Freeze ends the way back before the response has left: later changes get [ErrTooLate].
func (h Hop) Freeze() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.s.phase = max(h.s.phase, late)
}

// Last is [Hop.Update] and [Hop.Freeze] in one step, so that no change slips in between: for a carrier that has no later
// chance.
func (h Hop) Last(failed bool) string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	update := h.s.update(failed)
	h.s.phase = max(h.s.phase, late)
	return update
}

// Missed returns how many changes the handler got [ErrTooLate] for: for a carrier to count them when the hop has ended.
func (h Hop) Missed() int {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.missed
}

// Commit is [Hop.Update], and the end of the hop: later changes get [ErrCommitted].
func (h Hop) Commit(failed bool) string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	update := h.s.update(failed)
	h.s.phase = committed
	return update
}

// Discard ends the hop without an update: its handler panicked.
func (h Hop) Discard() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.s.phase = committed
}

// update returns the token to send back. The caller holds mu.
func (s *scope) update(failed bool) string {
	cur := s.cur.Load()
	now := emission{cur, failed}
	if cur == s.base || s.phase != open || now == s.emitted {
		return ""
	}
	if failed {
		cur = s.withoutOnSuccess(cur)
	}
	if cur == nil || cur == s.base {
		return ""
	}
	s.emitted = now
	return cur.Token()
}

// withoutOnSuccess returns cur with the OnSuccess claims as they were received. If that cannot be issued, nothing is sent.
func (s *scope) withoutOnSuccess(cur *Waybill) *Waybill {
	if s.base == nil {
		return cur // a new journey: there is nothing to go back to
	}
	var e edits
	for name, def := range s.auth.declared {
		if def.onSuccess {
			e.set(name, s.base.raw(name))
		}
	}
	next, err := s.version(cur, e, time.Time{})
	switch {
	case err != nil:
		s.lose(err)
		return nil
	case next == nil:
		return cur
	case s.emitted.of == nil && sameClaims(next, s.base) && next.Expires().Equal(s.base.Expires()):
		return s.base
	}
	return next
}

// Call is one outgoing call or message. It keeps the token that was put on the wire, over all attempts.
type Call struct {
	s    *scope
	sent *Waybill
	last brought // what the next update is compared with: what was sent, or the update before
	at   time.Time
}

// Send pins the waybill in ctx for one outgoing call, whose destination the carrier has approved. It fails with the reason
// for which there is no waybill, and with [ErrExpired] if it has expired, so that the caller learns it here: [Reissue]
// helps in the handler of a durable message.
func Send(ctx context.Context) (*Call, error) {
	w, err := FromContext(ctx)
	if err != nil {
		return nil, err
	}
	s := scopeOf(ctx)
	now := s.auth.now()
	if !now.Before(w.Expires().Add(s.auth.leeway)) {
		return nil, ErrExpired
	}
	return &Call{s: s, sent: w, last: brought{wb: w}, at: now}, nil
}

// Send is the function [Send] for a carrier that belongs to an Authority: it gives [ErrForeignDomain] for a waybill of
// another one.
func (a *Authority) Send(ctx context.Context) (*Call, error) {
	if s := scopeOf(ctx); s != nil && s.auth != a {
		return nil, ErrForeignDomain
	}
	return Send(ctx)
}

// Token returns the token to put on the wire.
func (c *Call) Token() string { return c.sent.Token() }
