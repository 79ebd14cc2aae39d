package tracing

import (
	"io"
	"net/http"
	"slices"
	"sync"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The limits on what the receiver keeps and accepts.
const (
	maxTraces = 256
	maxSpans  = 512     // of one trace
	maxBody   = 4 << 20 // bytes
	maxFresh  = 2048
)

// Receiver is an OTLP endpoint that keeps the last traces. It receives what the demo's own processes send: protobuf,
// not compressed. The zero value is ready for use.
type Receiver struct {
	mu     sync.Mutex
	traces map[string][]Span
	order  []string // of their ids, the oldest first
	fresh  []Span
	came   int // spans, since the start
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var data tracepb.TracesData // on the wire it is the same as an ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &data); err != nil {
		http.Error(w, "want OTLP as protobuf, not compressed", http.StatusBadRequest)
		return
	}
	r.take(spansOf(&data))
	w.Header().Set("Content-Type", "application/x-protobuf") // of an empty ExportTraceServiceResponse
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
