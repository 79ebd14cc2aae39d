package tracing

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// The limits on what the receiver keeps.
const (
	maxTraces = 256
	maxSpans  = 512 // of one trace
	maxFresh  = 2048
)

// Receiver keeps the last traces of the demo's processes. The zero value is ready for use.
type Receiver struct {
	mu     sync.Mutex
	traces map[string][]Span
	order  []string // of their ids, the oldest first
	fresh  []Span
	came   int // spans, since the start
}

// Listen makes the receiver keep the spans that all processes send on the broker.
func (r *Receiver) Listen(nc *nats.Conn) error {
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		var spans []Span
		if json.Unmarshal(m.Data, &spans) == nil {
			r.take(spans)
		}
	})
	return err
}

func (r *Receiver) take(spans []Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.traces == nil {
		r.traces = map[string][]Span{}
	}
	r.came += len(spans)
	if r.fresh = append(r.fresh, spans...); len(r.fresh) > maxFresh {
		r.fresh = r.fresh[len(r.fresh)-maxFresh:]
	}
	for _, s := range spans {
		if r.traces[s.Trace] == nil {
			if len(r.order) == maxTraces {
				delete(r.traces, r.order[0])
				r.order = r.order[1:]
			}
			r.order = append(r.order, s.Trace)
		}
		if len(r.traces[s.Trace]) < maxSpans {
			r.traces[s.Trace] = append(r.traces[s.Trace], s)
		}
	}
}

// Trace returns the spans of a trace, the earliest first.
func (r *Receiver) Trace(id string) []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := slices.Clone(r.traces[id])
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Began.Compare(b.Began) })
	return spans
}

// Fresh returns the spans that came since it was called last.
func (r *Receiver) Fresh() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := r.fresh
	r.fresh = nil
	return fresh
}
