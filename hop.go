package waybill

import (
	"encoding/json"
	"iter"
	"time"
)

// Hop is one request or message being handled. [Authority.Receive] makes one; the zero Hop is not
// valid. It is safe for concurrent use.
type Hop struct {
	s         *scope
	fresh     bool
	outermost bool
}

// Err returns the reason why the hop has no waybill, as it was when the request came, or nil.
func (h Hop) Err() error { return h.s.err }

// Fresh reports whether this Receive or Extract opened the token. A token is opened once, however
// many layers are nested, so metrics count fresh hops only.
func (h Hop) Fresh() bool { return h.fresh }

// Outermost reports whether this [Authority.Receive] began the hop. Only the outermost layer sends
// back changes and ends the hop, with [Hop.Commit] or [Hop.Discard].
func (h Hop) Outermost() bool { return h.outermost }

// Stripped records that the carrier removed the token, and that inner layers will see source: the
// copied header map, or the source that was passed to Receive. A Receive with that source and no
// values continues this hop.
func (h Hop) Stripped(source any) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.came != nil {
		h.s.came.stripped = source
	}
}

// Traced returns the names and values of those claims of the current waybill that the Authority's
// [Traced] option allows in traces.
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

// traceable returns the value of a JSON string, and any other JSON as it is.
func traceable(raw []byte) string {
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return string(raw)
	}
	return text
}

// Renew issues the waybill again with a new life if less than half of its life is left, or always, never
// beyond the absolute end of the journey. Only the edge renews.
func (h Hop) Renew(always bool) error {
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.cur.Load()
	if w == nil {
		return s.err
	}
	now := s.auth.now()
	if !always && w.Expires().Sub(now) >= s.auth.life/2 || !w.Expires().Before(w.Ends()) || !now.Before(w.Ends()) {
		return nil
	}
	next, err := s.version(w, nil, now)
	if err != nil {
		return err
	}
	s.set(next)
	if s.visit != nil && s.visit.rev > 0 {
		s.visit.due = true
	}
	return nil
}

// Return returns the token to send back now, or none if nothing has changed since the last time. A hop
// that [Failed] does not send back changes of [Claim.OnSuccess] claims. A hop without a private key may
// return up to four tokens, which [Call.Merge] accepts in the same order.
func (h Hop) Return(r Result) []string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.returned(r)
}

// FinalReturn is [Hop.Return] for a carrier that cannot send another token later: in the same step
// it makes later changes fail with [ErrTooLate], so that no change is lost in between.
func (h Hop) FinalReturn(r Result) []string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	tokens := h.s.returned(r)
	h.s.phase = max(h.s.phase, late)
	return tokens
}

// Missed returns how many changes failed with [ErrTooLate]. The carrier counts them when the hop
// has ended.
func (h Hop) Missed() int {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.s.missed
}

// Commit is [Hop.Return] at the end of the hop: later changes fail with [ErrCommitted], and the
// context shows no waybill.
func (h Hop) Commit(r Result) []string {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	tokens := h.s.returned(r)
	h.s.end()
	return tokens
}

// Discard ends the hop and sends nothing back, because its handler panicked or did not run.
func (h Hop) Discard() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.s.end()
}

// returned returns the tokens to send back. The caller holds mu.
func (s *scope) returned(r Result) []string {
	if s.visit != nil {
		return s.answered(r)
	}
	cur := s.cur.Load()
	now := emission{cur, r}
	if cur == s.base || s.phase != live || now == s.emitted {
		return nil
	}
	if len(s.heads) > 0 && s.auth.readOnly(cur) {
		tokens := s.headsOf(r)
		if tokens != nil {
			s.emitted = now
		}
		return tokens
	}
	if r == Failed {
		cur = s.withoutOnSuccess(cur)
	}
	if cur == nil || cur == s.base {
		return nil
	}
	s.emitted = now
	return []string{cur.Token()}
}

// withoutOnSuccess returns cur with the OnSuccess claims as they were received, or nil if that
// cannot be issued.
func (s *scope) withoutOnSuccess(cur *Waybill) *Waybill {
	if s.base == nil {
		return cur // a new journey has no received values to go back to
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
