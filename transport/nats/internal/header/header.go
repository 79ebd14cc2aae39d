// Package header reads and writes the headers of NATS messages, whose names tell cases apart, as if they did not.
package header

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
)

// canonical are the spellings in which the waybill's headers are written.
var canonical = map[string]string{
	waybill.Header:       "Waybill",
	waybill.HeaderUpdate: "Waybill-Update",
}

// Values returns the values of a header under all its spellings, in the order of the spellings.
func Values(h nats.Header, name string) []string {
	var spellings []string
	for k := range h {
		if is(k, name) {
			spellings = append(spellings, k)
		}
	}
	switch len(spellings) {
	case 0:
		return nil
	case 1:
		return h[spellings[0]]
	}
	slices.Sort(spellings)
	var values []string
	for _, k := range spellings {
		values = append(values, h[k]...)
	}
	return values
}

// Remove removes headers under all their spellings.
func Remove(h nats.Header, names ...string) {
	for k := range h {
		if slices.ContainsFunc(names, func(name string) bool { return is(k, name) }) {
			delete(h, k)
		}
	}
}

// Set replaces a header under all its spellings by one value. The waybill's own are written in their canonical
// spelling, any other as it is given.
func Set(h nats.Header, name, value string) {
	Remove(h, name)
	if c, ok := canonical[strings.ToLower(name)]; ok {
		name = c
	}
	h[name] = []string{value}
}

func is(key, name string) bool { return len(key) == len(name) && strings.EqualFold(key, name) }
