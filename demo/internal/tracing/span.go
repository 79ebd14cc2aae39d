package tracing

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Span is what the receiver keeps of a span.
type Span struct {
	Service  string // the replica
	Name     string
	Trace    string
	ID       string
	Parent   string // empty for the root
	Began    time.Time
	Duration time.Duration
	Failed   bool              `json:",omitempty"`
	Attrs    map[string]string `json:",omitempty"`
}

// Role returns the role in a replica's name.
func Role(replica string) string {
	role, _, _ := strings.Cut(replica, "-")
	return role
}

// IsStep reports whether a span is the root of a single step's trace.
func IsStep(s Span) bool { return s.Parent == "" && strings.HasPrefix(s.Name, step) }

// Via says over what the message came that a span is about.
func Via(s Span) string {
	switch {
	case s.Name == Order:
		return "JetStream"
	case s.Name == Quote:
		return "NATS"
	case s.Attrs["rpc.system"] != "" || s.Attrs["rpc.system.name"] != "" || s.Attrs["rpc.method"] != "":
		return "gRPC"
	}
	return "HTTP"
}

// The names of the spans around a message that came over NATS.
const (
	Order = "order"
	Quote = "quote"
)

// subject is where processes send their spans.
const subject = "demo.spans"

// exporter implements the SDK's SpanExporter: it sends a replica's spans over the broker.
type exporter struct {
	nc      *nats.Conn
	replica string
}

// ExportSpans implements the SDK's SpanExporter.
func (e exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	all := make([]Span, len(spans))
	for i, s := range spans {
		at := s.SpanContext()
		all[i] = Span{
			Service: e.replica, Name: s.Name(), Trace: at.TraceID().String(), ID: at.SpanID().String(),
			Began: s.StartTime(), Duration: s.EndTime().Sub(s.StartTime()), Failed: s.Status().Code == codes.Error,
			Attrs: map[string]string{},
		}
		if parent := s.Parent(); parent.HasSpanID() {
			all[i].Parent = parent.SpanID().String()
		}
		for _, a := range s.Attributes() {
			all[i].Attrs[string(a.Key)] = a.Value.String()
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return e.nc.Publish(subject, data)
}

// Shutdown implements the SDK's SpanExporter.
func (e exporter) Shutdown(ctx context.Context) error { return e.nc.FlushWithContext(ctx) }
