// Package otelkeystest reads the metrics of rings through the SDK.
package otelkeystest

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/otelkeys"
)

// figures are what a reader collected, by name and the attributes domain and outcome.
type figures map[string]float64

func collect(t *testing.T, reader sdk.Reader) figures {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := figures{}
	put := func(name string, set attribute.Set, v float64) {
		for _, key := range []attribute.Key{"domain", "outcome"} {
			if value, ok := set.Value(key); ok {
				name += " " + value.AsString()
			}
		}
		got[strings.TrimPrefix(name, "waybill.keys.")] = v
	}
	for _, scope := range all.ScopeMetrics {
		if scope.Scope.Name != "waybill" {
			t.Errorf("got meter %q, want waybill", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			if m.Description == "" {
				t.Errorf("%s has no description", m.Name)
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					put(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					put(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Sum[int64]:
				if !data.IsMonotonic {
					t.Errorf("%s may fall, want a counter", m.Name)
				}
				for _, p := range data.DataPoints {
					put(m.Name, p.Attributes, float64(p.Value))
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return got
}

// wants checks figures, and names every one that is off.
func (got figures) wants(t *testing.T, want figures) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[name]; !ok || v != want[name] {
			t.Errorf("%s: got %v, %v, want %v", name, v, ok, want[name])
		}
	}
}

// between checks an age, which goes on while the test runs.
func (got figures) between(t *testing.T, name string, least, most float64) {
	t.Helper()
	if v, ok := got[name]; !ok || v < least || v > most {
		t.Errorf("%s: got %v, %v, want %v to %v", name, v, ok, least, most)
	}
}

func register(t *testing.T, ring *keyring.Ring) (sdk.Reader, metric.Registration) {
	t.Helper()
	reader := sdk.NewManualReader()
	registration, err := otelkeys.Register(ring, otelkeys.MeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	return reader, registration
}

// ahead is a store whose clock is ahead of everybody else's.
type ahead struct{ keyring.Store }

func (a ahead) Load(ctx context.Context) (keyring.Blob, error) {
	blob, err := a.Store.Load(ctx)
	blob.At = time.Now().Add(2 * time.Second)
	return blob, err
}

func TestMetrics(t *testing.T) {
	ctx := t.Context()
	store, wrapper := ahead{keyring.FileStore(filepath.Join(t.TempDir(), "ring"))}, keyring.InsecurePlaintext()
	begin := time.Now().Add(-20 * time.Minute)
	first, err := keyring.Policy{}.Genesis("shop", begin)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Create(ctx, store, wrapper, first); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	reader, registration := register(t, ring)

	got := collect(t, reader)
	got.wants(t, figures{"pending shop": 0, "generation shop": 1, "unsettled shop": 3, "failures shop": 0, "repairs shop": 0,
		"cas shop won": 0, "cas shop lost": 0, "cas shop unknown": 0, "cas shop error": 0, "revoked_used shop": 0,
		"unknown_kid shop fetched": 0, "unknown_kid shop skipped": 0, "unknown_kid shop throttled": 0})
	got.between(t, "active_age shop", 1200, 1300)
	got.between(t, "contact_age shop", 0, 60)
	got.between(t, "clock_offset shop", 1.9, 4)
	got.between(t, "size shop", 200, 2000)

	if _, err := ring.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	ring.Unknown([]byte("no name that a key can have"))
	old := first.Keys()[0].ID()
	if err := ring.Revoke(ctx, old, "lost"); err != nil {
		t.Fatal(err)
	}
	ring.Unknown([]byte(old))
	ring.Unknown([]byte(old))
	stats, got := ring.Stats(), collect(t, reader)
	got.wants(t, figures{"pending shop": float64(stats.Pending), "generation shop": float64(stats.Generation), "cas shop won": 2,
		"revoked_used shop": 2, "unknown_kid shop skipped": 1, "size shop": float64(stats.Size)})
	if stats.Generation < 3 {
		t.Errorf("got generation %d after a rotation and a revocation, want 3 at least", stats.Generation)
	}

	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, reader); len(got) != 0 {
		t.Errorf("after the end of the registration: got %v, want nothing", got)
	}
}

// A ring without keys has no domain yet, and its failures are seen all the same.
func TestNotLoaded(t *testing.T) {
	store := keyring.FileStore(filepath.Join(t.TempDir(), "ring"))
	ring, err := keyring.Follow(t.Context(), store, keyring.Domain("shop"), keyring.Wrapped(keyring.InsecurePlaintext()),
		keyring.Poll(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	reader, _ := register(t, ring)
	got := collect(t, reader)
	got.wants(t, figures{"generation": 0, "epoch": 0, "size": 0, "active_age": 0})
	got.between(t, "failures", 1, 100)
	for name := range got {
		if strings.Contains(name, "shop") {
			t.Errorf("%s: the domain is not proven before there are keys", name)
		}
	}
}

// The entries of a JWK Set of other software that cannot be used are counted.
func TestSkippedEntries(t *testing.T) {
	set, err := keyring.NewSet("shop", public(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "set.jwks")
	data := strings.Replace(string(set.PublicJWKS()), `"keys": [`, `"keys": [{"kty": "RSA", "kid": "a", "alg": "RS256"}, {"kty": "AKP"},`, 1)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.LoadFile(t.Context(), path, keyring.Foreign("shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	reader, _ := register(t, ring)
	collect(t, reader).wants(t, figures{"skipped shop": 2, "failures shop": 0})
}

func public(t *testing.T) *keyring.Key {
	t.Helper()
	now := time.Now()
	key, err := keyring.Generate(keyring.Public, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Each domain has its own series.
func TestTwoRings(t *testing.T) {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	for domain, keys := range map[string]int{"shop": 1, "bank": 2} {
		set, err := keyring.NewSet(domain)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for range keys {
			key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now.Add(time.Hour), Expires: now.Add(2 * time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			if set, err = set.With(key); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := otelkeys.Register(keyring.NewRing(set), otelkeys.MeterProvider(provider)); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, reader).wants(t, figures{"pending shop": 1, "pending bank": 2, "generation shop": 2, "generation bank": 3})
}

// refusing is a provider that makes no counters.
type refusing struct{ noop.MeterProvider }

type refusingMeter struct{ noop.Meter }

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

func (refusingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return nil, errors.New("no counters here")
}

func TestRegisterRefused(t *testing.T) {
	if _, err := otelkeys.Register(nil); err == nil {
		t.Error("no ring: got no error")
	}
	set, err := keyring.NewSet("shop")
	if err != nil {
		t.Fatal(err)
	}
	_, err = otelkeys.Register(keyring.NewRing(set), otelkeys.MeterProvider(refusing{}))
	if err == nil || !strings.Contains(err.Error(), "no counters here") {
		t.Errorf("got %v, want what the provider says", err)
	}
}
