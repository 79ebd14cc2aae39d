package waybillnats_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"

	waybillnats "github.com/waybill-go/waybill/transport/nats"
)

var _ propagation.TextMapCarrier = waybillnats.Carrier{}

func TestCarrierReads(t *testing.T) {
	for _, c := range []struct {
		name   string
		header nats.Header
		read   string
		get    string
		values []string
	}{
		{"no header", nil, "waybill", "", nil},
		{"absent", nats.Header{"Waybills": {"a"}}, "waybill", "", nil},
		{"lower case", nats.Header{"waybill": {"a"}}, "Waybill", "a", []string{"a"}},
		{"upper case", nats.Header{"WAYBILL": {"a"}}, "waybill", "a", []string{"a"}},
		{"traceparent", nats.Header{"traceparent": {"00-1"}}, "Traceparent", "00-1", []string{"00-1"}},
		{"empty", nats.Header{"waybill": {""}}, "waybill", "", []string{""}},
		{"no values", nats.Header{"waybill": {}}, "waybill", "", nil},
		{"two values", nats.Header{"waybill": {"a", "b"}}, "waybill", "a,b", []string{"a", "b"}},
		{"two spellings", nats.Header{"waybill": {"b"}, "WAYBILL": {"a"}, "Waybill": {"c"}}, "waybill", "a,c,b",
			[]string{"a", "c", "b"}},
	} {
		carrier := waybillnats.Carrier(c.header)
		if got := carrier.Get(c.read); got != c.get {
			t.Errorf("%s: Get %q, want %q", c.name, got, c.get)
		}
		if got := carrier.Values(c.read); !slices.Equal(got, c.values) {
			t.Errorf("%s: Values %q, want %q", c.name, got, c.values)
		}
	}
}

func TestCarrierWrites(t *testing.T) {
	h := nats.Header{"waybill": {"a"}, "WAYBILL": {"b"}, "Traceparent": {"c"}, "other": {"d"}}
	carrier := waybillnats.Carrier(h)
	carrier.Set("waybill", "1")
	carrier.Set("WAYBILL-update", "2")
	carrier.Set("traceparent", "3")
	want := nats.Header{"Waybill": {"1"}, "Waybill-Update": {"2"}, "traceparent": {"3"}, "other": {"d"}}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("header %v, want %v", h, want)
	}
	got, keys := slices.Sorted(slices.Values(carrier.Keys())), slices.Sorted(maps.Keys(want))
	if !slices.Equal(got, keys) {
		t.Errorf("Keys %q, want %q", got, keys)
	}
}
