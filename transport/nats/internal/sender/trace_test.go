package sender_test

import (
	"maps"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/transport/nats/internal/header"
	"github.com/waybill-go/waybill/transport/nats/internal/sender"
)

func TestTraceHeaders(t *testing.T) {
	const dest, only = "Nats-Trace-Dest", "Nats-Trace-Only"
	for _, c := range []struct {
		name    string
		h       nats.Header
		only    bool // traced and not delivered
		removed bool
		left    int
	}{
		{"none", nil, false, false, 0},
		{"others", nats.Header{"X": {"1"}, "traceparent": {"00"}}, false, false, 3},
		{"a destination", nats.Header{dest: {"t"}, "X": {"1"}}, false, true, 1},
		{"in another case", nats.Header{"nats-trace-dest": {"t"}}, false, true, 0},
		{"disabled", nats.Header{dest: {"trace disabled"}}, false, false, 1},
		{"disabled by one of two", nats.Header{dest: {"t", "trace disabled"}, only: {"true"}}, false, true, 0},
		{"only", nats.Header{dest: {"t"}, only: {"true"}}, true, true, 0},
		{"only, spelled otherwise", nats.Header{dest: {"t"}, only: {"", " ON "}}, true, true, 0},
		{"not only", nats.Header{dest: {"t"}, only: {"false"}}, false, true, 0},
		{"only, without a destination", nats.Header{only: {"true"}}, false, false, 1},
		{"only, with an empty destination", nats.Header{dest: {""}, only: {"true"}}, false, true, 0},
		{"a name that the server does not know", nats.Header{dest: {"t"}, "nats-trace-only": {"true"}}, false, true, 0},
	} {
		h := maps.Clone(c.h)
		if got := sender.OnlyTraced(h); got != c.only {
			t.Errorf("%s: only traced %v, want %v", c.name, got, c.only)
		}
		if got := header.Untrace(h); got != c.removed || len(h) != c.left {
			t.Errorf("%s: removed %v, left %v; want %v and %d headers", c.name, got, h, c.removed, c.left)
		}
	}
}
