package interop_test

import (
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func joseSign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, opts *jose.SignerOptions, claims any) string {
	t.Helper()
	if _, ok := key.([]byte); ok && kid != "" { // the KeyID of a JSONWebKey is written for key pairs only
		opts = opts.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *party) joseSeal(t *testing.T, kid string, opts *jose.EncrypterOptions, claims any) string {
	t.Helper()
	key, err := p.contentKey(p.seal.kid + "." + salt)
	if err != nil {
		t.Fatal(err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: kid}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Encrypted(encrypter).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func signerOptions() *jose.SignerOptions { return (&jose.SignerOptions{}).WithType(typ) }

func encrypterOptions() *jose.EncrypterOptions { return (&jose.EncrypterOptions{}).WithType(typ) }

func TestGoJoseIssues(t *testing.T) {
	p := newParty(t)
	p.opens(t, "signed", joseSign(t, jose.HS256, p.mac.secret, p.mac.kid, signerOptions(), claims()), claims())
	p.opens(t, "public", joseSign(t, jose.EdDSA, p.signer, p.sign.kid, signerOptions(), claims()), claims())
	p.opens(t, "sealed", p.joseSeal(t, p.seal.kid+"."+salt, encrypterOptions(), claims()), claims())
	list := claims()
	list["aud"] = jwt.Audience{domain}
	p.opens(t, "signed", joseSign(t, jose.HS256, p.mac.secret, p.mac.kid, signerOptions(), list), claims())
}

func TestGoJoseOpens(t *testing.T) {
	p := newParty(t)
	for protection, key := range map[string]any{"signed": p.mac.secret, "public": p.signer.Public()} {
		token, want := p.ours(t, protection)
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256, jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		var std jwt.Claims
		if err := parsed.Claims(key, &got, &std); err != nil {
			t.Fatalf("%s: %v", protection, err)
		}
		same(t, protection, got, want)
		if err := std.Validate(jwt.Expected{AnyAudience: jwt.Audience{domain}}); err != nil {
			t.Errorf("%s: %v", protection, err)
		}
	}
	token, want := p.ours(t, "sealed")
	parsed, err := jwt.ParseEncrypted(token, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.contentKey(parsed.Headers[0].KeyID)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := parsed.Claims(key, &got); err != nil {
		t.Fatal(err)
	}
	same(t, "sealed", got, want)
}

func TestGoJoseRefused(t *testing.T) {
	p := newParty(t)
	sign := func(opts *jose.SignerOptions) string {
		return joseSign(t, jose.HS256, p.mac.secret, p.mac.kid, opts, claims())
	}
	p.refuses(t, "crit", sign(signerOptions().WithCritical("b64").WithBase64(true)), "malformed")
	p.refuses(t, "cty", sign(signerOptions().WithContentType("JWT")), "malformed")
	p.refuses(t, "another header", sign(signerOptions().WithHeader("x", "y")), "malformed")
	p.refuses(t, "jku", sign(signerOptions().WithHeader("jku", "https://keys.example")), "malformed")
	p.refuses(t, "typ JWT", sign((&jose.SignerOptions{}).WithType("JWT")), "malformed")
	p.refuses(t, "no typ", sign(&jose.SignerOptions{}), "malformed")
	p.refuses(t, "embedded key", joseSign(t, jose.EdDSA, p.signer, p.sign.kid, &jose.SignerOptions{EmbedJWK: true}, claims()), "malformed")
	p.refuses(t, "HS512", joseSign(t, jose.HS512, slices.Concat(p.mac.secret, p.mac.secret), p.mac.kid, signerOptions(), claims()), "algorithm")
	p.refuses(t, "HMAC under the public key", joseSign(t, jose.HS256, []byte(p.signer.Public().(ed25519.PublicKey)), p.sign.kid, signerOptions(), claims()), "algorithm")
	p.refuses(t, "another key", joseSign(t, jose.HS256, p.seal.secret, p.mac.kid, signerOptions(), claims()), "forged")
	p.refuses(t, "no kid", joseSign(t, jose.HS256, p.mac.secret, "", signerOptions(), claims()), "malformed")
	two := claims()
	two["aud"] = []string{domain, "bank"}
	p.refuses(t, "two audiences", joseSign(t, jose.HS256, p.mac.secret, p.mac.kid, signerOptions(), two), "audience")
	p.refuses(t, "no exp", joseSign(t, jose.HS256, p.mac.secret, p.mac.kid, signerOptions(), without(claims(), "exp")), "malformed")

	deflate := encrypterOptions()
	deflate.Compression = jose.DEFLATE
	p.refuses(t, "zip", p.joseSeal(t, p.seal.kid+"."+salt, deflate, claims()), "malformed")
	p.refuses(t, "no salt", p.joseSeal(t, p.seal.kid, encrypterOptions(), claims()), "malformed")
	p.refuses(t, "another salt", p.joseSeal(t, p.seal.kid+".AAECAwQFBgcICQoLDA0ODw", encrypterOptions(), claims()), "forged")

	payload, err := json.Marshal(claims())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: p.mac.secret}, signerOptions().WithHeader("kid", p.mac.kid))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	p.refuses(t, "JSON serialisation", signed.FullSerialize(), "malformed")
	for _, alg := range []jose.KeyAlgorithm{jose.A256KW, jose.A256GCMKW} {
		wrapping, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: alg, Key: p.seal.secret, KeyID: p.seal.kid + "." + salt}, encrypterOptions())
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Encrypted(wrapping).Claims(claims()).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		reason := "algorithm"
		if alg == jose.A256GCMKW {
			reason = "malformed" // its iv and tag are header members
		}
		p.refuses(t, string(alg), token, reason)
	}
}

// TestGoJoseReadsTheRing: a ring is a JWK Set to others.
func TestGoJoseReadsTheRing(t *testing.T) {
	p := newParty(t)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(p.file, &set); err != nil {
		t.Fatal(err)
	}
	for kid, alg := range map[string]string{p.mac.kid: "HS256", p.seal.kid: "dir", p.sign.kid: "EdDSA"} {
		if keys := set.Key(kid); len(keys) != 1 || keys[0].Algorithm != alg || keys[0].Key == nil {
			t.Errorf("%s: got %v, want one %s key", kid, keys, alg)
		}
	}
	token, want := p.ours(t, "signed")
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := parsed.Claims(set, &got); err != nil { // it finds the key by its kid
		t.Fatal(err)
	}
	same(t, "signed", got, want)
}
