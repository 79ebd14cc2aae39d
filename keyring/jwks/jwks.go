// Package jwks serves the public keys of a ring over HTTP, for gateways, proxies and services of
// other domains that verify public waybills.
//
// Typical use:
//
//	mux.Handle("/.well-known/jwks.json", jwks.Handler(ring))
//
// The handler serves a plain JWK Set of Ed25519 keys, as the JWT filters of Envoy and of most
// gateways read it: no other members than "keys", no marks of revoked keys, and never a secret. It
// includes keys whose NotBefore has not come, so that a verifier has them before their first token.
// It excludes revoked and expired keys. A verifier must accept the alg EdDSA, the domain as "aud",
// and waybills in the header "waybill".
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

// maxAge is how long an answer may be cached. It is short compared to the delay after which a new
// key issues (minutes at least by default), and limits how long a verifier accepts a revoked key.
const maxAge = time.Minute

// Handler returns a handler for GET and HEAD that serves the current public halves of a ring's keys
// of public tokens. Its answers have an ETag of the content, may be conditional, and may be cached
// for a minute, or for a quarter of the time between the making and the NotBefore of a key if that
// is shorter. While the keys of the ring are not loaded, and for a nil or zero ring, it answers
// 503, which verifiers do not cache. It needs no authentication and is safe for concurrent use.
func Handler(ring *keyring.Ring) http.Handler {
	return &handler{ring: ring}
}

type handler struct {
	ring *keyring.Ring
	last atomic.Pointer[page]
}

// page is an answer, valid for one set until one of its keys expires.
type page struct {
	set   *keyring.Set
	until time.Time // zero: no key expires
	body  []byte
	etag  string
	cache string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET to read the keys", http.StatusMethodNotAllowed)
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

// entry is a public key (RFC 8037, section 2). It has no member that could contain a secret.
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
		panic(fmt.Sprintf("jwks: %v", err)) // PublicJWKS returned it
	}
	p, age := &page{set: set}, maxAge
	keys := []entry{}
	for _, e := range file.Keys {
		k := set.Lookup([]byte(e.Kid))
		if k == nil { // a mark of a revoked or ambiguous key
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
		// The first keys of a ring issue at once, in contrast to the later ones.
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
