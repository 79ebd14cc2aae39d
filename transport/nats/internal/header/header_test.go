package header

import (
	"maps"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestUntrace(t *testing.T) {
	for name, c := range map[string]struct{ in, want nats.Header }{
		"none":      {nats.Header{"X": {"1"}}, nats.Header{"X": {"1"}}},
		"nil":       {nil, nil},
		"named":     {nats.Header{"Nats-Trace-Dest": {"a"}}, nats.Header{}},
		"spellings": {nats.Header{"Nats-Trace-Dest": {"a"}, "nats-trace-dest": {"b"}}, nats.Header{}},
		"sampled":   {nats.Header{"TraceParent": {"p"}}, nats.Header{"TraceParent": {"p"}, "Nats-Trace-Dest": {"trace disabled"}}},
		"both": {nats.Header{"traceparent": {"p"}, "Nats-Trace-Dest": {"a"}},
			nats.Header{"traceparent": {"p"}, "Nats-Trace-Dest": {"trace disabled"}}},
	} {
		Untrace(c.in)
		if !maps.EqualFunc(c.in, c.want, slices.Equal) {
			t.Errorf("%s: got %v, want %v", name, c.in, c.want)
		}
	}
}

func TestIsOurs(t *testing.T) {
	for name, want := range map[string]bool{
		"waybill": true, "Waybill": true, "WAYBILL-UPDATE": true, "waybills": false, "traceparent": false, "": false,
	} {
		if got := IsOurs(name); got != want {
			t.Errorf("IsOurs(%q) = %v, want %v", name, got, want)
		}
	}
}
