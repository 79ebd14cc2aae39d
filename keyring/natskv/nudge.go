package natskv

import (
	"context"

	"github.com/nats-io/nats.go"
)

// Nudges sends when the server reports a change of the ring, once after it has subscribed, and when
// the connection is back, because earlier reports are lost. Several changes may be one nudge. While
// Nudges is running, a lost connection ends the calls that wait for an answer from it.
func (s *Store) Nudges(ctx context.Context) <-chan struct{} {
	if !s.usable() {
		return nil
	}
	out := make(chan struct{}, 1)
	changed := make(chan struct{}, 1)
	sub, err := s.nc.Subscribe(s.nudges, func(*nats.Msg) { nudge(changed) })
	if err != nil {
		return nil // the connection is closed for good
	}
	go func() {
		if s.nc.FlushTimeout(patience) == nil { // the server has the subscription
			nudge(changed)
		}
	}()
	// One channel each: older clients take an event that still waits in a channel for the channel's
	// end.
	up, down := s.nc.StatusChanged(nats.CONNECTED), s.nc.StatusChanged(nats.RECONNECTING)
	go func() {
		defer close(out)
		defer sub.Unsubscribe()
		defer forget(s.nc, up)
		defer forget(s.nc, down)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				nudge(out)
			case <-down:
				s.lost()
			case <-up:
				select {
				case <-down:
					s.lost() // before somebody calls on the new connection
				default:
				}
				nudge(out)
			}
		}
	}()
	return out
}

// lost ends the calls under way.
func (s *Store) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut(errLost)
	s.link, s.cut = context.WithCancelCause(context.Background())
}

func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// forget ends a status channel where the client knows how to; older ones keep it, unread, as long
// as the connection.
func forget(nc *nats.Conn, status chan nats.Status) {
	if r, ok := any(nc).(interface{ RemoveStatusListener(chan nats.Status) }); ok {
		r.RemoveStatusListener(status)
	}
}
