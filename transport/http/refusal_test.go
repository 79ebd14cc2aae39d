package waybillhttp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestRefusals(t *testing.T) {
	auth := authority(t)
	good := issue(t, auth, cell.To("eu-3"))
	header := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	strange, key := unknownKey(t)
	for _, tt := range []struct {
		name   string
		auth   *waybill.Authority
		values []string
		status int
		reason string
	}{
		{"absent", auth, nil, 401, "absent"},
		{"expired", auth, []string{issue(t, authority(t, at(-time.Hour)))}, 401, "expired"},
		{"forged", auth, []string{forge(good)}, 401, "forged"},
		{"of another algorithm", auth,
			[]string{header(`{"alg":"none","kid":"k","typ":"waybill+jwt"}`) + good[strings.IndexByte(good, '.'):]}, 401, "algorithm"},
		{"of another protection", auth, []string{issue(t, authority(t, waybill.Protect(waybill.Sealed)))}, 401, "protection"},
		{"of another domain", otherDomain(t, key), []string{strange}, 401, "audience"},
		{"from the future", auth, []string{issue(t, authority(t, at(time.Hour)))}, 401, "not_yet_valid"},
		{"too long a life", auth, []string{issue(t, authority(t, waybill.Life(2*time.Hour)))}, 401, "lifetime"},
		{"unknown key", auth, []string{strange}, 401, "unknown_key"},
		{"unknown key, ring out of touch", withRing(t, staleRing(t)), []string{strange}, 503, "unknown_key"},
		{"revoked key", withRing(t, revokedRing(t, key, keyring.Signed)), []string{strange}, 401, "revoked"},
		{"keys not loaded", withRing(t, keyring.NewRing(nil)), []string{good}, 503, "no_key"},
		{"malformed", auth, []string{"garbage"}, 400, "malformed"},
		{"empty", auth, []string{""}, 400, "malformed"},
		{"joined by a proxy", auth, []string{good + ", " + good}, 400, "malformed"},
		{"twice", auth, []string{good, good}, 400, "ambiguous"},
		{"too large", auth, []string{strings.Repeat("a", waybill.DefaultAcceptLimit+1)}, 431, "too_large"},
		{"lacks a claim", auth, []string{good}, 403, "missing_claim"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &meter{}
			s := serve(t, handle(tt.auth, func(http.ResponseWriter, *http.Request) {
				t.Error("the handler ran, want the request refused")
			}, waybillhttp.Required(), waybillhttp.RequireClaims(tenant), waybillhttp.MeterProvider(m)))
			r := request(t, t.Context(), "GET", s.URL)
			r.Header[headerKey] = tt.values
			a := do(t, s.Client(), r)

			if a.StatusCode != tt.status {
				t.Errorf("status %d, want %d", a.StatusCode, tt.status)
			}
			var got any
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatalf("body %q: %v", a.body, err)
			}
			want := map[string]any{
				"type": "about:blank", "title": http.StatusText(tt.status), "status": float64(tt.status), "reason": tt.reason,
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("body %v, want %v", got, want)
			}
			for key, want := range map[string]string{
				"Content-Type":     "application/problem+json",
				"Cache-Control":    "no-store",
				"Www-Authenticate": map[int]string{401: `Waybill error="` + tt.reason + `"`}[tt.status],
				"Retry-After":      map[int]string{503: "5"}[tt.status],
				returnKey:          "",
			} {
				if got := a.Header.Get(key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
			outcome := tt.reason
			if tt.status == 403 {
				outcome = "ok" // the token is valid
			}
			if opened, refused := m.count("waybill.open", outcome), m.count("waybill.refuse", tt.reason); opened != 1 || refused != 1 || len(m.all()) != 2 {
				t.Errorf("counted %v, want waybill.open %s and waybill.refuse %s once", m.all(), outcome, tt.reason)
			}
		})
	}
}

// Without Required, only invalid waybills are refused.
func TestOptional(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(auth, func(http.ResponseWriter, *http.Request) {}))
	for token, want := range map[string]int{"": 200, "garbage": 400, forge(issue(t, auth)): 401} {
		if a := present(t, s, token); a.StatusCode != want {
			t.Errorf("token of %d bytes: %d, want %d", len(token), a.StatusCode, want)
		}
	}
}

// A refusal ends the hop: later changes fail.
func TestRefusalEndsTheHop(t *testing.T) {
	auth := authority(t)
	var inside context.Context
	s := serve(t, handleEdge(auth, func(http.ResponseWriter, *http.Request) {}, waybillhttp.RequireClaims(tenant),
		waybillhttp.StartWith(func(r *http.Request) ([]waybill.Change, error) {
			inside = r.Context()
			return nil, nil
		})))
	if a := present(t, s, ""); a.StatusCode != 403 || a.Header[returnKey] == nil {
		t.Errorf("got %d, header %v; want 403 with the token of the journey", a.StatusCode, a.Header)
	}
	s.Close()
	if err := waybill.Update(inside, seats.To(1)); !errors.Is(err, waybill.ErrCommitted) {
		t.Errorf("Update after the refusal: %v, want ErrCommitted", err)
	}
}

func TestRefusalOfHead(t *testing.T) {
	s := serve(t, handle(authority(t), func(http.ResponseWriter, *http.Request) {}, waybillhttp.Required()))
	a := do(t, s.Client(), request(t, t.Context(), "HEAD", s.URL))
	if a.StatusCode != 401 || a.body != "" || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("HEAD: %d, body %q, header %v; want 401 with a challenge and no body", a.StatusCode, a.body, a.Header)
	}
}

// withRing returns an Authority with its own keys.
func withRing(t testing.TB, ring *keyring.Ring, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	auth, err := waybill.New(waybilltest.Domain, ring, append(opts, declared)...)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// newKey makes a key that is active for an hour.
func newKey(t testing.TB) *keyring.Key {
	t.Helper()
	return newKeyOf(t, keyring.Signed)
}

func newKeyOf(t testing.TB, p keyring.Protection) *keyring.Key {
	t.Helper()
	now := time.Now().Add(-time.Minute)
	key, err := keyring.Generate(p, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSet(t testing.TB, domain string, keys ...*keyring.Key) *keyring.Set {
	t.Helper()
	set, err := keyring.NewSet(domain, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// unknownKey returns a token of the domain under a key that only its issuer has, and the key.
func unknownKey(t testing.TB) (token string, key *keyring.Key) {
	t.Helper()
	key = newKey(t)
	return issue(t, withRing(t, keyring.NewRing(newSet(t, waybilltest.Domain, key)))), key
}

// otherDomain returns an Authority of another domain that shares the key, as two domains never
// should.
func otherDomain(t testing.TB, key *keyring.Key, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	auth, err := waybill.New("other", keyring.NewRing(newSet(t, "other", key)), append(opts, declared)...)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// revokedRing returns a ring in which the key was revoked, and another is active.
func revokedRing(t testing.TB, key *keyring.Key, p keyring.Protection) *keyring.Ring {
	t.Helper()
	set, err := newSet(t, waybilltest.Domain, key, newKeyOf(t, p)).Revoke(key.ID(), time.Now(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return keyring.NewRing(set)
}

// staleRing returns a ring whose source has failed for so long that the ring is no longer fresh.
func staleRing(t testing.TB) *keyring.Ring {
	t.Helper()
	source := &flaky{data: newSet(t, waybilltest.Domain, newKey(t)).SecretJWKS(), failed: make(chan struct{})}
	ring, err := keyring.Follow(t.Context(), source, keyring.Poll(time.Millisecond), keyring.Logger(nolog))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	for ring.Fresh() {
		<-source.failed // each failed poll looks again
	}
	return ring
}

// flaky is a source that works once.
type flaky struct {
	data   []byte
	loads  atomic.Int64
	failed chan struct{}
}

func (f *flaky) Load(ctx context.Context) (keyring.Blob, error) {
	if f.loads.Add(1) == 1 {
		return keyring.Blob{Data: f.data}, nil
	}
	select {
	case f.failed <- struct{}{}:
	case <-ctx.Done():
	case <-time.After(time.Millisecond):
	}
	return keyring.Blob{}, errors.New("out of order")
}

func (f *flaky) Nudges(context.Context) <-chan struct{} { return nil }
