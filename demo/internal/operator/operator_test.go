package operator

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/container"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/operator/operatortest"
	"github.com/waybill-go/waybill/demo/internal/trip"
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
	if err := Init(dir); err != nil {
		t.Fatal(err)
	}
	return files(t, dir)
}

func TestInit(t *testing.T) {
	dir := operatortest.Volumes(t)
	first := initialise(t, dir)
	for name, text := range first {
		member, file := filepath.Split(name)
		if strings.Contains(text, "waybill-root-key") {
			t.Errorf("%s holds the root", name)
		}
		if strings.Contains(text, "waybill-identity:"+keys.OperatorName) && member != keys.OperatorName+"/" {
			t.Errorf("%s holds the operator's identity", name)
		}
		if strings.HasPrefix(text, "SU") != (file == container.SeedFile) {
			t.Errorf("%s: holds a seed, or should", name)
		}
	}
	for _, name := range []string{"lb", "sticky"} {
		if first[name+"/"+container.IdentityFile] != "" || first[name+"/"+container.SeedFile] == "" {
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
		dir := operatortest.Volumes(t)
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
	if err := Init(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that names the directory", err)
	}
}

// run runs one of the operator's commands.
func run(t *testing.T, url, dir string, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Command(t.Context(), append([]string{"--nats", url, "--secrets", filepath.Join(dir, keys.OperatorName)}, args...), &out)
	return out.String(), err
}

func TestCommands(t *testing.T) {
	dir := operatortest.Volumes(t)
	initialise(t, dir)
	url := operatortest.Broker(t, dir)
	for _, c := range []struct {
		args []string
		want string // part of what is said, or of the error
		fail bool
	}{
		{[]string{"declare"}, "made the streams and the first ring", false},
		{[]string{"declare"}, "nothing to do", false},
		{[]string{"rotate"}, "issues in", false},
		{[]string{"status"}, "active", false},
		{[]string{"revoke", "nosuchkey"}, "nosuchkey", true},
		{[]string{"revoke"}, "want one of", true},
		{nil, "want one of", true},
		{[]string{"burn"}, "want one of", true},
	} {
		said, err := run(t, url, dir, c.args...)
		if (err != nil) != c.fail {
			t.Errorf("%v: %v", c.args, err)
		}
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, c.want) {
			t.Errorf("%v: got %q, want %q in it", c.args, said, c.want)
		}
	}
	said, err := run(t, url, dir, "audit")
	var books Books
	if err != nil || json.Unmarshal([]byte(said), &books) != nil || books != (Books{}) {
		t.Errorf("audit of nothing: %q, %v", said, err)
	}
}

// TestRevoke takes the only key back: another one takes over at once.
func TestRevoke(t *testing.T) {
	dir := operatortest.Volumes(t)
	initialise(t, dir)
	url := operatortest.Broker(t, dir)
	if _, err := run(t, url, dir, "declare"); err != nil {
		t.Fatal(err)
	}
	before, err := run(t, url, dir, "status")
	if err != nil {
		t.Fatal(err)
	}
	kid := strings.Fields(strings.Split(before, "\n")[1])[0]
	if _, err := run(t, url, dir, "revoke", kid); err != nil {
		t.Fatal(err)
	}
	after, err := run(t, url, dir, "status")
	if err != nil || !strings.Contains(after, "active") || strings.Contains(after, kid+"  active") {
		t.Errorf("after the revocation: %v\n%s", err, after)
	}
}

// TestOtherIdentities starts with a broker whose ring is of identities that are gone.
func TestOtherIdentities(t *testing.T) {
	old, dir := operatortest.Volumes(t), operatortest.Volumes(t)
	initialise(t, old)
	initialise(t, dir)
	url := operatortest.Broker(t, old)
	if _, err := run(t, url, old, "declare"); err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(old, keys.OperatorName, container.SeedFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keys.OperatorName, container.SeedFile), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, url, dir, "declare"); err == nil || !strings.Contains(err.Error(), "down -v") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

// TestRevive lets a stack stand still until all keys have ended.
func TestRevive(t *testing.T) {
	dir := operatortest.Volumes(t)
	initialise(t, dir)
	url := operatortest.Broker(t, dir)
	o, err := Open(url, filepath.Join(dir, keys.OperatorName))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	quick := keyring.Policy{
		Period: 100 * time.Millisecond, Delay: 80 * time.Millisecond, Settle: 10 * time.Millisecond, Poll: 10 * time.Millisecond,
		Horizon: 100 * time.Millisecond, Slack: 100 * time.Millisecond, MaxSkew: 10 * time.Millisecond,
		TokenLife: 100 * time.Millisecond, Protections: []keyring.Protection{keyring.Signed},
	}
	steady := o.Policy
	o.Policy = quick
	if _, err := run(t, url, dir, "status"); err == nil {
		t.Error("there is a ring before there is one")
	}
	var said strings.Builder
	if err := o.Declare(t.Context(), &said); err != nil {
		t.Fatal(err)
	}
	o.Policy = steady
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		said.Reset()
		if err := o.Declare(t.Context(), &said); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(said.String(), "is new") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no new key: %s", &said)
		}
	}
	if status, err := run(t, url, dir, "status"); err != nil || !strings.Contains(status, "active") {
		t.Errorf("after it: %v\n%s", err, status)
	}
}

// TestPermissions checks that a user may do its own work at the broker and not another's.
func TestPermissions(t *testing.T) {
	dir := operatortest.Volumes(t)
	initialise(t, dir)
	url := operatortest.Broker(t, dir)
	if _, err := run(t, url, dir, "declare"); err != nil {
		t.Fatal(err)
	}
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
		if got := may(t, url, filepath.Join(dir, c.user, container.SeedFile), c.subject); got != c.may {
			t.Errorf("%s may publish to %s: %v, want %v", c.user, c.subject, got, c.may)
		}
	}
}

// may publishes, and reports whether the server let it.
func may(t *testing.T, url, seed, subject string) bool {
	t.Helper()
	nc, err := broker.Join(url, seed, t.Name())
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
	dir := operatortest.Volumes(t)
	first := initialise(t, dir)
	url := operatortest.Broker(t, dir)
	if _, err := run(t, url, dir, "declare"); err != nil {
		t.Fatal(err)
	}
	for name, proposes := range keys.Members {
		nc, err := broker.Join(url, filepath.Join(dir, name, container.SeedFile), name)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		member := keys.Member{
			Identity: filepath.Join(dir, name, container.IdentityFile), Proposes: proposes, Policy: &keys.Steady,
			Root: strings.TrimSpace(first[name+"/"+container.RootFile]),
		}
		ring, err := member.Open(context.Background(), nc.Conn, trip.Domain)
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
