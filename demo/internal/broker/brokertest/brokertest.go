// Package brokertest starts the demo's broker for tests.
package brokertest

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
)

// JetStream returns a connection to a broker of its own, with the demo's streams in it. Both end with the test.
func JetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	b, err := broker.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	nc, err := broker.Connect(b.URL(), b.Password(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Declare(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	return js
}

// Messages returns how many messages a stream has.
func Messages(t *testing.T, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}
