package waybillnats

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/transport/nats/internal/header"
)

// Carrier reads and writes a [nats.Header] without regard to case. It is an OpenTelemetry
// TextMapCarrier and ValuesGetter, for any propagator. Like the map, it is not safe for concurrent
// writes.
type Carrier nats.Header

// Get returns the value of a header. Several values, also under several spellings, are joined with
// commas, as in HTTP. Joined tokens are malformed, and so refused.
func (c Carrier) Get(name string) string {
	values := c.Values(name)
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}

// Values returns the values of a header under all its spellings.
func (c Carrier) Values(name string) []string {
	return slices.Clip(header.Values(nats.Header(c), name))
}

// Set replaces a header under all its spellings. The waybill's headers are written as "Waybill" and
// "Waybill-Update", others as given.
func (c Carrier) Set(name, value string) { header.Set(nats.Header(c), name, value) }

// Keys returns the names of the headers, in their spellings.
func (c Carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
