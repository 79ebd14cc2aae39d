package keyring_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

var protections = []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public}

// must returns v, or ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var epoch = time.Unix(1_750_000_000, 0)

// around are the times of a key that is active at epoch.
func around() keyring.Times {
	return keyring.Times{Created: epoch.Add(-2 * time.Hour), NotBefore: epoch.Add(-time.Hour), Expires: epoch.Add(1000 * time.Hour)}
}

func generate(t testing.TB, alg keyring.Protection, times keyring.Times) *keyring.Key {
	t.Helper()
	return must(keyring.Generate(alg, times))(t)
}

func newSet(t testing.TB, keys ...*keyring.Key) *keyring.Set {
	t.Helper()
	return must(keyring.NewSet("shop", keys...))(t)
}

// jwk is an entry as a test wants it.
type jwk map[string]any

// clone returns the entry with members changed: pairs of name and value; a nil value takes the member out.
func (j jwk) with(pairs ...any) jwk {
	out := jwk{}
	for k, v := range j {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(out, pairs[i].(string))
		} else {
			out[pairs[i].(string)] = pairs[i+1]
		}
	}
	return out
}

// named is the entry with the kid that belongs to it.
func (j jwk) named() jwk { return j.with("kid", j.kid()) }

// kid is what docs/token.md says a kid is, computed without the code under test.
func (j jwk) kid() string {
	material, use := j["k"], "sig"
	if j["alg"] == "dir" {
		use = "deriveKey"
	}
	if j["alg"] == "EdDSA" {
		material = j["x"]
	}
	raw, _ := base64.RawURLEncoding.DecodeString(material.(string))
	h := sha256.New()
	for _, part := range []string{"waybill/kid/v1", j["alg"].(string), use, string(raw)} {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(part))))
		h.Write([]byte(part))
	}
	for _, name := range []string{"iat", "nbf", "exp"} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(j[name].(int))))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:8])
}

func secret(label string) string {
	s := sha256.Sum256([]byte("keyring test: " + label))
	return base64.RawURLEncoding.EncodeToString(s[:])
}

func macJWK(label string) jwk {
	return jwk{"kty": "oct", "alg": "HS256", "use": "sig", "k": secret(label), "iat": 1_740_000_000, "nbf": 1_740_000_000, "exp": 1_790_000_000}.named()
}

func dirJWK(label string) jwk {
	return jwk{"kty": "oct", "alg": "dir", "key_ops": []string{"deriveKey"}, "k": secret(label),
		"iat": 1_740_000_000, "nbf": 1_740_000_000, "exp": 1_790_000_000}.named()
}

// signJWK is the key pair of RFC 8037, appendix A.
func signJWK() jwk {
	return jwk{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
		"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
		"iat": 1_740_000_000, "nbf": 1_740_000_000, "exp": 1_790_000_000}.named()
}

// ringFile is a ring as a file.
func ringFile(keys ...any) []byte {
	return asJSON(map[string]any{"ring": "shop", "gen": 7, "keys": keys})
}

// secretsOf are the encodings under which the secrets of a set could turn up in an output.
func secretsOf(t testing.TB, set *keyring.Set) []string {
	t.Helper()
	var file struct {
		Keys []struct{ K, D string }
	}
	if err := json.Unmarshal(set.SecretJWKS(), &file); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, k := range file.Keys {
		for _, s := range []string{k.K, k.D} {
			if s == "" {
				continue
			}
			raw := must(base64.RawURLEncoding.DecodeString(s))(t)
			decimal := strings.Trim(fmt.Sprint(raw[:6]), "[]")
			all = append(all, s, s[:12], fmt.Sprintf("%x", raw[:8]), fmt.Sprintf("%X", raw[:8]), decimal, strings.ReplaceAll(decimal, " ", ", "),
				fmt.Sprintf("%#v", raw[:6])[len("[]byte{"):30], base64.StdEncoding.EncodeToString(raw[:9]), string(raw[:8]), fmt.Sprintf("%q", raw[:8]))
		}
	}
	return all
}

func wantNoSecret(t testing.TB, what, out string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(out, s) {
			t.Errorf("%s: the output holds the secret %q: %s", what, s, out)
			return
		}
	}
}

func asJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
