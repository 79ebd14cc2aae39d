package natskvtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
	"github.com/waybill-go/waybill/keyring/otelkeys"
)

// asVictim tells this binary to open the ring in a file, and to end in a panic that shows all it has.
const asVictim = "WAYBILL_TEST_VICTIM"

func panicWith(path string) {
	ring, err := keyring.LoadFile(context.Background(), path)
	if err != nil {
		panic(err)
	}
	panic(fmt.Sprintf("%+v %#v", struct{ Has []any }{[]any{ring, ring.Set(), ring.Set().Keys()[0]}}, ring.Set().Keys()))
}

// safe is a log that many goroutines write.
type safe struct {
	sync.Mutex
	bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	return s.Buffer.Write(p)
}

func (s *safe) text() []byte {
	s.Lock()
	defer s.Unlock()
	return bytes.Clone(s.Bytes())
}

// spellings are the ways in which the secrets of a set could turn up.
func spellings(t testing.TB, set *keyring.Set) (out [][]byte) {
	t.Helper()
	var file struct{ Keys []struct{ K, D string } }
	check(t, json.Unmarshal(set.SecretJWKS(), &file))
	for _, k := range file.Keys {
		for _, text := range []string{k.K, k.D} {
			if text == "" {
				continue
			}
			raw, err := base64.RawURLEncoding.DecodeString(text)
			check(t, err)
			out = append(out, []byte(text), raw[:16], []byte(hex.EncodeToString(raw[:12])), []byte(strings.ToUpper(hex.EncodeToString(raw[:12]))),
				[]byte(base64.StdEncoding.EncodeToString(raw[:12])), []byte(strings.Trim(fmt.Sprint(raw[:8]), "[]")))
		}
	}
	if len(out) == 0 {
		t.Fatal("a set without secrets: the search shows nothing")
	}
	return out
}

func holds(text []byte, secrets [][]byte) bool {
	for _, s := range secrets {
		if bytes.Contains(text, s) {
			return true
		}
	}
	return false
}

// everyFile reads all files below a folder.
func everyFile(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = data
		return err
	}))
	return out
}

// TestNoSecretAnywhere looks for the keys of a ring, and those of an identity, in all that a node and a server leave
// behind: files, the bucket, logs, metrics, answers, panics. The same search finds them where the ring is not sealed.
func TestNoSecretAnywhere(t *testing.T) {
	for _, isSealed := range []bool{true, false} {
		dir := t.TempDir()
		url := startServer(t, func(o *server.Options) { o.StoreDir = filepath.Join(dir, "jetstream") }).ClientURL()
		nc := connect(t, url)
		check(t, natskv.Create(t.Context(), nc, bucket))
		o := newOffice(t, "operator", "orders")
		o.dir = dir
		wrapper := func() keyring.Wrapper {
			if isSealed {
				return o.stranger("orders", o.guard(1))
			}
			return keyring.InsecurePlaintext()
		}
		creator := keyring.Wrapper(o.wrapper("operator"))
		if !isSealed {
			creator = keyring.InsecurePlaintext()
		}
		policy := asDefault
		policy.Protections = []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public}
		first, err := policy.Genesis("shop", time.Now())
		check(t, err)
		store := newStore(t, nc, "shop")
		check(t, keyring.Create(t.Context(), store, creator, first.WithEpoch(1)))
		var said safe
		ring, err := keyring.Maintain(t.Context(), store, wrapper(), keyring.Domain("shop"), keyring.WithPolicy(policy),
			keyring.Cache(filepath.Join(dir, "cache")), keyring.Poll(50*time.Millisecond),
			keyring.Logger(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		check(t, err)
		defer ring.Close()
		_, err = store.Answer("orders", ring)
		check(t, err)
		_, err = ring.Rotate(t.Context())
		check(t, err)
		blob, err := store.Load(t.Context())
		check(t, err)
		_, err = store.CompareAndSwap(t.Context(), blob.Revision, blob.Data[:len(blob.Data)-30]) // for errors in the log
		check(t, err)
		eventually(t, "an error in the log", func() bool { return bytes.Contains(said.text(), []byte("error=")) })

		secrets := spellings(t, ring.Set())
		for _, line := range strings.Split(string(o.ids["orders"].Text()), "\n")[1:] {
			if line != "" {
				secrets = append(secrets, []byte(line[strings.Index(line, ":")+1:]))
			}
		}
		seen := everyFile(t, dir)
		seen["the log"] = said.text()
		answers, err := store.Ask(t.Context())
		check(t, err)
		seen["answers"] = fmt.Appendf(nil, "%+v", answers)
		check(t, ring.Close()) // package fmt reads what a running one writes
		seen["values"] = fmt.Appendf(nil, "%v %+v %#v %s", ring, ring.Set(), []any{ring.Set().Keys(), wrapper(), o.ids["orders"]}, store)
		reader := sdk.NewManualReader()
		_, err = otelkeys.Register(ring, otelkeys.MeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader))))
		check(t, err)
		var metrics metricdata.ResourceMetrics
		check(t, reader.Collect(t.Context(), &metrics))
		seen["metrics"] = fmt.Appendf(nil, "%+v", metrics)

		found := 0
		for name, text := range seen {
			if len(text) > 0 && holds(text, secrets) {
				found++
				if isSealed || !strings.HasPrefix(name, dir) {
					t.Errorf("%s holds a secret", name)
				}
			}
		}
		if !isSealed && found < 2 {
			t.Errorf("of a ring in plain the search finds %d files, want the bucket's and the cache: it shows nothing", found)
		}
		if len(seen["metrics"]) < 500 || len(answers) != 1 {
			t.Errorf("%d bytes of metrics and %d answers show little", len(seen["metrics"]), len(answers))
		}
	}
}

// TestNoSecretInPanic: a process that ends in a panic, with all goroutines traced, shows none of its keys.
func TestNoSecretInPanic(t *testing.T) {
	set, err := asDefault.Genesis("shop", time.Now())
	check(t, err)
	path := filepath.Join(t.TempDir(), "ring.jwks")
	check(t, os.WriteFile(path, set.SecretJWKS(), 0o600))
	exe, err := os.Executable()
	check(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), asVictim+"="+path, "GOTRACEBACK=all")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("panic: ")) || !bytes.Contains(out, []byte(set.Keys()[0].ID())) {
		t.Fatalf("got %v and %s, want a panic that names the key", err, out)
	}
	if holds(out, spellings(t, set)) {
		t.Error("the panic holds a secret")
	}
}
