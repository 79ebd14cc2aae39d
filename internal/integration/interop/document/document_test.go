// Package document_test follows docs/token.md with another library and with nothing of this module: whoever has that page,
// a ring and a sealed token can open it.
package document_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// vectors are what the implementation itself is tested with.
const vectors = "../../../../testdata/vectors"

// entry is a key as it stands in a ring.
type entry struct {
	Kid, Alg, Use, K, X string
	Ops                 []string `json:"key_ops"`
	Iat, Nbf, Exp       uint64
	Keep                uint64 `json:"keep_until"`
	Revoked             any
	Refused             bool
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func ring(t *testing.T) map[string]entry {
	t.Helper()
	var file struct{ Keys []entry }
	if err := json.Unmarshal(read(t, "ring.jwks"), &file); err != nil {
		t.Fatal(err)
	}
	keys := map[string]entry{}
	for _, k := range file.Keys {
		keys[k.Kid] = k
	}
	return keys
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// prefixed is the str of the page.
func prefixed[T string | []byte](to []byte, part T) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(part))), part...)
}

// TestNames derives each name anew.
func TestNames(t *testing.T) {
	checked := 0
	for kid, k := range ring(t) {
		if k.Revoked != nil || k.Refused {
			continue // a mark, which holds no key
		}
		use := "sig"
		if k.Alg == "dir" {
			use = "deriveKey"
		}
		var in []byte
		for _, part := range []string{"waybill/kid/v1", k.Alg, use} {
			in = prefixed(in, part)
		}
		in = prefixed(in, decode(t, k.K+k.X))
		for _, seconds := range []uint64{k.Iat, k.Nbf, k.Exp} {
			in = binary.BigEndian.AppendUint64(in, seconds)
		}
		sum := sha256.Sum256(in)
		if got := base64.RawURLEncoding.EncodeToString(sum[:8]); got != kid {
			t.Errorf("%s key: got kid %s, want %s", k.Alg, got, kid)
		}
		checked++
	}
	if checked < 3 {
		t.Errorf("checked %d keys, want one of each algorithm at least", checked)
	}
}

func TestOpenSealed(t *testing.T) {
	keys := ring(t)
	for _, name := range []string{"ok_sealed", "ok_sealed_mod0", "ok_sealed_mod1", "ok_sealed_mod2", "ok_header_order_sealed"} {
		head, token, _ := strings.Cut(string(read(t, name+".txt")), "\n\n")
		_, want, _ := strings.Cut(head, "payload: ")
		want, _, _ = strings.Cut(want, "\n")

		parsed, err := jwt.ParseEncrypted(strings.TrimSpace(token), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kid, salt, _ := strings.Cut(parsed.Headers[0].KeyID, ".")
		if keys[kid].Alg != "dir" {
			t.Fatalf("%s: key %q is for %q, want dir", name, kid, keys[kid].Alg)
		}
		var info []byte
		for _, part := range []string{"waybill/a256gcm/v1", "shop", kid, salt} {
			info = prefixed(info, part)
		}
		key, err := hkdf.Key(sha256.New, decode(t, keys[kid].K), nil, string(info), 32)
		if err != nil {
			t.Fatal(err)
		}
		var got json.RawMessage
		if err := parsed.Claims(key, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if string(got) != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
