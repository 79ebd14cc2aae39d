package sender

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// The headers that ask the server to trace a message. It publishes trace events, which contain all
// headers of the message, to the subject in traceDest.
const (
	traceDest = "Nats-Trace-Dest"
	traceOnly = "Nats-Trace-Only"

	traceDisabled = "trace disabled" // as traceDest: no trace, whatever other headers say
)

// Untrace removes the headers that name a trace destination from a message that is to carry a
// token, and reports whether there was one. Without them the message is delivered as before.
func Untrace(h nats.Header) bool {
	dests := header.Values(h, traceDest)
	if len(dests) == 0 || slices.Equal(dests, []string{traceDisabled}) {
		return false
	}
	header.Remove(h, traceDest, traceOnly)
	return true
}

// OnlyTraced reports whether the server would trace a message and deliver it to nobody. Without its
// trace headers it would be delivered, so such a message keeps them, and carries no token.
func OnlyTraced(h nats.Header) bool {
	if first(h[traceDest]) == "" || slices.Contains(h[traceDest], traceDisabled) {
		return false
	}
	switch strings.ToLower(first(h[traceOnly])) {
	case "1", "true", "on":
		return true
	}
	return false
}

// first returns the first value that the server sees: it skips empty ones.
func first(values []string) string {
	for _, v := range values {
		if v = strings.Trim(v, " \t\r\n"); v != "" {
			return v
		}
	}
	return ""
}
