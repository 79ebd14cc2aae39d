// Package operatortest gives tests what the compose stack gives the operator: empty volumes, and a broker that runs with
// the configuration in them.
package operatortest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/waybill-go/waybill/demo/internal/keys"
)

// Volumes returns a directory with the members' directories in it, empty, as the image has it.
func Volumes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, member := range append(slices.Collect(maps.Keys(keys.Members)), "lb", "sticky", keys.OperatorName, "nats") {
		if err := os.Mkdir(filepath.Join(dir, member), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Broker starts a NATS server with the configuration in its volume, and returns its URL. It ends with the test.
func Broker(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "nats", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	// All but where it listens and stores is as in the container.
	own := strings.NewReplacer("port: 4222", `host: "127.0.0.1", port: -1`, "127.0.0.1:8222", "127.0.0.1:-1",
		`"/data"`, `"`+t.TempDir()+`"`).Replace(string(text))
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	srv, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(30 * time.Second) {
		t.Fatal("the broker is not ready")
	}
	return srv.ClientURL()
}
