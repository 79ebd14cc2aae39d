package tracing

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// export has a process's spans sent to the receiver, as the demo's processes do it.
func export(t *testing.T, r *Receiver, spans int) (trace string) {
	t.Helper()
	srv := httptest.NewServer(r)
	defer srv.Close()
	flush, err := Setup("cart-2", srv.URL+"/v1/traces")
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := Step(t.Context(), "search")
	for i := range spans {
		_, span := tracer().Start(ctx, fmt.Sprint("span ", i))
		span.End()
	}
	root.End()
	flush()
	return root.SpanContext().TraceID().String()
}

func TestExport(t *testing.T) {
	r := &Receiver{}
	id := export(t, r, 2)
	spans := r.Trace(id)
	if len(spans) != 3 {
		t.Fatalf("got %d spans, want 3: %+v", len(spans), spans)
	}
	root := spans[0]
	if root.Parent != "" || root.Service != "cart-2" || root.Name != "step search" || !IsStep(root) {
		t.Errorf("got %+v, want the root of cart-2", root)
	}
	if spans[1].Parent != root.ID || spans[1].Began.Before(root.Began) || spans[1].Duration < 0 {
		t.Errorf("got %+v, want a child of %s", spans[1], root.ID)
	}
	if fresh := r.Fresh(); len(fresh) != 3 || len(r.Fresh()) != 0 {
		t.Errorf("%d fresh spans, want 3, and once", len(fresh))
	}
}

// TestBurst makes more spans at once than the SDK's own queue holds: none may be dropped on the way.
func TestBurst(t *testing.T) {
	r := &Receiver{}
	id := export(t, r, 4000)
	if got := len(r.Fresh()); got != maxFresh {
		t.Errorf("%d spans are fresh, want %d", got, maxFresh)
	}
	if got := len(r.Trace(id)); got != maxSpans {
		t.Errorf("%d spans of the trace are kept, want %d", got, maxSpans)
	}
	if r.came != 4001 {
		t.Errorf("%d spans came, want 4001", r.came)
	}
}

// TestRedirect has spans sent to the user's own collector, too.
func TestRedirect(t *testing.T) {
	own := &Receiver{}
	srv := httptest.NewServer(own)
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	r := &Receiver{}
	id := export(t, r, 1)
	if len(r.Trace(id)) != 2 || len(own.Trace(id)) != 2 {
		t.Errorf("got %d and %d spans, want 2 at both", len(r.Trace(id)), len(own.Trace(id)))
	}
}

// TestNobodyListens checks that a collector that is away costs nothing but the spans.
func TestNobodyListens(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	flush, err := Setup("cart-2", srv.URL+"/v1/traces")
	if err != nil {
		t.Fatal(err)
	}
	_, span := Step(t.Context(), "search")
	span.End()
	began := time.Now()
	flush()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the flush took %v", took)
	}
}

func TestRefusals(t *testing.T) {
	empty, err := proto.Marshal(&tracepb.TracesData{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		body []byte
		want int
	}{
		{"spans", empty, 200},
		{"no protobuf", []byte("no"), 400},
		{"too large", make([]byte, maxBody+1), 413},
	} {
		w := httptest.NewRecorder()
		(&Receiver{}).ServeHTTP(w, httptest.NewRequest("POST", "/v1/traces", bytes.NewReader(c.body)))
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.want)
		}
	}
}

func TestOldTracesGo(t *testing.T) {
	r := &Receiver{}
	for i := range maxTraces + 1 {
		r.take([]Span{{Trace: fmt.Sprint(i), ID: "a"}})
	}
	if len(r.Trace("0")) != 0 || len(r.Trace("1")) != 1 || len(r.traces) != maxTraces {
		t.Errorf("%d traces, the first has %d spans, the second %d; want %d, 0, 1",
			len(r.traces), len(r.Trace("0")), len(r.Trace("1")), maxTraces)
	}
}

func FuzzReceiver(f *testing.F) {
	data, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "a", TraceId: make([]byte, 16)}}}},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/x-protobuf")
		w := httptest.NewRecorder()
		(&Receiver{}).ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("status %d", w.Code)
		}
	})
}
