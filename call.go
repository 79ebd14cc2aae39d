package waybill

import (
	"context"
	"time"
)

// Call is one outgoing call or message. It keeps the token that was sent, for all attempts.
// [Authority.Send] makes one; the zero Call is not valid.
type Call struct {
	s       *scope
	sent    *Waybill
	brought []brought // the returned tokens that were merged, in order
	at      time.Time
}

// Send pins the waybill in ctx for one outgoing call, after the carrier has approved its
// destination. It returns the reason why there is no waybill, [ErrForeignDomain] for a waybill of
// another Authority, or [ErrExpired] for a waybill that has expired since it was received, or is about
// to; see [Reissue].
func (a *Authority) Send(ctx context.Context) (*Call, error) {
	s := scopeOf(ctx)
	if s != nil && s.auth != a {
		return nil, ErrForeignDomain
	}
	w, err := FromContext(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	if !now.Before(w.Expires().Add(-sendMargin(w))) {
		return nil, ErrExpired
	}
	return &Call{s: s, sent: w, at: now}, nil
}

// sendMargin returns how long before its expiry a token is sent no more: it takes time to arrive, and
// the leeway belongs to the receiver, for clocks that differ.
func sendMargin(w *Waybill) time.Duration {
	return min(time.Second, w.Expires().Sub(w.Issued())/10)
}

// Unread records that the answer was abandoned before its end, where a returned token might have
// followed. [Lost] reports it to the handler.
func (c *Call) Unread() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.lose(ErrUnread)
}

// Token returns the token to send.
func (c *Call) Token() string { return c.sent.Token() }
