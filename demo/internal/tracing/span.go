package tracing

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
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

// spansOf flattens what was exported.
func spansOf(data *tracepb.TracesData) []Span {
	var spans []Span
	for _, r := range data.GetResourceSpans() {
		attrs := texts(r.GetResource().GetAttributes())
		service := attrs["service.instance.id"]
		if service == "" {
			service = attrs["service.name"]
		}
		for _, scope := range r.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				spans = append(spans, spanOf(service, s))
			}
		}
	}
	return spans
}

func spanOf(service string, s *tracepb.Span) Span {
	began := time.Unix(0, int64(s.GetStartTimeUnixNano()))
	return Span{
		Service: service, Name: s.GetName(),
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
		Parent: hex.EncodeToString(s.GetParentSpanId()),
		Began:  began, Duration: time.Unix(0, int64(s.GetEndTimeUnixNano())).Sub(began),
		Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Attrs:  texts(s.GetAttributes()),
	}
}

// texts keeps the attributes that are plain values.
func texts(attrs []*commonpb.KeyValue) map[string]string {
	kept := map[string]string{}
	for _, a := range attrs {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			kept[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			kept[a.GetKey()] = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_BoolValue:
			kept[a.GetKey()] = fmt.Sprint(v.BoolValue)
		}
	}
	return kept
}
