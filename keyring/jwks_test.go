package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func TestParseSet(t *testing.T) {
	tomb := jwk{"kty": "oct", "kid": macJWK("gone").kid(), "revoked": jwk{"revoked_at": 1_745_000_000, "reason": "leaked"}}
	set := must(keyring.ParseSet(ringFile(macJWK("a"), dirJWK("b"), signJWK(), signJWK().with("d", nil, "exp", 1_790_000_001).named(), tomb)))(t)
	if set.Domain() != "shop" || set.Generation() != 7 || len(set.Keys()) != 4 {
		t.Errorf("got %v, want ring shop, generation 7, 4 keys", set)
	}
	for _, want := range []struct {
		jwk
		alg    keyring.Protection
		issues bool
	}{{macJWK("a"), keyring.Signed, true}, {dirJWK("b"), keyring.Sealed, true}, {signJWK(), keyring.Public, true},
		{signJWK().with("exp", 1_790_000_001).named(), keyring.Public, false}} {
		k := set.Lookup([]byte(want.kid()))
		if k == nil || k.Protection() != want.alg || k.CanIssue() != want.issues {
			t.Errorf("%s: got %v, want %s that issues: %v", want.kid(), k, want.alg, want.issues)
		}
	}
	gone := []byte(macJWK("gone").kid())
	if r := set.Revocations()[string(gone)]; !set.Revoked(gone) || set.Lookup(gone) != nil || r.Reason != "leaked" || !r.At.Equal(time.Unix(1_745_000_000, 0)) {
		t.Errorf("got revocation %v, want the one of the file", r)
	}
	if set.Revoked([]byte(macJWK("a").kid())) {
		t.Error("a key that is in the ring is revoked")
	}
}

// TestParseSetErrors changes one thing of a good ring. Whatever is refused is refused without its key material.
func TestParseSetErrors(t *testing.T) {
	const short = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" // 31 bytes
	mac, dir, sign := macJWK("a"), dirJWK("b"), signJWK()
	tomb := jwk{"kid": macJWK("gone").kid(), "revoked": jwk{"revoked_at": 1}}
	stray := func(s string) string { return s[:len(s)-1] + string(rune(s[len(s)-1])+1) }
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"kid of another key", ringFile(mac.with("kid", dir["kid"])), "does not match its key and times"},
		{"kid by hand", ringFile(mac.with("kid", "primary")), "does not match"},
		{"no kid", ringFile(mac.with("kid", nil)), "has no kid"},
		{"altered secret", ringFile(mac.with("k", secret("altered"))), "does not match"},
		{"altered alg", ringFile(mac.with("alg", "dir", "use", nil, "key_ops", []string{"deriveKey"})), "does not match"},
		{"altered iat", ringFile(mac.with("iat", 1_740_000_001, "nbf", 1_740_000_001)), "does not match"},
		{"altered nbf", ringFile(mac.with("nbf", 1_740_000_001)), "does not match"},
		{"altered exp", ringFile(mac.with("exp", 1_990_000_000)), "does not match"},
		{"altered public key", ringFile(sign.with("x", secret("x"))), ""},
		{"altered private key", ringFile(sign.with("d", secret("d"))), "private key does not belong"},
		{"no exp", ringFile(mac.with("exp", nil)), "iat <= nbf < exp"},
		{"no nbf", ringFile(mac.with("nbf", nil)), "iat <= nbf < exp"},
		{"no iat", ringFile(mac.with("iat", nil)), "iat <= nbf < exp"},
		{"exp before nbf", ringFile(mac.with("exp", 1_739_000_000).named()), "iat <= nbf < exp"},
		{"a time that wraps", ringFile(mac.with("exp", 9223372036854775807).named()), "iat <= nbf < exp"},
		{"31 bytes", ringFile(mac.with("k", short).named()), "at least 32 bytes"},
		{"31 bytes for dir", ringFile(dir.with("k", short).named()), "at least 32 bytes"},
		{"no secret", ringFile(mac.with("k", "").named()), "at least 32 bytes"},
		{"secret with padding", ringFile(mac.with("k", mac["k"].(string)+"=")), "base64url"},
		{"secret in the other alphabet", ringFile(mac.with("k", "+/"+mac["k"].(string)[2:])), "base64url"},
		{"secret with stray bits", ringFile(mac.with("k", stray(strings.Repeat("A", 43)))), "base64url"},
		{"kty of a dir key", ringFile(dir.with("kty", "OKP").named()), "do not match"},
		{"kty of a pair", ringFile(sign.with("kty", "oct").named()), "do not match"},
		{"no kty", ringFile(mac.with("kty", nil)), "do not match"},
		{"RSA", ringFile(jwk{"kty": "RSA", "alg": "RS256", "kid": "a"}), "do not match"},
		{"another curve", ringFile(sign.with("crv", "X25519").named()), "do not match"},
		{"no curve", ringFile(sign.with("crv", nil).named()), "do not match"},
		{"a curve for HS256", ringFile(mac.with("crv", "Ed25519")), "do not match"},
		{"Ed25519 for a secret", ringFile(mac.with("alg", "EdDSA", "x", "").named()), "do not match"},
		{"HS256 for a pair", ringFile(sign.with("alg", "HS256", "k", secret("a")).named()), "do not match"},
		{"both kinds of material", ringFile(sign.with("k", secret("a"))), "do not match"},
		{"both kinds of material", ringFile(mac.with("d", secret("a"))), "do not match"},
		{"alg Ed25519 in a ring of our own", ringFile(sign.with("alg", "Ed25519")), "do not match"},
		{"HS512", ringFile(mac.with("alg", "HS512").named()), "do not match"},
		{"no alg", ringFile(mac.with("alg", "").named()), "do not match"},
		{"dir without key_ops", ringFile(dir.with("key_ops", nil)), "it only derives the keys that seal"},
		{"dir that encrypts", ringFile(dir.with("key_ops", []string{"encrypt", "decrypt"})), "it only derives the keys that seal"},
		{"dir that derives and encrypts", ringFile(dir.with("key_ops", []string{"deriveKey", "encrypt"})), "it only derives the keys that seal"},
		{"dir that derives twice", ringFile(dir.with("key_ops", []string{"deriveKey", "deriveKey"})), "it only derives the keys that seal"},
		{"dir that derives bits", ringFile(dir.with("key_ops", []string{"deriveBits"})), "it only derives the keys that seal"},
		{"dir with use enc", ringFile(dir.with("use", "enc")), "it only derives the keys that seal"},
		{"HS256 with use enc", ringFile(mac.with("use", "enc")), "use sig"},
		{"HS256 with key_ops", ringFile(mac.with("key_ops", []string{"sign"})), "use sig"},
		{"EdDSA with use enc", ringFile(sign.with("use", "enc")), "use sig"},
		{"EdDSA with key_ops", ringFile(sign.with("key_ops", []string{"sign"})), "use sig"},
		{"short public key", ringFile(sign.with("x", short).named()), "x must be 32 bytes"},
		{"no public key", ringFile(sign.with("x", "").named()), "x must be 32 bytes"},
		{"short private key", ringFile(sign.with("d", short)), "d must be 32 bytes"},
		{"the same key twice", ringFile(mac, mac), "two keys have the kid"},
		{"a pair and its public half", ringFile(sign, sign.with("d", nil)), "two keys have the kid"},
		{"present and revoked", ringFile(mac, jwk{"kid": mac["kid"], "revoked": jwk{"revoked_at": 1}}), "both present and revoked"},
		{"revoked twice", ringFile(mac, tomb, tomb), "not a valid mark"},
		{"revoked with its secret", ringFile(mac, macJWK("x").with("revoked", jwk{"revoked_at": 1})), "not a valid mark"},
		{"revoked with its public key", ringFile(mac, tomb.with("x", "AA")), "not a valid mark"},
		{"revocation without a name", ringFile(mac, jwk{"revoked": jwk{"revoked_at": 1}}), "not a valid mark"},
		{"revocation of a foreign name", ringFile(mac, jwk{"kid": "primary", "revoked": jwk{"revoked_at": 1}}), "not a valid mark"},
		{"unknown member", ringFile(mac.with("x5t", "AA")), "unknown field"},
		{"unknown member of the ring", []byte(`{"ring":"shop","gen":1,"keys":[],"more":1}`), "unknown field"},
		{"of other software", asJSON(map[string]any{"keys": []any{mac}}), "keyring.Foreign"},
		{"no generation", asJSON(map[string]any{"ring": "shop", "keys": []any{mac}}), "ring and gen are missing"},
		{"negative generation", []byte(`{"ring":"shop","gen":-1,"keys":[{}]}`), "wrong type"},
		{"bad domain", bytes.Replace(ringFile(mac), []byte(`"shop"`), []byte(`"my shop"`), 1), "domain"},
		{"no keys", []byte(`{"ring":"shop","gen":1,"keys":[]}`), "has no keys"},
		{"nothing", nil, "not a JWK Set"},
		{"null", []byte("null"), "has no keys"},
		{"a list", []byte("[]"), "wrong type"},
		{"a string for a number", ringFile(mac.with("exp", "1790000000")), "wrong type"},
		{"a secret as a number", ringFile(mac.with("k", 12345678901234567)), "wrong type"},
		{"two rings", append(ringFile(mac), ringFile(mac)...), "data after the JSON object"},
		{"garbage behind", append(ringFile(mac), 'x'), "data after the JSON object"},
		{"cut", ringFile(mac)[:100], "not a JWK Set"},
		{"binary", []byte{0, 1, 2, 255}, "not a JWK Set"},
		{"too large", append(ringFile(mac), bytes.Repeat([]byte(" "), keyring.MaxBytes)...), "the limit is"},
	} {
		set, err := keyring.ParseSet(test.data)
		if err == nil || set != nil {
			t.Errorf("%s: got %v, want it refused", test.name, set)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, want a text with %q", test.name, err, test.want)
		}
		for _, material := range []any{mac["k"], dir["k"], sign["d"], secret("altered"), secret("a"), secret("d"), "12345678901234567"} {
			if strings.Contains(err.Error(), material.(string)[:10]) {
				t.Errorf("%s: the error holds key material: %v", test.name, err)
			}
		}
	}
	if _, err := keyring.ParseSet(append(ringFile(mac, dir, sign), " \n\t"...)); err != nil {
		t.Errorf("white space behind: got %v", err)
	}
	if _, err := keyring.ParseSet(ringFile(mac.with("k", base64.RawURLEncoding.EncodeToString(make([]byte, 64))).named())); err != nil {
		t.Errorf("a longer secret: got %v", err)
	}
}

// TestKidIsFrozen holds kids as constants: whoever changes how they are derived orphans every ring there is.
func TestKidIsFrozen(t *testing.T) {
	data := must(os.ReadFile("../testdata/vectors/ring.jwks"))(t)
	set := must(keyring.ParseSet(data))(t)
	for _, k := range set.Keys() {
		if !bytes.Contains(data, []byte(fmt.Sprintf("%q", k.ID()))) {
			t.Errorf("%s is not in the file", k.ID())
		}
	}
	if got := signJWK().kid(); got != "YW9as2V52cM" {
		t.Errorf("kid of the RFC 8037 key: got %s", got)
	}
	if set := must(keyring.ParseSet(ringFile(signJWK())))(t); set.Keys()[0].ID() != "YW9as2V52cM" {
		t.Errorf("got %s", set.Keys()[0].ID())
	}
}

func TestSerialise(t *testing.T) {
	times := around()
	set := newSet(t, generate(t, keyring.Signed, times), generate(t, keyring.Sealed, times), generate(t, keyring.Public, times))
	back := must(keyring.ParseSet(set.SecretJWKS()))(t)
	wantSameKeys(t, back, set)
	if !bytes.Equal(back.SecretJWKS(), set.SecretJWKS()) {
		t.Error("written again, the ring differs")
	}
	// What one made the other opens.
	for _, k := range set.Keys() {
		other := back.Lookup([]byte(k.ID()))
		wantOpens(t, other, k)
		wantOpens(t, k, other)
	}

	pub := must(keyring.ParseSet(set.PublicJWKS()))(t)
	if keys := pub.Keys(); len(keys) != 1 || keys[0].Protection() != keyring.Public || keys[0].CanIssue() || pub.Generation() != set.Generation() {
		t.Errorf("public halves: got %v, want the one EdDSA key, which cannot issue", pub.Keys())
	}
	for _, k := range set.Keys() {
		if k.Protection() == keyring.Public {
			wantOpens(t, pub.Keys()[0], k)
		}
	}
	wantNoSecret(t, "PublicJWKS", string(set.PublicJWKS()), secretsOf(t, set))
}

// TestNothingPublic: a ring of secret keys has an empty set to show, which no node takes for a ring.
func TestNothingPublic(t *testing.T) {
	times := around()
	empty := newSet(t, generate(t, keyring.Signed, times), generate(t, keyring.Sealed, times)).PublicJWKS()
	var shown struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(empty, &shown); err != nil || shown.Keys == nil || len(shown.Keys) != 0 {
		t.Errorf("got %s, %v, want a JWK Set with an empty list of keys", empty, err)
	}
	if _, err := keyring.ParseSet(empty); err == nil || !strings.Contains(err.Error(), "has no public halves") {
		t.Errorf("as a ring: got %v, want an error that says why", err)
	}
}

// wantOpens makes a token with one key and opens it with another.
func wantOpens(t testing.TB, opener, issuer *keyring.Key) {
	t.Helper()
	opened, err := roundTrip(opener, issuer, []byte("payload"))
	if err != nil || string(opened) != "payload" {
		t.Errorf("%v: got %q, %v, want what %v protected", opener, opened, err, issuer)
	}
}

func wantSameKeys(t testing.TB, got, want *keyring.Set) {
	t.Helper()
	if got.Domain() != want.Domain() || got.Generation() != want.Generation() || len(got.Keys()) != len(want.Keys()) ||
		len(got.Revocations()) != len(want.Revocations()) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i, k := range want.Keys() {
		g := got.Keys()[i]
		if g.ID() != k.ID() || g.Protection() != k.Protection() || g.Times() != k.Times() || g.CanIssue() != k.CanIssue() {
			t.Errorf("key %d: got %v %v, want %v %v", i, g, g.Times(), k, k.Times())
		}
	}
	for kid, r := range want.Revocations() {
		if got.Revocations()[kid] != r {
			t.Errorf("revocation of %s: got %v, want %v", kid, got.Revocations()[kid], r)
		}
	}
}

func TestParseForeign(t *testing.T) {
	data := must(json.Marshal(map[string]any{"issuer": "somebody", "keys": []any{
		jwk{"kty": "oct", "kid": "2025-primary", "alg": "HS256", "k": secret("one"), "ext": true},
		jwk{"kty": "OKP", "crv": "Ed25519", "kid": "verify", "alg": "Ed25519", "x": signJWK()["x"], "x5t": "AA"},
		jwk{"kty": "oct", "kid": "2024", "alg": "HS256", "k": secret("two"), "use": "sig"},
	}}))(t)
	set := must(keyring.ParseForeign("shop", data))(t)
	if set.Domain() != "shop" || set.Generation() != 1 || len(set.Keys()) != 3 {
		t.Errorf("got %v, want 3 keys", set)
	}
	for _, at := range []time.Time{time.Unix(1, 0), epoch, epoch.Add(1e6 * time.Hour)} {
		k := set.Active(keyring.Signed, at, at.Add(time.Hour))
		if k == nil || k.ID() != "2025-primary" || k.Gone(at) {
			t.Errorf("at %v: got %v, want the first that can issue, for ever", at, k)
		}
	}
	if k := set.Lookup([]byte("verify")); k == nil || k.Protection() != keyring.Public || k.CanIssue() || k.Times() != (keyring.Times{}) {
		t.Errorf("got %v, want a key that verifies and has no times", k)
	} else if pub := k.Public(); pub == nil || pub.ID() != "verify" {
		t.Errorf("Public: got %v", pub)
	}
	if _, err := keyring.ParseSet(data); err == nil {
		t.Error("a foreign set was taken for a ring")
	}
	one := func(j jwk) []byte { return asJSON(map[string]any{"keys": []any{j}}) }
	good := jwk{"kty": "oct", "kid": "a", "alg": "HS256", "k": secret("one")}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"dir", one(dirJWK("a")), "the alg of a foreign key must be HS256, EdDSA or Ed25519"},
		{"RS256", one(good.with("alg", "RS256", "kty", "RSA")), "the alg of a foreign key must be"},
		{"no alg", one(good.with("alg", nil)), "the alg of a foreign key must be"},
		{"none", one(good.with("alg", "none")), "the alg of a foreign key must be"},
		{"no kid", one(good.with("kid", nil)), "kid"},
		{"kid with a dot", one(good.with("kid", "a.b")), "kid"},
		{"31 bytes", one(good.with("k", strings.Repeat("A", 42))), "at least 32 bytes"},
		{"for encryption", one(good.with("use", "enc")), "use sig"},
		{"the public key as a secret", one(good.with("kty", "OKP", "crv", "Ed25519", "x", signJWK()["x"])), "do not match"},
		{"the same name twice", asJSON(map[string]any{"keys": []any{good, good}}), "two keys have the kid"},
		{"no keys", []byte(`{"keys":[]}`), "has no keys"},
	} {
		if set, err := keyring.ParseForeign("shop", test.data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", test.name, set, err, test.want)
		}
	}
	if _, err := keyring.ParseForeign("my shop", one(good)); err == nil {
		t.Error("bad domain: got no error")
	}
}

// FuzzParseSet: what parses is written and parsed again as the same keys, as a ring and as a foreign set; nothing panics.
func FuzzParseSet(f *testing.F) {
	for _, name := range []string{"ring.jwks", "foreign.jwks"} {
		f.Add(must(os.ReadFile("../testdata/vectors/" + name))(f))
	}
	f.Add(ringFile(macJWK("a"), dirJWK("b"), signJWK(), jwk{"kid": "AAAAAAAAAAA", "revoked": jwk{"revoked_at": 5, "reason": "é\u2028<>"}}))
	f.Add([]byte(`{"RING":"shop","gen":1,"keys":[null]}`))
	for _, j := range strangers() {
		f.Add(foreignFile(j, jwk{"kty": "oct", "kid": "a", "alg": "HS256", "k": secret("one")}))
	}
	f.Add(foreignFile(jwk{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": signJWK()["x"]}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if set, err := keyring.ParseSet(data); err == nil {
			again := must(keyring.ParseSet(set.SecretJWKS()))(t)
			wantSameKeys(t, again, set)
			if !bytes.Equal(again.SecretJWKS(), set.SecretJWKS()) {
				t.Error("written again, the ring differs")
			}
			for _, k := range set.Keys() {
				raw, err := base64.RawURLEncoding.DecodeString(k.ID())
				if err != nil || len(raw) != 8 {
					t.Errorf("got kid %q", k.ID())
				}
			}
			wantNoSecret(t, "PublicJWKS", string(set.PublicJWKS()), secretsOf(t, set))
		}
		if set, err := keyring.ParseForeign("shop", data); err == nil {
			again := must(keyring.ParseForeign("shop", set.SecretJWKS()))(t)
			wantSameKeys(t, again, set)
			if len(set.Keys()) == 0 || len(again.Skipped()) != 0 {
				t.Errorf("got %v, and written again %d skipped entries", set, len(again.Skipped()))
			}
		}
	})
}
