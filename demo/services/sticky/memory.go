package sticky

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
)

// memory is a server's own sessions. They live as long as a waybill does, and no longer than the
// server.
type memory struct {
	mu   sync.Mutex
	all  map[string]session
	next time.Time // when those that were left are looked for
}

type session struct {
	state trip.State
	until time.Time
}

func newMemory() *memory { return &memory{all: map[string]session{}} }

// Load implements sessions.
func (m *memory) Load(_ context.Context, id string) (trip.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.all[id]
	if !ok || time.Now().After(s.until) {
		return nil, errUnknown
	}
	return maps.Clone(s.state), nil
}

// Save implements sessions.
func (m *memory) Save(_ context.Context, id string, s trip.State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.all[id] = session{s, now.Add(keys.Life)}
	if now.After(m.next) {
		maps.DeleteFunc(m.all, func(_ string, s session) bool { return now.After(s.until) })
		m.next = now.Add(keys.Life)
	}
	return nil
}

// empty returns when there are no sessions that are not over, or after a while.
func (m *memory) empty(within time.Duration) {
	for late := time.Now().Add(within); time.Now().Before(late); time.Sleep(20 * time.Millisecond) {
		if m.live() == 0 {
			return
		}
	}
}

// live counts the sessions that have no ticket yet.
func (m *memory) live() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.all {
		if s.state[trip.Ticket.Name()] == nil {
			n++
		}
	}
	return n
}
