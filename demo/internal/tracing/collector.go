package tracing

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// Collector receives the spans of all processes.
type Collector struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each span
	spans   []Span
}

// NewCollector subscribes to the spans.
func NewCollector(nc *nats.Conn) (*Collector, error) {
	c := &Collector{changed: make(chan struct{})}
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		var s Span
		if json.Unmarshal(m.Data, &s) != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.spans = append(c.spans, s)
		close(c.changed)
		c.changed = make(chan struct{})
	})
	return c, err
}

// Await returns the spans, the earliest first, as soon as they are whole; or as they are when ctx is done.
func (c *Collector) Await(ctx context.Context, whole func([]Span) bool) []Span {
	for {
		c.mu.Lock()
		spans, changed := slices.Clone(c.spans), c.changed
		c.mu.Unlock()
		slices.SortStableFunc(spans, func(a, b Span) int { return a.Began.Compare(b.Began) })
		if whole(spans) {
			return spans
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return spans
		}
	}
}

// Orphans returns the spans whose parent is missing.
func Orphans(spans []Span) []Span {
	known := map[string]bool{"": true}
	for _, s := range spans {
		known[s.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(spans), func(s Span) bool { return known[s.Parent] })
}
