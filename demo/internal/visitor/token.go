package visitor

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/keys"
)

const life = keys.Life

// sidOf returns the id of the token's journey.
func sidOf(token string) string {
	var claims struct{ Sid string }
	driver.Part(token, 1, &claims)
	return claims.Sid
}

func expires(token string) time.Time {
	var claims struct{ Exp int64 }
	driver.Part(token, 1, &claims)
	return time.Unix(claims.Exp, 0)
}

// Forgery is a token as an attacker would like it to be.
type Forgery struct{ What, Token string }

// Forge returns forgeries of a token. Tests replace it, to see that the verdict notices an accepted
// one.
var Forge = forgeries

// forgeries changes a signed token in every part. The attacker has no key, so the signature stays,
// or goes.
func forgeries(token string) []Forgery {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	var head, claims map[string]any
	driver.Part(token, 0, &head)
	driver.Part(token, 1, &claims)
	claims["total"] = 1
	cheap := encode(claims)
	none := map[string]any{"alg": "none", "kid": head["kid"], "typ": head["typ"]}
	other := map[string]any{"alg": head["alg"], "kid": "AAAAAAAAAAA", "typ": head["typ"]}
	return []Forgery{
		{"the total made 1 cent", parts[0] + "." + cheap + "." + parts[2]},
		{"the same without a signature", encode(none) + "." + cheap + "."},
		{"one character of the signature changed", parts[0] + "." + parts[1] + "." + flip(parts[2])},
		{"another journey's id", parts[0] + "." + swap(claims, "sid", "AAAAAAAAAAAAAAAAAAAAAA") + "." + parts[2]},
		{"a longer life", parts[0] + "." + swap(claims, "exp", time.Now().Add(time.Hour).Unix()) + "." + parts[2]},
		{"a key's name that does not exist, and its cell changed",
			encode(other) + "." + swap(claims, "cell", "us") + "." + parts[2]},
	}
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func swap(claims map[string]any, name string, v any) string {
	claims = maps.Clone(claims)
	claims[name] = v
	return encode(claims)
}

func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}
