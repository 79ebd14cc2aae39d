package keyring_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

func foreignFile(keys ...any) []byte { return asJSON(map[string]any{"keys": keys}) }

// strangers are entries that JWK Sets of other software contain, and that no ring can use.
func strangers() map[string]any {
	good := jwk{"kty": "oct", "kid": "stranger", "alg": "HS256", "k": secret("stranger")}
	edwards := jwk{"kty": "OKP", "crv": "Ed25519", "kid": "stranger", "x": signJWK()["x"]}
	return map[string]any{
		"RSA":                      jwk{"kty": "RSA", "kid": "stranger", "alg": "RS256", "use": "sig", "n": "sXch", "e": "AQAB"},
		"EC":                       jwk{"kty": "EC", "crv": "P-256", "kid": "stranger", "alg": "ES256", "x": "MKBC", "y": "4Etl"},
		"X25519":                   jwk{"kty": "OKP", "crv": "X25519", "kid": "stranger", "alg": "ECDH-ES", "x": signJWK()["x"]},
		"X25519 without alg":       jwk{"kty": "OKP", "crv": "X25519", "kid": "stranger", "x": signJWK()["x"]},
		"ML-DSA":                   jwk{"kty": "AKP", "kid": "stranger", "alg": "ML-DSA-44", "pub": "AAAA"},
		"a secret without alg":     good.with("alg", nil),
		"a secret for encryption":  good.with("use", "enc"),
		"another alg":              good.with("alg", "HS512"),
		"alg none":                 good.with("alg", "none"),
		"a sealing key":            dirJWK("stranger"),
		"a short secret":           good.with("k", "AAAA"),
		"kid with a slash":         good.with("kid", "keys/1"),
		"kid with an equals sign":  good.with("kid", "MTIz="),
		"kid with a dot":           good.with("kid", "a.b"),
		"kid with a colon":         good.with("kid", "urn:1"),
		"kid of 65 characters":     good.with("kid", strings.Repeat("a", 65)),
		"no kid":                   good.with("kid", nil),
		"kid of a number":          good.with("kid", 5),
		"key_ops of a string":      good.with("key_ops", "verify"),
		"Ed25519 for encryption":   edwards.with("use", "enc"),
		"Ed25519 of another alg":   edwards.with("alg", "ES256"),
		"Ed25519 with a short x":   edwards.with("x", "AAAA"),
		"Ed25519 of another d":     edwards.with("d", secret("stranger")),
		"Ed25519 with a secret":    edwards.with("k", secret("stranger")),
		"oct that claims a curve":  good.with("alg", nil, "crv", "Ed25519"),
		"nothing":                  nil,
		"a number":                 5,
		"a list":                   []any{},
		"an unknown kind of key":   jwk{"kty": "XYZ", "kid": "stranger", "alg": "XYZ1", "exp": 1.5, "k": []int{1}},
		"times of other precision": good.with("exp", 1.5),
	}
}

// TestForeignEntriesAreSkipped: an entry that cannot be used takes no other one with it, and its kid opens nothing.
func TestForeignEntriesAreSkipped(t *testing.T) {
	good := jwk{"kty": "oct", "kid": "good", "alg": "HS256", "k": secret("good")}
	for name, entry := range strangers() {
		set, err := keyring.ParseForeign("shop", foreignFile(entry, good, entry))
		if err != nil {
			t.Errorf("%s: got %v, want the other key", name, err)
			continue
		}
		if len(set.Keys()) != 1 || set.Lookup([]byte("good")) == nil || set.Lookup([]byte("stranger")) != nil {
			t.Errorf("%s: got %v, want the other key alone", name, set.Keys())
		}
		if got := set.Skipped(); len(got) != 2 || !strings.HasPrefix(got[0].Error(), "key 0: ") || !strings.HasPrefix(got[1].Error(), "key 2: ") {
			t.Errorf("%s: got %q skipped, want the keys 0 and 2", name, got)
		}
		if j, ok := entry.(jwk); ok {
			for _, reason := range set.Skipped() {
				if k, _ := j["k"].(string); k != "" && strings.Contains(reason.Error(), k) {
					t.Errorf("%s: the secret is in %q", name, reason)
				}
			}
		}
		if set, err := keyring.ParseForeign("shop", foreignFile(entry)); err == nil || !strings.Contains(err.Error(), "no usable key") {
			t.Errorf("%s alone: got %v, %v, want an error", name, set, err)
		}
	}

	set := must(keyring.ParseForeign("shop", foreignFile(good, jwk{"kty": "OKP", "crv": "Ed25519", "kid": "edge", "x": signJWK()["x"]})))(t)
	if k := set.Lookup([]byte("edge")); k == nil || k.Protection() != keyring.Public || k.CanIssue() || len(set.Skipped()) != 0 {
		t.Errorf("Ed25519 without alg: got %v, skipped %v, want a key that verifies", k, set.Skipped())
	}
	// A kid that two usable keys share names neither, and the others work.
	set = must(keyring.ParseForeign("shop", foreignFile(good.with("kid", "twice"), good, good.with("kid", "twice", "k", secret("other")))))(t)
	if len(set.Keys()) != 1 || set.Lookup([]byte("twice")) != nil || len(set.Skipped()) != 2 {
		t.Errorf("a shared kid: got %v, skipped %q", set.Keys(), set.Skipped())
	}
	// One that a usable key shares with a skipped one names the usable one.
	set = must(keyring.ParseForeign("shop", foreignFile(jwk{"kty": "RSA", "kid": "good", "alg": "RS256"}, good)))(t)
	if k := set.Lookup([]byte("good")); k == nil || k.Protection() != keyring.Signed {
		t.Errorf("a kid shared with an RSA key: got %v", k)
	}
}

// TestForeignSetIsFollowed: a service goes on following a set that gets entries which it cannot use. It counts them and says once why.
func TestForeignSetIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := jwk{"kty": "oct", "kid": "good", "alg": "HS256", "k": secret("good")}
		var log bytes.Buffer
		store := &memory{data: foreignFile(good), rev: 1}
		ring, err := keyring.Follow(t.Context(), store, keyring.Foreign("shop"), keyring.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		noError(t, err)
		defer ring.Close()
		put := func(keys ...any) {
			store.do(func() { store.data, store.rev = foreignFile(keys...), store.rev+1 })
			time.Sleep(5 * time.Minute)
			synctest.Wait()
		}
		rsa := jwk{"kty": "RSA", "kid": "rsa", "alg": "RS256"}
		put(good, rsa, good.with("kid", "a/b"), good.with("kid", "next", "k", secret("next")))
		if s := ring.Stats(); s.Skipped != 2 || s.Keys != 2 || s.Failures != 0 || ring.Set().Lookup([]byte("next")) == nil || !ring.Fresh() {
			t.Errorf("got %+v, want 2 skipped and 2 keys", s)
		}
		put(rsa, good.with("kid", "a/b"), good)
		put(rsa, good.with("kid", "a/b"), good.with("kid", "third"))
		if got := strings.Count(log.String(), "skipped entries"); got != 2 { // the order has changed once
			t.Errorf("got %d lines on skipped entries, want 2: %s", got, &log)
		}
		if !strings.Contains(log.String(), "RS256") || !strings.Contains(log.String(), "entries=2") {
			t.Errorf("the log does not say what was skipped: %s", &log)
		}
		put(rsa)
		if s := ring.Stats(); s.Failures == 0 || ring.Set().Lookup([]byte("third")) == nil {
			t.Errorf("without a usable key: got %+v, want the last good keys", s)
		}
		put(good)
		if s := ring.Stats(); s.Skipped != 0 {
			t.Errorf("got %d skipped, want none", s.Skipped)
		}
	})
}

// TestForeignSecretsAreSecret: the private half of a key that is skipped is a secret all the same.
func TestForeignSecretsAreSecret(t *testing.T) {
	public := jwk{"kty": "OKP", "crv": "Ed25519", "kid": "edge", "alg": "EdDSA", "x": signJWK()["x"]}
	for name, c := range map[string]struct {
		entry jwk
		fine  bool
	}{
		"RSA, public":     {jwk{"kty": "RSA", "kid": "r", "alg": "RS256", "n": "AQAB", "e": "AQAB", "use": 5}, true},
		"RSA, private":    {jwk{"kty": "RSA", "kid": "r", "alg": "RS256", "n": "AQAB", "e": "AQAB", "d": "AQAB"}, false},
		"ML-DSA, private": {jwk{"kty": "AKP", "kid": "r", "alg": "ML-DSA-44", "pub": "AAAA", "priv": "AAAA"}, false},
		"in capitals":     {jwk{"kty": "oct", "kid": "r", "alg": "HS256", "K": secret("one")}, false},
	} {
		path := filepath.Join(t.TempDir(), "set.jwks")
		noError(t, os.WriteFile(path, foreignFile(public, c.entry), 0o600))
		noError(t, os.Chmod(path, 0o644))
		ring, err := keyring.LoadFile(t.Context(), path, keyring.Foreign("shop"), hush())
		if (err == nil) != c.fine {
			t.Errorf("%s, in a file that everybody can read: got %v, want fine %v", name, err, c.fine)
		}
		ring.Close()
	}
}
