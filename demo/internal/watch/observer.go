package watch

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// remembered is how many journeys' hops are kept: those that began first.
const remembered = 16

// Observer receives the reports of all processes.
type Observer struct {
	nc     *nats.Conn
	fences atomic.Uint64

	mu       sync.Mutex
	changed  chan struct{}           // closed and replaced at each report
	inFlight map[int]map[uint64]bool // by process id, serial
	journeys map[string][]Hop
}

// NewObserver subscribes to the reports.
func NewObserver(nc *nats.Conn) (*Observer, error) {
	o := &Observer{
		nc: nc, changed: make(chan struct{}), inFlight: map[int]map[uint64]bool{}, journeys: map[string][]Hop{},
	}
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		var hop Hop
		if json.Unmarshal(m.Data, &hop) == nil {
			o.take(hop)
		}
	})
	return o, err
}

func (o *Observer) take(hop Hop) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inFlight[hop.PID] == nil {
		o.inFlight[hop.PID] = map[uint64]bool{}
	}
	if hop.Done {
		delete(o.inFlight[hop.PID], hop.Serial)
	} else {
		o.inFlight[hop.PID][hop.Serial] = true
	}
	if hop.Done && hop.Journey != "" && (o.journeys[hop.Journey] != nil || len(o.journeys) < remembered) {
		o.journeys[hop.Journey] = append(o.journeys[hop.Journey], hop)
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// Busy returns once the process is handling something.
func (o *Observer) Busy(ctx context.Context, pid int) error {
	return o.await(ctx, func() bool { return len(o.inFlight[pid]) > 0 })
}

// CutOff returns how many hops a process that is dead had begun and not ended. Each report was on the server before its
// process went on, so none is missing.
func (o *Observer) CutOff(ctx context.Context, pid int) (int, error) {
	if err := o.settle(ctx); err != nil {
		return 0, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.inFlight[pid])
	delete(o.inFlight, pid)
	return n, nil
}

// settle waits until what the server has is taken: a report of our own comes last.
func (o *Observer) settle(ctx context.Context) error {
	fence := Hop{PID: os.Getpid(), Serial: o.fences.Add(1)}
	data, err := json.Marshal(fence)
	if err != nil {
		return err
	}
	if err := o.nc.Publish(subject, data); err != nil {
		return err
	}
	return o.await(ctx, func() bool { return o.inFlight[fence.PID][fence.Serial] })
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

// Journey returns the hops of one of the first journeys, in the order in which they began, as soon as they are whole. A
// worker may report the end of its hop after the traveller has seen what it did.
func (o *Observer) Journey(ctx context.Context, sid string, whole func([]Hop) bool) ([]Hop, error) {
	err := o.await(ctx, func() bool { return whole(o.journeys[sid]) })
	o.mu.Lock()
	defer o.mu.Unlock()
	hops := slices.Clone(o.journeys[sid])
	slices.SortStableFunc(hops, func(a, b Hop) int { return a.Began.Compare(b.Began) })
	return hops, err
}
