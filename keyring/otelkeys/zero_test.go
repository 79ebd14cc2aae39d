package otelkeys_test

import (
	"testing"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/otelkeys"
)

// TestZeroValues: a zero ring is reported with zeros, a nil ring and a nil option are errors, a nil provider is the global
// one.
func TestZeroValues(t *testing.T) {
	registration, err := otelkeys.Register(new(keyring.Ring), otelkeys.MeterProvider(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := registration.Unregister(); err != nil {
		t.Error(err)
	}
	if _, err := otelkeys.Register(nil); err == nil {
		t.Error("a nil ring: no error")
	}
	if _, err := otelkeys.Register(new(keyring.Ring), nil); err == nil {
		t.Error("a nil option: no error")
	}
}
