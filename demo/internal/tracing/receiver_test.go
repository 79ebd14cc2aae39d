package tracing

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
)

// export sends a process's spans to the receiver, as the demo's processes do it.
func export(t *testing.T, r *Receiver, spans int) (trace string) {
	t.Helper()
	nc := brokertest.JetStream(t).Conn()
	if err := r.Listen(nc); err != nil {
		t.Fatal(err)
	}
	flush, err := Setup("cart-2", nc)
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
	for late := time.Now().Add(10 * time.Second); r.count() < spans+1 && time.Now().Before(late); {
		time.Sleep(time.Millisecond)
	}
	return root.SpanContext().TraceID().String()
}

func (r *Receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came
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

// TestRedirect also sends spans to the user's own collector.
func TestRedirect(t *testing.T) {
	var own int
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var data tracepb.TracesData // on the wire it is the same as an ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &data); err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL.Path, err)
		}
		for _, r := range data.GetResourceSpans() {
			for _, scope := range r.GetScopeSpans() {
				own += len(scope.GetSpans())
			}
		}
	}))
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	r := &Receiver{}
	id := export(t, r, 1)
	if len(r.Trace(id)) != 2 || own != 2 {
		t.Errorf("got %d and %d spans, want 2 at both", len(r.Trace(id)), own)
	}
}

// TestNobodyListens checks that a collector that is away costs nothing but the spans.
func TestNobodyListens(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	flush, err := Setup("cart-2", nil)
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
