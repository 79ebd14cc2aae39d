package watch

import (
	"context"
	"encoding/json"
	"time"

	"github.com/waybill-go/waybill/demo/internal/wait"
)

const presence = "demo.presence"

// pulse is the time between two signs of life.
const pulse = 500 * time.Millisecond

// Presence is a replica's sign of life.
type Presence struct {
	Replica string
	Life    string
	Keys    []string  // kids that it can open now
	At      time.Time `json:"-"` // when it came
}

// Pulse gives signs of life until ctx is done.
func (r *Reporter) Pulse(ctx context.Context) {
	for {
		data, err := json.Marshal(Presence{Replica: r.replica, Life: Life, Keys: r.keys()})
		if err != nil {
			panic(err) // plain data
		}
		r.nc.Publish(presence, data)
		if wait.For(ctx, pulse) != nil {
			return
		}
	}
}

func (r *Reporter) keys() []string {
	if r.ring == nil || r.ring.Set() == nil {
		return nil
	}
	var kids []string
	for _, k := range r.ring.Set().Keys() {
		kids = append(kids, k.ID())
	}
	return kids
}
