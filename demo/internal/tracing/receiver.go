package tracing

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"sync"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// What the receiver keeps and takes at most.
const (
	maxTraces = 256
	maxSpans  = 512     // of one trace
	maxBody   = 4 << 20 // bytes, inflated
	maxFresh  = 2048
)

// Receiver is an OTLP endpoint that keeps the last traces. It serves POST /v1/traces, as protobuf, gzipped or not. The
// zero value is ready for use.
type Receiver struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when spans come; nil before anybody waits
	traces  map[string][]Span
	order   []string // of their ids, the oldest first
	fresh   []Span
	came    int // spans, since the start
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case req.URL.Path != "/v1/traces":
		http.NotFound(w, req)
		return
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST spans here", http.StatusMethodNotAllowed)
		return
	case kind != "application/x-protobuf":
		http.Error(w, "want application/x-protobuf", http.StatusUnsupportedMediaType)
		return
	}
	body, status := read(w, req)
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	var data tracepb.TracesData // on the wire it is the same as an ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &data); err != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	r.take(spansOf(&data))
	w.Header().Set("Content-Type", "application/x-protobuf") // of an empty ExportTraceServiceResponse
}

// read returns the body, or the status that says why not.
func read(w http.ResponseWriter, req *http.Request) (body []byte, status int) {
	var from io.Reader = http.MaxBytesReader(w, req.Body, maxBody)
	switch req.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		inflated, err := gzip.NewReader(from)
		if err != nil {
			return nil, http.StatusBadRequest
		}
		from = inflated
	default:
		return nil, http.StatusUnsupportedMediaType
	}
	body, err := io.ReadAll(io.LimitReader(from, maxBody+1))
	_, cut := errors.AsType[*http.MaxBytesError](err)
	switch {
	case cut || len(body) > maxBody:
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	return body, 0
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
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Trace returns the spans of a trace, the earliest first.
func (r *Receiver) Trace(id string) []Span {
	spans, _ := r.now(id)
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

// now also returns what is closed when there are more spans.
func (r *Receiver) now(id string) ([]Span, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	spans := slices.Clone(r.traces[id])
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Began.Compare(b.Began) })
	return spans, r.changed
}

// Await returns the spans of a trace, the earliest first, as soon as they are whole; or as they are when ctx is done.
func (r *Receiver) Await(ctx context.Context, id string, whole func([]Span) bool) []Span {
	for {
		spans, changed := r.now(id)
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
