package interop_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// jwxToken makes its token type of claims.
func jwxToken(t *testing.T, claims map[string]any) jwt.Token {
	t.Helper()
	b := jwt.NewBuilder()
	for name, v := range claims {
		b = b.Claim(name, v)
	}
	token, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// jwxHeaders sets header members: pairs of name and value.
func jwxHeaders(t *testing.T, h interface{ Set(string, any) error }, pairs ...any) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := h.Set(pairs[i].(string), pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

func jwxSign(t *testing.T, alg jwa.SignatureAlgorithm, key any, claims map[string]any, pairs ...any) string {
	t.Helper()
	h := jws.NewHeaders()
	jwxHeaders(t, h, pairs...)
	token, err := jwt.Sign(jwxToken(t, claims), jwt.WithKey(alg, key, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func (p *party) jwxSeal(t *testing.T, claims map[string]any, zip jwa.CompressionAlgorithm, pairs ...any) string {
	t.Helper()
	key, err := p.contentKey(p.seal.kid + "." + salt)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	h := jwe.NewHeaders()
	jwxHeaders(t, h, pairs...)
	token, err := jwe.Encrypt(payload, jwe.WithKey(jwa.DIRECT(), key), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithCompress(zip),
		jwe.WithProtectedHeaders(h))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func TestJWXIssues(t *testing.T) {
	p := newParty(t)
	p.opens(t, "signed", jwxSign(t, jwa.HS256(), p.mac.secret, claims(), "typ", typ, "kid", p.mac.kid), claims())
	p.opens(t, "public", jwxSign(t, jwa.EdDSA(), p.signer, claims(), "typ", typ, "kid", p.sign.kid), claims())
	p.opens(t, "public", jwxSign(t, jwa.EdDSAEd25519(), p.signer, claims(), "typ", typ, "kid", p.sign.kid), claims())
	p.opens(t, "sealed", p.jwxSeal(t, claims(), jwa.NoCompress(), "typ", typ, "kid", p.seal.kid+"."+salt), claims())
}

func TestJWXOpens(t *testing.T) {
	p := newParty(t)
	verify := map[string]jwt.SignEncryptParseOption{
		"signed": jwt.WithKey(jwa.HS256(), p.mac.secret), "public": jwt.WithKey(jwa.EdDSA(), p.signer.Public())}
	for protection, key := range verify {
		token, want := p.ours(t, protection)
		got, err := jwt.ParseString(token, key, jwt.WithAudience(domain), jwt.WithValidate(true))
		if err != nil {
			t.Fatalf("%s: %v", protection, err)
		}
		same(t, protection, got, want)
	}
	token, want := p.ours(t, "sealed")
	got, err := jwe.Decrypt([]byte(token), jwe.WithKeyProvider(jwe.KeyProviderFunc(
		func(_ context.Context, sink jwe.KeySink, _ jwe.Recipient, msg *jwe.Message) error {
			kid, _ := msg.ProtectedHeaders().KeyID()
			key, err := p.contentKey(kid)
			if err == nil {
				sink.Key(jwa.DIRECT(), key)
			}
			return err
		})))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "sealed", got, want)
}

func TestJWXRefused(t *testing.T) {
	p := newParty(t)
	sign := func(pairs ...any) string {
		return jwxSign(t, jwa.HS256(), p.mac.secret, claims(), append([]any{"typ", typ, "kid", p.mac.kid}, pairs...)...)
	}
	p.refuses(t, "typ JWT, its default", jwxSign(t, jwa.HS256(), p.mac.secret, claims(), "kid", p.mac.kid), "malformed")
	p.refuses(t, "no kid", jwxSign(t, jwa.HS256(), p.mac.secret, claims(), "typ", typ), "malformed")
	p.refuses(t, "cty", sign("cty", "JWT"), "malformed")
	p.refuses(t, "crit", sign("crit", []string{"x"}, "x", 1), "malformed")
	p.refuses(t, "another header", sign("x", "y"), "malformed")
	p.refuses(t, "jku", sign("jku", "https://keys.example"), "malformed")
	p.refuses(t, "HS512", jwxSign(t, jwa.HS512(), p.mac.secret, claims(), "typ", typ, "kid", p.mac.kid), "algorithm")
	p.refuses(t, "HMAC under the public key", jwxSign(t, jwa.HS256(), []byte(p.signer.Public().(ed25519.PublicKey)), claims(), "typ", typ, "kid", p.sign.kid), "algorithm")
	insecure, err := jwt.Sign(jwxToken(t, claims()), jwt.WithInsecureNoSignature())
	if err != nil {
		t.Fatal(err)
	}
	p.refuses(t, "none", string(insecure), "malformed") // it has no kid

	kid := p.seal.kid + "." + salt
	p.refuses(t, "zip", p.jwxSeal(t, claims(), jwa.Deflate(), "typ", typ, "kid", kid), "malformed")
	p.refuses(t, "no salt", p.jwxSeal(t, claims(), jwa.NoCompress(), "typ", typ, "kid", p.seal.kid), "malformed")
	p.refuses(t, "no typ", p.jwxSeal(t, claims(), jwa.NoCompress(), "kid", kid), "malformed")
	p.refuses(t, "apu", p.jwxSeal(t, claims(), jwa.NoCompress(), "typ", typ, "kid", kid, "apu", []byte("a")), "malformed")
}

// TestJWXReadsTheRing: a ring is a JWK Set to others.
func TestJWXReadsTheRing(t *testing.T) {
	p := newParty(t)
	set, err := jwk.Parse(p.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{p.mac.kid, p.seal.kid, p.sign.kid} {
		if k, ok := set.LookupKeyID(kid); !ok || k.Validate() != nil {
			t.Errorf("%s: got %v, %v, want a good key", kid, k, ok)
		}
	}
	for _, protection := range []string{"signed", "public"} {
		token, want := p.ours(t, protection)
		got, err := jwt.ParseString(token, jwt.WithKeySet(set), jwt.WithAudience(domain))
		if err != nil {
			t.Fatalf("%s: %v", protection, err)
		}
		same(t, protection, got, want)
	}
}
