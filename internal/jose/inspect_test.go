package jose_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/waybill-go/waybill/internal/jose"
)

func TestUnverified(t *testing.T) {
	const (
		sig    = ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		claims = `{"aud":"shop","sid":"AAECAwQFBgcICQoLDA0ODw","iat":1,"exp":2,"end":3}`
		signed = `{"alg":"HS256","kid":"k","typ":"waybill+jwt"}`
		sealed = `{"alg":"dir","enc":"A256GCM","kid":"k.AAECAwQFBgcICQoLDA0ODw","typ":"waybill+jwt"}`
		box    = "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"
	)
	b := base64.RawURLEncoding.EncodeToString
	for _, tt := range []struct {
		name, token, header, payload, err string
		alg                               jose.Alg
	}{
		{"signed", b([]byte(signed)) + "." + b([]byte(claims)) + sig, signed, claims, "", jose.HS256},
		{"sealed", b([]byte(sealed)) + box, sealed, "", "", jose.A256GCM},
		{"two audiences", b([]byte(signed)) + "." + b([]byte(`{"aud":["a","b"]`+claims[13:])) + sig, signed,
			`{"aud":["a","b"]` + claims[13:], "", jose.HS256},
		{"padded", b([]byte(signed)) + "." + b([]byte(`{"aud":1}`)) + "==" + sig, signed, `{"aud":1}`, "base64url", jose.HS256},
		{"another type", b([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b([]byte("{}")) + sig,
			`{"alg":"HS256","typ":"JWT"}`, "{}", "typ", 0},
		{"cut", b([]byte(signed)) + "." + b([]byte(claims)) + sig[:20], signed, claims, "length", jose.HS256},
		{"sealed, cut", b([]byte(sealed)) + box[:40], sealed, "", "length", jose.A256GCM},
		{"no claims", b([]byte(signed)) + "." + b([]byte("{}")) + sig, signed, "{}", "no aud", jose.HS256},
		{"nothing", "", "", "", "3 parts", 0},
		{"words", "hello, world", "", "", "3 parts", 0},
		{"too long", strings.Repeat("a", jose.MaxToken+1), "", "", "longer", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alg, header, payload, err := jose.Unverified(tt.token)
			if string(header) != tt.header || string(payload) != tt.payload || alg != tt.alg {
				t.Errorf("got %v, header %q, payload %q; want %v, %q, %q", alg, header, payload, tt.alg, tt.header, tt.payload)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want one with %q", err, tt.err)
			}
		})
	}
}
