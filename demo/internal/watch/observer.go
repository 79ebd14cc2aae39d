package watch

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// remembered is how many traces' hops are kept: the latest.
const remembered = 256

// Observer receives the reports of all processes.
type Observer struct {
	nc     *nats.Conn
	fences atomic.Uint64

	mu       sync.Mutex
	changed  chan struct{}              // closed and replaced at each report
	inFlight map[string]map[uint64]bool // by life, serial
	lives    map[string]string          // of the replicas, the latest
	traces   map[string][]Hop
	order    []string // of the traces, the oldest first
	handled  map[string]int
	opened   map[string]int
	present  map[string]Presence
}

// NewObserver subscribes to the reports.
func NewObserver(nc *nats.Conn) (*Observer, error) {
	o := &Observer{
		nc: nc, changed: make(chan struct{}),
		inFlight: map[string]map[uint64]bool{}, lives: map[string]string{}, traces: map[string][]Hop{},
		handled: map[string]int{}, opened: map[string]int{}, present: map[string]Presence{},
	}
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		var hop Hop
		if json.Unmarshal(m.Data, &hop) == nil {
			o.take(hop)
		}
	})
	if err != nil {
		return nil, err
	}
	_, err = nc.Subscribe(presence, func(m *nats.Msg) {
		p := Presence{At: time.Now()}
		if json.Unmarshal(m.Data, &p) == nil {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.present[p.Replica], o.lives[p.Replica] = p, p.Life
		}
	})
	return o, err
}

func (o *Observer) take(hop Hop) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inFlight[hop.Life] == nil {
		o.inFlight[hop.Life] = map[uint64]bool{}
	}
	o.lives[hop.Replica] = hop.Life
	if hop.Done {
		delete(o.inFlight[hop.Life], hop.Serial)
		o.handled[hop.Replica]++
		if hop.KID != "" {
			o.opened[hop.KID]++
		}
		o.remember(hop)
	} else {
		o.inFlight[hop.Life][hop.Serial] = true
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *Observer) remember(hop Hop) {
	if hop.Trace == "" || hop.Journey == "" {
		return
	}
	if o.traces[hop.Trace] == nil {
		if len(o.order) == remembered {
			delete(o.traces, o.order[0])
			o.order = o.order[1:]
		}
		o.order = append(o.order, hop.Trace)
	}
	o.traces[hop.Trace] = append(o.traces[hop.Trace], hop)
}

// Life returns the latest known life of a replica; empty if there is none.
func (o *Observer) Life(replica string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lives[replica]
}

// Busy returns once the replica is handling something.
func (o *Observer) Busy(ctx context.Context, replica string) error {
	return o.await(ctx, func() bool { return len(o.inFlight[o.lives[replica]]) > 0 })
}

// CutOff returns how many hops were begun and not ended in a life that is over. Each report was on
// the server before its process went on, so none is missing.
func (o *Observer) CutOff(ctx context.Context, life string) (int, error) {
	if err := o.settle(ctx); err != nil {
		return 0, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.inFlight[life])
	delete(o.inFlight, life)
	return n, nil
}

// settle waits until all reports that the server has are received: the observer's own report comes
// last.
func (o *Observer) settle(ctx context.Context) error {
	fence := Hop{Life: Life, Serial: o.fences.Add(1)}
	data, err := json.Marshal(fence)
	if err != nil {
		return err
	}
	if err := o.nc.Publish(subject, data); err != nil {
		return err
	}
	err = o.await(ctx, func() bool { return o.inFlight[fence.Life][fence.Serial] })
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.inFlight[fence.Life], fence.Serial)
	return err
}

// await returns once the condition holds.
func (o *Observer) await(ctx context.Context, condition func() bool) error {
	for {
		o.mu.Lock()
		holds, changed := condition(), o.changed
		o.mu.Unlock()
		if holds {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Hops returns the hops of a trace so far, in the order in which they began.
func (o *Observer) Hops(trace string) []Hop {
	o.mu.Lock()
	defer o.mu.Unlock()
	hops := slices.Clone(o.traces[trace])
	slices.SortStableFunc(hops, func(a, b Hop) int { return a.Began.Compare(b.Began) })
	return hops
}

// Await returns the hops of a trace as soon as they are complete. A worker may report the end of
// its hop after the traveller has seen what it did.
func (o *Observer) Await(ctx context.Context, trace string, whole func([]Hop) bool) ([]Hop, error) {
	err := o.await(ctx, func() bool { return whole(o.traces[trace]) })
	return o.Hops(trace), err
}

// Tally is the sum of all reports.
type Tally struct {
	Handled map[string]int      // requests and messages since the start, by replica
	Opened  map[string]int      // tokens since the start, by the key that they came under
	Present map[string]Presence // the last sign of life, by replica
}

// Tally returns it as it is now.
func (o *Observer) Tally() Tally {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Tally{maps.Clone(o.handled), maps.Clone(o.opened), maps.Clone(o.present)}
}
