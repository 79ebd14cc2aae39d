package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// maxMoves is how many moves a snapshot has at most.
const maxMoves = 30

// moves turns spans into what moves between replicas. A span of a server is an arrival; where it
// came from says its parent, which ends later and so comes later.
type moves struct {
	id      uint64
	waiting []tracing.Span          // for their parents
	seen    map[string]tracing.Span // by id
	visitor map[string]bool         // traces that are the visitor's
}

// waits is how long a span waits for its parent.
const waits = 2 * time.Second

func (m *moves) take(fresh []tracing.Span) []page.Move {
	if m.seen == nil {
		m.seen, m.visitor = map[string]tracing.Span{}, map[string]bool{}
	}
	now := time.Now()
	for id, s := range m.seen {
		if now.Sub(s.Began.Add(s.Duration)) > 2*waits {
			delete(m.seen, id)
			delete(m.visitor, s.Trace)
		}
	}
	for _, s := range fresh {
		m.seen[s.ID] = s
		if tracing.IsStep(s) {
			m.visitor[s.Trace] = true
		}
	}
	var found []page.Move
	still := m.waiting[:0:0]
	for _, s := range append(m.waiting, fresh...) {
		parent, ok := m.seen[s.Parent]
		switch {
		case ok && parent.Service != s.Service:
			found = append(found, m.between(parent, s)...)
		case !ok && s.Parent != "" && now.Sub(s.Began.Add(s.Duration)) < waits:
			still = append(still, s)
		}
	}
	m.waiting = still
	return found[:min(len(found), maxMoves)]
}

// between is the move from one service to another: two, if the broker is between them.
func (m *moves) between(from, to tracing.Span) []page.Move {
	move := page.Move{From: from.Service, To: to.Service, Via: tracing.Via(to), Visitor: m.visitor[to.Trace]}
	if move.From == "driver" {
		move.From = page.World
	}
	all := []page.Move{move}
	if move.Via == "NATS" || move.Via == "JetStream" {
		first, second := move, move
		first.To, second.From = page.NATS, page.NATS
		all = []page.Move{first, second}
	}
	for i := range all {
		m.id++
		all[i].ID = m.id
	}
	return all
}

// trace returns the spans of a trace.
func (l *Live) trace(id string) ([]page.Span, error) {
	spans := l.stage.spans.Trace(id)
	if len(spans) == 0 {
		return nil, fmt.Errorf("%w as the trace %q; the newest ones are kept", page.ErrUnknown, id)
	}
	return waterfall(spans), nil
}

// waterfall orders spans, a parent before its children. One whose parent died with its process is
// put below nothing.
func waterfall(spans []tracing.Span) []page.Span {
	below := map[string][]tracing.Span{}
	known := map[string]bool{}
	for _, s := range spans {
		known[s.ID] = true
	}
	began := spans[0].Began
	for _, s := range spans {
		if !known[s.Parent] {
			s.Parent = ""
		}
		below[s.Parent] = append(below[s.Parent], s)
	}
	var bars []page.Span
	var add func(parent string)
	add = func(parent string) {
		for _, s := range below[parent] {
			bars = append(bars, page.Span{
				ID: s.ID, Parent: s.Parent, Service: s.Service, Name: s.Name, Failed: s.Failed, Attrs: worth(s.Attrs),
				Start: ms(s.Began.Sub(began)), Millis: ms(s.Duration),
			})
			add(s.ID)
		}
	}
	add("")
	return bars
}

// worth leaves the attributes that tell something.
func worth(attrs map[string]string) map[string]string {
	kept := map[string]string{}
	for name, v := range attrs {
		if strings.HasPrefix(name, "waybill.") || name == "http.response.status_code" || name == "rpc.method" ||
			name == "rpc.response.status_code" || name == "error.type" {
			kept[name] = v
		}
	}
	return kept
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
