package keys_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/keyring"
)

// files returns what all files hold, by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", path, info.Mode(), err)
		}
		name, _ := filepath.Rel(dir, path)
		all[name] = string(text)
	}
	return all
}

func initialise(t *testing.T, dir string) map[string]string {
	t.Helper()
	if err := keys.Init(dir); err != nil {
		t.Fatal(err)
	}
	return files(t, dir)
}

func TestInit(t *testing.T) {
	dir := brokertest.Volumes(t)
	first := initialise(t, dir)
	for name, text := range first {
		member, file := filepath.Split(name)
		if strings.Contains(text, "waybill-root-key") {
			t.Errorf("%s holds the root", name)
		}
		if strings.Contains(text, "waybill-identity:"+keys.OperatorName) && member != keys.OperatorName+"/" {
			t.Errorf("%s holds the operator's identity", name)
		}
		if strings.HasPrefix(text, "SU") != (file == broker.SeedFile) {
			t.Errorf("%s: holds a seed, or should", name)
		}
	}
	for _, name := range []string{"lb", "sticky"} {
		if first[name+"/"+"identity"] != "" || first[name+"/"+broker.SeedFile] == "" {
			t.Errorf("%s has an identity for the ring, or none for the broker", name)
		}
	}
	if again := initialise(t, dir); !maps.Equal(again, first) {
		t.Error("a second init changes something")
	}
}

// TestInitInterrupted takes away what a run that was interrupted has not written yet, or what somebody removed.
func TestInitInterrupted(t *testing.T) {
	for _, lost := range []string{
		"operator/roster", "cart/identity", "operator/identity", "gateway/root.pub", "operator/root.pub", "lb/nats.nkey",
		"nats/nats.conf",
	} {
		dir := brokertest.Volumes(t)
		first := initialise(t, dir)
		if err := os.Remove(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		second := initialise(t, dir)
		if len(second) != len(first) {
			t.Errorf("without %s: %d files after it, want %d", lost, len(second), len(first))
		}
		for _, member := range slices.Collect(maps.Keys(keys.Members)) {
			if second[member+"/root.pub"] != second["operator/root.pub"] {
				t.Errorf("without %s: %s trusts another root than the operator", lost, member)
			}
		}
		if id := "payment/identity"; second[id] != first[id] {
			t.Errorf("without %s: %s is another one", lost, id)
		}
		if third := initialise(t, dir); !maps.Equal(third, second) {
			t.Errorf("without %s: a third init changes something", lost)
		}
	}
}

func TestInitNowhere(t *testing.T) {
	if err := keys.Init(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that names the directory", err)
	}
}

// TestPermissions checks that a user may do its own work at the broker and not another's.
func TestPermissions(t *testing.T) {
	url, dir := declared(t, keys.Steady)
	for _, c := range []struct {
		user, subject string
		may           bool
	}{
		{"lb", "demo.hop", true},
		{"lb", "orders.placed", false},
		{"lb", "$JS.API.STREAM.MSG.GET.KV_waybill", false},
		{"sticky", "demo.hop", true},
		{"sticky", "orders.placed", false},
		{"sticky", "$JS.API.STREAM.MSG.GET.KV_waybill", false},
		{"gateway", "pricing.eu", true},
		{"gateway", "$KV.waybill.ring.trips", false},
		{"gateway", "tickets.x", false},
		{"cart", "$KV.waybill.ring.trips", true},
		{"cart", "$KV.waybill.ring.other", false},
		{"cart", "$JS.API.STREAM.DELETE.KV_waybill", false},
		{"payment", "orders.placed", true},
		{"fulfil", "tickets.x", true},
		{"fulfil", "orders.placed", false},
		{"cart", "chaos.gateway-1", false},
		{"operator", "chaos.gateway-1", true},
	} {
		if got := may(t, url, filepath.Join(dir, c.user), c.subject); got != c.may {
			t.Errorf("%s may publish to %s: %v, want %v", c.user, c.subject, got, c.may)
		}
	}
}

// may publishes, and reports whether the server let it.
func may(t *testing.T, url, secrets, subject string) bool {
	t.Helper()
	nc, err := broker.Join(url, secrets, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // the default prints
	if err := nc.Publish(subject, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}

// TestMembersOpen opens the ring as each service does.
func TestMembersOpen(t *testing.T) {
	url, dir := declared(t, keys.Steady)
	for name, proposes := range keys.Members {
		line := brokertest.Join(t, url, dir, name)
		ring, err := keys.Open(t.Context(), line.Conn, filepath.Join(dir, name), name, keys.Steady)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer ring.Close()
		if _, err := ring.Rotate(t.Context()); proposes != (err == nil) {
			t.Errorf("%s may propose: %v; tried: %v", name, proposes, err)
		}
	}
}

// operator returns the operator of the volumes.
func operator(t *testing.T, url, dir string, policy keyring.Policy) *keys.Operator {
	t.Helper()
	line := brokertest.Join(t, url, dir, keys.OperatorName)
	o, err := keys.NewOperator(line.Conn, filepath.Join(dir, keys.OperatorName), policy)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// declared returns a broker with a ring, and the volumes.
func declared(t *testing.T, policy keyring.Policy) (url, dir string) {
	t.Helper()
	dir = brokertest.Volumes(t)
	initialise(t, dir)
	url = brokertest.Start(t, dir)
	if _, err := operator(t, url, dir, policy).Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return url, dir
}
