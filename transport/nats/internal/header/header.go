// Package header reads and writes the headers of NATS messages without regard to case. NATS itself
// distinguishes the case of header names.
package header

import (
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
)

// canonical are the spellings in which the waybill's headers are written.
var canonical = map[string]string{
	waybill.Header:       "Waybill",
	waybill.HeaderReturn: "Waybill-Update",
}

// IsOurs reports whether name is one of the waybill's headers, in any spelling.
func IsOurs(name string) bool { return is(name, waybill.Header) || is(name, waybill.HeaderReturn) }

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

// Strip removes the waybill's headers under all their spellings.
func Strip(h nats.Header) { Remove(h, waybill.Header, waybill.HeaderReturn) }

// Set replaces a header under all its spellings by one value. The waybill's headers are written in
// their canonical spelling, others as given.
func Set(h nats.Header, name string, values ...string) {
	Remove(h, name)
	if c, ok := canonical[strings.ToLower(name)]; ok {
		name = c
	}
	h[name] = values
}

// Put sets a header of a message that may have no headers yet.
func Put(msg *nats.Msg, name string, values ...string) {
	if msg.Header == nil {
		msg.Header = nats.Header{}
	}
	Set(msg.Header, name, values...)
}

// Copy returns msg with its own header map, without the waybill's headers: values that an
// application sets by hand, or copies from a received message, are not sent.
func Copy(msg *nats.Msg) *nats.Msg {
	h := maps.Clone(msg.Header)
	Strip(h)
	return &nats.Msg{Subject: msg.Subject, Reply: msg.Reply, Header: h, Data: msg.Data}
}

func is(key, name string) bool { return len(key) == len(name) && strings.EqualFold(key, name) }
