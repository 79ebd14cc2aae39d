package waybill

import (
	"fmt"
	"slices"

	"github.com/waybill-go/waybill/internal/jose"
)

// The heads of a scope are the tokens that it returns verbatim. A hop that can issue has at most one, and
// only while it just forwards. A hop without a private key cannot merge the tokens that several calls
// returned, and keeps them all, in order, for the first caller that can.

// head makes w a head and the current waybill. It takes the place of old, unless a later head was made
// from old. The caller holds mu.
func (s *scope) head(w, old *Waybill) error {
	i := slices.Index(s.heads, old)
	if i >= 0 && slices.ContainsFunc(s.heads, func(h *Waybill) bool { return h.text(jose.Bas) == old.base() }) {
		i = -1
	}
	switch {
	case i >= 0:
		s.heads = slices.Delete(slices.Clone(s.heads), i, i+1)
	case len(s.heads) == maxReturns:
		return fmt.Errorf("%w: %d returned tokens already wait for a service that can merge them", ErrReadOnly, maxReturns)
	}
	heads := append(slices.Clip(s.heads), w)
	s.set(w)
	s.heads = heads
	return nil
}

// names reports whether a caller of this hop can tell what a token made from w is based on.
func (s *scope) names(w *Waybill) bool { return w == s.base || slices.Contains(s.heads, w) }

// headsOf returns the heads to return with a result. What a hop that failed cannot take out of a token
// stays here, and so does what was made from it.
func (s *scope) headsOf(r Result) []string {
	var tokens []string
	known := []string{s.base.base()}
	for _, w := range s.heads {
		if r == Failed && !s.sameOnSuccess(w) || !slices.Contains(known, w.text(jose.Bas)) {
			s.lose(fmt.Errorf("%w: a returned token has OnSuccess claims of a call that failed", ErrReadOnly))
			continue
		}
		known = append(known, w.base())
		tokens = append(tokens, w.Token())
	}
	return tokens
}

// sameOnSuccess reports whether w has the OnSuccess claims as they were received.
func (s *scope) sameOnSuccess(w *Waybill) bool {
	for name, def := range s.auth.declared {
		if def.onSuccess && !same(w.raw(name), s.base.raw(name)) {
			return false
		}
	}
	return true
}
