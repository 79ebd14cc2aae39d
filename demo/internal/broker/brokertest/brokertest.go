// Package brokertest starts the demo's broker for tests.
package brokertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/keys"
)

// Volumes returns a directory that contains an empty directory for each member, as the image has
// it.
func Volumes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, member := range keys.Volumes {
		if err := os.Mkdir(filepath.Join(dir, member), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Start starts a server with the configuration in the volumes, and returns its URL. The server ends
// with the test.
func Start(t *testing.T, volumes string) string {
	t.Helper()
	srv, err := broker.Start(filepath.Join(volumes, keys.BrokerVolume, keys.ConfigFile), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv.ClientURL()
}

// Join connects as a user. The connection ends with the test.
func Join(t *testing.T, url, volumes, user string) *broker.Line {
	t.Helper()
	line, err := broker.Join(url, filepath.Join(volumes, user), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(line.Close)
	return line
}

// JetStream returns the operator's connection to a new broker that has the demo's streams. Both end
// with the test.
func JetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	dir := Volumes(t)
	if err := keys.Init(dir); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(Join(t, Start(t, dir), dir, keys.OperatorName).Conn)
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
