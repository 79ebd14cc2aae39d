// Package jwks serves the public keys of a ring over HTTP, for gateways, proxies and services of other domains that
// verify public waybills.
//
// The ordinary path:
//
//	mux.Handle("/.well-known/jwks.json", jwks.Handler(ring))
//
// What it serves is a plain JWK Set of Ed25519 keys, as the JWT filters of Envoy and of most gateways read it: no members
// of our own beside "keys", no tombstones, and never a secret. Keys whose time to issue has not come are in it, so that a
// verifier has them before the first token does; revoked and expired ones are not. A verifier must accept alg EdDSA, the
// domain as "aud", and waybills in the header "waybill".
package jwks

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// maxAge is how long an answer may be reused: short beside the delay after which a new key issues (minutes at least,
// unless configured otherwise), and as long as a revoked key may live on in a verifier.
const maxAge = time.Minute

// Handler returns a handler for GET and HEAD that serves the public halves of a ring's EdDSA keys as it is at that
// moment. It has an ETag of the content, answers conditional requests, and may be cached for a minute, or for a quarter
// of the time by which the ring's keys are announced ahead if that is less. A ring whose keys are not loaded is answered
// with 503, which no verifier keeps. It needs no authentication and is safe for concurrent use.
func Handler(ring *keyring.Ring) http.Handler {
	return &handler{ring: ring}
}

type handler struct {
	ring *keyring.Ring
	last atomic.Pointer[page]
}

// page is an answer, good for one set until one of its keys expires.
type page struct {
	set   *keyring.Set
	until time.Time // zero: no key of it expires
	body  []byte
	etag  string
	cache string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the keys are read with GET", http.StatusMethodNotAllowed)
		return
	}
	set := h.ring.Set()
	if set == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "the keys are not loaded", http.StatusServiceUnavailable)
		return
	}
	now := time.Now()
	p := h.last.Load()
	if p == nil || p.set != set || !p.until.IsZero() && !now.Before(p.until) {
		p = render(set, now)
		h.last.Store(p)
	}
	header := w.Header()
	header.Set("Content-Type", "application/jwk-set+json")
	header.Set("Cache-Control", p.cache)
	header.Set("ETag", p.etag)
	header.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
}

// entry is a public key and nothing else (RFC 8037, section 2). It has no member for a secret to slip into.
type entry struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	Alg string `json:"alg"`
	Use string `json:"use"`
	Kid string `json:"kid"`
	X   string `json:"x"`
}

func render(set *keyring.Set, now time.Time) *page {
	var file struct {
		Keys []entry `json:"keys"`
	}
	if err := json.Unmarshal(set.PublicJWKS(), &file); err != nil {
		panic(fmt.Sprintf("jwks: %v", err)) // made by the key ring a moment ago
	}
	p, age := &page{set: set}, maxAge
	keys := []entry{}
	for _, e := range file.Keys {
		k := set.Lookup([]byte(e.Kid))
		if k == nil { // a tombstone
			continue
		}
		times := k.Times()
		if expires := times.Expires; !expires.IsZero() {
			if !now.Before(expires) {
				continue
			}
			if p.until.IsZero() || expires.Before(p.until) {
				p.until = expires
			}
		}
		// The first keys of a ring issue at once; they say nothing about the later ones.
		if ahead := times.NotBefore.Sub(times.Created); ahead > 0 {
			age = min(age, ahead/4)
		}
		keys = append(keys, e)
	}
	file.Keys = keys
	body, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	p.body = append(body, '\n')
	sum := sha256.Sum256(p.body)
	p.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	p.cache = fmt.Sprintf("public, max-age=%d", cmp.Or(int(age/time.Second), 1))
	return p
}
