package agering

import (
	"fmt"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// crowd is a team of n services, and the ring that the default times lead to: eleven keys of each algorithm.
func crowd(t testing.TB, n int, kind func(string) (*Identity, error)) (*team, []byte) {
	t.Helper()
	m := newTeam(t, kind)
	for i := len(m.ids); i < n; i++ {
		m.add(fmt.Sprintf("service-%03d.shop", i), kind)
	}
	var keys []*keyring.Key
	for i := range 11 {
		for _, alg := range []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public} {
			at := start.Add(time.Duration(-i) * 24 * time.Hour)
			k, err := keyring.Generate(alg, keyring.Times{Created: at, NotBefore: at, Expires: at.Add(11 * 24 * time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k)
		}
	}
	return m, newSet(t, domain, keys...).SecretJWKS()
}

func TestSize(t *testing.T) {
	for _, test := range []struct {
		name  string
		kind  func(string) (*Identity, error)
		limit int
	}{{"X25519", NewIdentity, 64_000}, {"hybrid", NewHybridIdentity, 256_000}} {
		t.Run(test.name, func(t *testing.T) {
			m, plain := crowd(t, 100, test.kind)
			sealed := mustWrap(t, m.writer("orders"), plain)
			t.Logf("100 services, ring of %d bytes: %d bytes sealed, roster alone %d", len(plain), len(sealed), len(m.signed()))
			if len(sealed) > test.limit {
				t.Errorf("got %d bytes for 100 services, want at most %d", len(sealed), test.limit)
			}
		})
	}
}

// TestLargest: the most members that a roster may have, of the larger kind, fit.
func TestLargest(t *testing.T) {
	m, plain := crowd(t, MaxMembers, NewHybridIdentity)
	sealed := mustWrap(t, m.writer("orders"), plain)
	t.Logf("%d hybrid services: %d bytes sealed, roster alone %d", MaxMembers, len(sealed), len(m.signed()))
	if _, err := m.wrapper("edge").Unwrap(domain, sealed); err != nil {
		t.Error(err)
	}
}

// The time of a seal and of an open for the last of 100 services; both off the request path, both to stay under 50 ms.
func BenchmarkWrapper(b *testing.B) {
	for _, kind := range []struct {
		name string
		make func(string) (*Identity, error)
	}{{"X25519", NewIdentity}, {"hybrid", NewHybridIdentity}} {
		m, plain := crowd(b, 100, kind.make)
		writer := m.writer("orders")
		sealed := mustWrap(b, writer, plain)
		reader := m.wrapper("stock") // the last by name
		b.Run("wrap/"+kind.name, func(b *testing.B) {
			for b.Loop() {
				mustWrap(b, writer, plain)
			}
		})
		b.Run("unwrap/"+kind.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := reader.Unwrap(domain, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("unwrap-fresh/"+kind.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := m.wrapper("stock").Unwrap(domain, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
