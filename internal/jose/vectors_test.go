package jose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectorTokens are the tokens of the vectors in testdata, good ones and bad ones, by name.
func vectorTokens(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/vectors/*.txt")
	if err != nil || len(files) < 200 {
		t.Fatalf("got %d vectors, %v, want at least 200", len(files), err)
	}
	tokens := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, token, ok := strings.Cut(string(text), "\n\n")
		if token = strings.TrimSuffix(token, "\n"); strings.HasPrefix(token, `"`) {
			ok = json.Unmarshal([]byte(token), &token) == nil
		}
		if !ok {
			t.Fatalf("%s is no vector", file)
		}
		tokens[strings.TrimSuffix(filepath.Base(file), ".txt")] = token
	}
	return tokens
}

// vectorKeys are the keys that the vectors' tokens are made with.
func vectorKeys(t testing.TB) []*Key {
	t.Helper()
	text, err := os.ReadFile("../../testdata/vectors/ring.jwks")
	if err != nil {
		t.Fatal(err)
	}
	var ring struct {
		Keys []struct{ Alg, Kid, K, X, D string }
	}
	if err := json.Unmarshal(text, &ring); err != nil {
		t.Fatal(err)
	}
	var keys []*Key
	for _, j := range ring.Keys {
		var k *Key
		switch j.Alg {
		case "HS256":
			k, err = NewHS256(j.Kid, unbase64(t, j.K))
		case "dir":
			k, err = NewA256GCM(j.Kid, unbase64(t, j.K))
		case "EdDSA":
			k, err = NewEd25519(j.Kid, unbase64(t, j.X), nil)
		default:
			continue // a revoked one
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if len(keys) < 4 {
		t.Fatalf("got %d keys, want at least 4", len(keys))
	}
	return keys
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := encoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open is what an Authority does with a token, but for the choice of protections and the times.
func open(keys []*Key, domain, token string) (payload []byte, err error) {
	var buf HeaderBuffer
	t, err := Parse(token, &buf)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.kid != string(t.Kid) {
			continue
		}
		if payload, err = k.Open(&t, domain); err != nil {
			return nil, err
		}
		var c Claims
		return payload, ParseClaims(&c, payload, domain)
	}
	return nil, os.ErrNotExist
}

// TestVectors opens what is to be opened. The reasons for which the others are refused are the Authority's tests.
func TestVectors(t *testing.T) {
	keys := vectorKeys(t)
	// What is refused for its time, its size, or for what a ring or an Authority is configured for, is good for the codec.
	elsewhere := []string{"ok_", "expired_", "iat_future_", "nbf_future", "claims_exp_behind_end", "claims_exp_is_iat",
		"claims_exp_before_iat", "claims_end_most", "claims_life", "begin_", "journey_", "key_gone", "protection_"}
	for name, token := range vectorTokens(t) {
		if strings.Contains(name, "foreign") || strings.HasPrefix(name, "too_large") {
			continue
		}
		want := false
		for _, prefix := range elsewhere {
			want = want || strings.HasPrefix(name, prefix)
		}
		if payload, err := open(keys, "shop", token); (err == nil) != want {
			t.Errorf("%s: got %s, %v, want it opened: %v", name, payload, err, want)
		}
	}
}
