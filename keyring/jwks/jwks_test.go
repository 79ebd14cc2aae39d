package jwks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/jwks"
)

func generate(t testing.TB, alg keyring.Protection, times keyring.Times) *keyring.Key {
	t.Helper()
	k, err := keyring.Generate(alg, times)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// since is a key's life: announced, issuing and expiring that long from now.
func since(created, notBefore, expires time.Duration) keyring.Times {
	now := time.Now()
	return keyring.Times{Created: now.Add(created), NotBefore: now.Add(notBefore), Expires: now.Add(expires)}
}

func newSet(t testing.TB, keys ...*keyring.Key) *keyring.Set {
	t.Helper()
	set, err := keyring.NewSet("shop", keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func serve(t testing.TB, ring *keyring.Ring) string {
	t.Helper()
	server := httptest.NewServer(jwks.Handler(ring))
	t.Cleanup(server.Close)
	return server.URL
}

// do sends a request, and returns the answer and its body.
func do(t testing.TB, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// kids returns the names in a JWK Set, and checks that each entry has the members of a public key and no other.
func kids(t testing.TB, body string) []string {
	t.Helper()
	var set map[string][]map[string]string
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set) != 1 || set["keys"] == nil {
		t.Fatalf("the body is %s, want one member, keys: %v", body, err)
	}
	names := []string{}
	for _, k := range set["keys"] {
		x := k["x"]
		if fmt.Sprint(k) != fmt.Sprintf("map[alg:EdDSA crv:Ed25519 kid:%s kty:OKP use:sig x:%s]", k["kid"], x) || len(x) != 43 {
			t.Errorf("an entry is %v, want kty OKP, crv Ed25519, alg EdDSA, use sig, kid and x", k)
		}
		names = append(names, k["kid"])
	}
	return names
}

func TestContent(t *testing.T) {
	hour := time.Hour
	active := generate(t, keyring.Public, since(-2*hour, -hour, hour))
	pending := generate(t, keyring.Public, since(-hour, hour, 3*hour))
	expired := generate(t, keyring.Public, since(-3*hour, -2*hour, -time.Minute))
	verifyOnly := generate(t, keyring.Public, since(-2*hour, -hour, 2*hour)).Public()
	secret, sealing := generate(t, keyring.Signed, since(-hour, -hour, hour)), generate(t, keyring.Sealed, since(-hour, -hour, hour))
	// The name of a key that was revoked, as an altered ring has it.
	gone := generate(t, keyring.Public, since(-2*hour, -hour, hour))
	ring := newSet(t, active, pending, expired, verifyOnly, secret, sealing)
	text := strings.Replace(string(ring.SecretJWKS()), `"keys": [`,
		fmt.Sprintf(`"keys": [{"kid": %q, "revoked": {"revoked_at": 1795366000, "reason": "stolen"}},`, gone.ID()), 1)
	revoked, err := keyring.ParseSet([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		set  *keyring.Set
		want []*keyring.Key
	}{
		{"every kind", ring, []*keyring.Key{pending, active, verifyOnly}},
		{"a tombstone", revoked, []*keyring.Key{pending, active, verifyOnly}},
		{"symmetric only", newSet(t, secret, sealing), nil},
		{"expired only", newSet(t, expired), nil},
	}
	for _, c := range cases {
		resp, body := do(t, "GET", serve(t, keyring.NewRing(c.set)))
		want := []string{}
		for _, k := range c.want {
			want = append(want, k.ID())
		}
		got := kids(t, body)
		slices.Sort(want)
		slices.Sort(got)
		if resp.StatusCode != 200 || !slices.Equal(got, want) {
			t.Errorf("%s: %s with the keys %v, want 200 with %v", c.name, resp.Status, got, want)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/jwk-set+json" {
			t.Errorf("%s: content type %q, want %q", c.name, got, "application/jwk-set+json")
		}
		if strings.Contains(body, `"d"`) || strings.Contains(body, `"k"`) {
			t.Errorf("%s: a secret is in %s", c.name, body)
		}
	}
	// A set of ours can be read by ourselves, as anybody's.
	_, body := do(t, "GET", serve(t, keyring.NewRing(ring)))
	if set, err := keyring.ParseForeign("shop", []byte(body)); err != nil || len(set.Keys()) != 3 {
		t.Errorf("read as a foreign set: %v, %v, want 3 keys", set, err)
	}
}

func TestCaching(t *testing.T) {
	first := newSet(t, generate(t, keyring.Public, since(-time.Hour, -time.Hour, time.Hour)))
	ring := keyring.NewRing(first)
	url := serve(t, ring)
	resp, body := do(t, "GET", url)
	etag := resp.Header.Get("ETag")
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=60" || !strings.HasPrefix(etag, `"`) || len(etag) < 10 {
		t.Errorf("Cache-Control %q and ETag %q, want %q and a strong one", got, etag, "public, max-age=60")
	}
	head, none := do(t, "HEAD", url)
	if none != "" || head.ContentLength != int64(len(body)) || head.Header.Get("ETag") != etag {
		t.Errorf("HEAD: body %q, length %d, ETag %q, want none, %d, %q",
			none, head.ContentLength, head.Header.Get("ETag"), len(body), etag)
	}
	for _, c := range []struct {
		name, match string
		want        int
	}{
		{"the same", etag, http.StatusNotModified},
		{"weak and in a list", `"other", W/` + etag, http.StatusNotModified},
		{"another", `"other"`, http.StatusOK},
	} {
		resp, got := do(t, "GET", url, "If-None-Match", c.match)
		if resp.StatusCode != c.want || c.want == http.StatusNotModified && got != "" {
			t.Errorf("If-None-Match of %s: %s with %d bytes, want %d", c.name, resp.Status, len(got), c.want)
		}
		if got := resp.Header.Get("Cache-Control"); got != "public, max-age=60" {
			t.Errorf("If-None-Match of %s: Cache-Control %q, want %q: a cache would not renew it", c.name, got, "public, max-age=60")
		}
	}
	// A new key is served at once, also to those who ask by the old ETag.
	next, err := first.With(generate(t, keyring.Public, since(0, 20*time.Second, time.Hour)))
	if err == nil {
		err = ring.Swap(next)
	}
	if err != nil {
		t.Fatal(err)
	}
	resp, body = do(t, "GET", url, "If-None-Match", etag)
	if resp.StatusCode != http.StatusOK || len(kids(t, body)) != 2 {
		t.Errorf("after a new key: %s with %s, want 200 with two keys", resp.Status, body)
	}
	// It issues in 20 s, so the answer must not be kept that long.
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=5" {
		t.Errorf("after a key with a delay of 20 s: Cache-Control %q, want %q", got, "public, max-age=5")
	}
}

// A key expires while nothing else changes.
func TestExpiryWhileServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short, long := generate(t, keyring.Public, since(0, 0, time.Hour)), generate(t, keyring.Public, since(0, 0, 2*time.Hour))
		handler := jwks.Handler(keyring.NewRing(newSet(t, short, long)))
		served := func() []string {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			return kids(t, w.Body.String())
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if got := served(); len(got) != 2 {
			t.Errorf("before the expiry: %v, want two keys", got)
		}
		time.Sleep(time.Nanosecond)
		if got := served(); !slices.Equal(got, []string{long.ID()}) {
			t.Errorf("after the expiry of %s: %v, want %s only", short.ID(), got, long.ID())
		}
	})
}

func TestRefusals(t *testing.T) {
	set := newSet(t, generate(t, keyring.Public, since(-time.Hour, -time.Hour, time.Hour)))
	cases := []struct {
		name, method string
		ring         *keyring.Ring
		status       int
		header, want string
	}{
		{"POST", "POST", keyring.NewRing(set), http.StatusMethodNotAllowed, "Allow", "GET, HEAD"},
		{"PUT of a ring without keys", "PUT", keyring.NewRing(nil), http.StatusMethodNotAllowed, "Allow", "GET, HEAD"},
		{"keys not loaded", "GET", keyring.NewRing(nil), http.StatusServiceUnavailable, "Cache-Control", "no-store"},
	}
	for _, c := range cases {
		resp, _ := do(t, c.method, serve(t, c.ring))
		if got := resp.Header.Get(c.header); resp.StatusCode != c.status || got != c.want {
			t.Errorf("%s: %s, %s %q, want %d, %q", c.name, resp.Status, c.header, got, c.status, c.want)
		}
	}
}

func ExampleHandler() {
	now := time.Now()
	key, err := keyring.Generate(keyring.Public, keyring.Times{Created: now, NotBefore: now, Expires: now.AddDate(0, 1, 0)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/jwks.json", jwks.Handler(keyring.NewRing(set)))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	fmt.Println(answer.Code, answer.Header().Get("Content-Type"), answer.Header().Get("Cache-Control"))
	// Output: 200 application/jwk-set+json public, max-age=60
}
