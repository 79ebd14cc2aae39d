package operator

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/keyring"
)

func initialise(t *testing.T, dir string) {
	t.Helper()
	if err := keys.Init(dir); err != nil {
		t.Fatal(err)
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
	dir := brokertest.Volumes(t)
	initialise(t, dir)
	url := brokertest.Start(t, dir)
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
	dir := brokertest.Volumes(t)
	initialise(t, dir)
	url := brokertest.Start(t, dir)
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
	old, dir := brokertest.Volumes(t), brokertest.Volumes(t)
	initialise(t, old)
	initialise(t, dir)
	url := brokertest.Start(t, old)
	if _, err := run(t, url, old, "declare"); err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(old, keys.OperatorName, broker.SeedFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keys.OperatorName, broker.SeedFile), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, url, dir, "declare"); err == nil || !strings.Contains(err.Error(), "down -v") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

// TestRevive lets a stack stand still until all keys have ended.
func TestRevive(t *testing.T) {
	dir := brokertest.Volumes(t)
	initialise(t, dir)
	url := brokertest.Start(t, dir)
	if _, err := run(t, url, dir, "status"); err == nil {
		t.Error("there is a ring before there is one")
	}
	quick := keyring.Policy{
		Period: 100 * time.Millisecond, Delay: 80 * time.Millisecond, Settle: 10 * time.Millisecond, Poll: 10 * time.Millisecond,
		Horizon: 100 * time.Millisecond, Slack: 100 * time.Millisecond, MaxSkew: 10 * time.Millisecond,
		TokenLife: 100 * time.Millisecond, Protections: []keyring.Protection{keyring.Signed},
	}
	line := brokertest.Join(t, url, dir, keys.OperatorName)
	o, err := keys.NewOperator(line.Conn, filepath.Join(dir, keys.OperatorName), quick)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		said, err := run(t, url, dir, "declare")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(said, "is new") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no new key: %s", said)
		}
	}
	if status, err := run(t, url, dir, "status"); err != nil || !strings.Contains(status, "active") {
		t.Errorf("after it: %v\n%s", err, status)
	}
}
