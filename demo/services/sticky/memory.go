package sticky

import (
	"context"
	"encoding/json"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
)

// memory is a server's own sessions, in the usual store of scs. They live as long as a waybill does,
// and no longer than the server.
type memory struct{ *memstore.MemStore }

// Load implements sessions.
func (m memory) Load(_ context.Context, id string) (s trip.State, err error) {
	data, ok, _ := m.Find(id) // the error is always nil
	if !ok {
		return nil, errUnknown
	}
	return s, json.Unmarshal(data, &s)
}

// Save implements sessions.
func (m memory) Save(_ context.Context, id string, s trip.State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return m.Commit(id, data, time.Now().Add(keys.Life))
}

// empty returns when there are no sessions that are not over, or after a while.
func (m memory) empty(within time.Duration) {
	for late := time.Now().Add(within); time.Now().Before(late); time.Sleep(20 * time.Millisecond) {
		if m.live() == 0 {
			return
		}
	}
}

// live counts the sessions that have no ticket yet.
func (m memory) live() (n int) {
	all, _ := m.All()
	for _, data := range all {
		var s trip.State
		if json.Unmarshal(data, &s) == nil && s[trip.Ticket.Name()] == nil {
			n++
		}
	}
	return n
}
