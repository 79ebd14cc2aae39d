package interop_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func jwtSign(t *testing.T, method jwt.SigningMethod, key any, header map[string]any, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, v := range header {
		token.Header[name] = v
		if v == nil {
			delete(token.Header, name)
		}
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGolangJWTIssues(t *testing.T) {
	p := newParty(t)
	mac, pair := map[string]any{"kid": p.mac.kid, "typ": typ}, map[string]any{"kid": p.sign.kid, "typ": typ}
	p.opens(t, "signed", jwtSign(t, jwt.SigningMethodHS256, p.mac.secret, mac, jwt.MapClaims(claims())), claims())
	p.opens(t, "public", jwtSign(t, jwt.SigningMethodEdDSA, p.signer, pair, jwt.MapClaims(claims())), claims())

	// Its struct of registered claims writes aud as a list and times as NumericDates.
	now := time.Now()
	type waybillClaims struct {
		jwt.RegisteredClaims
		SID  string           `json:"sid"`
		End  *jwt.NumericDate `json:"end"`
		Cell string           `json:"cell"`
	}
	c := waybillClaims{jwt.RegisteredClaims{Audience: jwt.ClaimStrings{domain}, Subject: "u", IssuedAt: jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute))}, sid(now.Unix()), jwt.NewNumericDate(now.Add(time.Hour)), "eu-3"}
	p.opens(t, "signed", jwtSign(t, jwt.SigningMethodHS256, p.mac.secret, mac, c), map[string]any{
		"aud": domain, "sid": c.SID, "sub": "u", "iat": now.Unix(), "exp": now.Unix() + 60, "end": now.Unix() + 3600, "cell": "eu-3"})
}

func TestGolangJWTOpens(t *testing.T) {
	p := newParty(t)
	for protection, key := range map[string]any{"signed": p.mac.secret, "public": p.signer.Public()} {
		token, want := p.ours(t, protection)
		got := jwt.MapClaims{}
		parsed, err := jwt.ParseWithClaims(token, got, func(*jwt.Token) (any, error) { return key, nil },
			jwt.WithValidMethods([]string{"HS256", "EdDSA"}), jwt.WithAudience(domain), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding())
		if err != nil || !parsed.Valid || parsed.Header["typ"] != typ {
			t.Fatalf("%s: got %v, %v", protection, parsed, err)
		}
		same(t, protection, got, want)
	}
}

func TestGolangJWTRefused(t *testing.T) {
	p := newParty(t)
	sign := func(pairs ...any) string {
		header := map[string]any{"kid": p.mac.kid, "typ": typ}
		for i := 0; i < len(pairs); i += 2 {
			header[pairs[i].(string)] = pairs[i+1]
		}
		return jwtSign(t, jwt.SigningMethodHS256, p.mac.secret, header, jwt.MapClaims(claims()))
	}
	p.refuses(t, "typ JWT, its default", sign("typ", "JWT"), "malformed")
	p.refuses(t, "no typ", sign("typ", nil), "malformed")
	p.refuses(t, "no kid", sign("kid", nil), "malformed")
	p.refuses(t, "kid with a path", sign("kid", "../../dev/null"), "malformed")
	p.refuses(t, "crit", sign("crit", []string{"exp"}), "malformed")
	p.refuses(t, "zip", sign("zip", "DEF"), "malformed")
	p.refuses(t, "another header", sign("x", 1), "malformed")
	p.refuses(t, "alg of another key", sign("alg", "EdDSA"), "algorithm")
	none := map[string]any{"kid": p.mac.kid, "typ": typ}
	p.refuses(t, "none", jwtSign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, none, jwt.MapClaims(claims())), "algorithm")
	p.refuses(t, "none for the pair", jwtSign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType,
		map[string]any{"kid": p.sign.kid, "typ": typ}, jwt.MapClaims(claims())), "algorithm")
	p.refuses(t, "HS384", jwtSign(t, jwt.SigningMethodHS384, p.mac.secret, none, jwt.MapClaims(claims())), "algorithm")
	p.refuses(t, "another key", jwtSign(t, jwt.SigningMethodHS256, p.seal.secret, none, jwt.MapClaims(claims())), "forged")
	for _, name := range []string{"aud", "sid", "iat", "exp", "end"} {
		p.refuses(t, "no "+name, jwtSign(t, jwt.SigningMethodHS256, p.mac.secret, none, jwt.MapClaims(without(claims(), name))), "malformed")
	}
	float := claims()
	float["exp"] = float64(time.Now().Unix()) + 100.5
	p.refuses(t, "exp with a fraction", jwtSign(t, jwt.SigningMethodHS256, p.mac.secret, none, jwt.MapClaims(float)), "malformed")
	past := claims()
	past["exp"], past["iat"], past["sid"] = time.Now().Unix()-60, time.Now().Unix()-120, sid(time.Now().Unix()-120)
	p.refuses(t, "expired", jwtSign(t, jwt.SigningMethodHS256, p.mac.secret, none, jwt.MapClaims(past)), "expired")
}
