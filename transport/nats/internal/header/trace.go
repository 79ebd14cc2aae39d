package header

import (
	"slices"

	"github.com/nats-io/nats.go"
)

// The headers that ask the server to trace a message. It publishes trace events, which contain all
// headers of the message, to the subject in TraceDest. Without one, a sampled trace context makes
// it use the destination that the account names.
const (
	TraceDest = "Nats-Trace-Dest"
	TraceOnly = "Nats-Trace-Only"

	TraceDisabled = "trace disabled" // as TraceDest: no trace, whatever other headers say

	traceParent = "traceparent"
)

// Untrace keeps the server from tracing a message that is to carry a token. It removes the headers
// that name a trace destination, and reports whether there was one. A message with a trace context
// gets the value that disables tracing. The message is delivered as before.
func Untrace(h nats.Header) (dropped bool) {
	dests := Values(h, TraceDest)
	if len(dests) > 0 && !slices.Equal(dests, []string{TraceDisabled}) {
		Remove(h, TraceDest, TraceOnly)
		dropped = true
	}
	for k := range h {
		if is(k, traceParent) {
			h[TraceDest] = []string{TraceDisabled}
			break
		}
	}
	return dropped
}
