package jose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// goodTokens are tokens that open under vectorKeys, one of each form and each remainder of base64.
func goodTokens(t testing.TB) map[string]string {
	t.Helper()
	all := vectorTokens(t)
	maps.DeleteFunc(all, func(name, token string) bool {
		return !strings.HasPrefix(name, "ok_") || strings.Contains(name, "foreign") || len(token) > 700
	})
	return all
}

// TestOneSpelling tries every other spelling of a token that differs in one place: all are refused.
func TestOneSpelling(t *testing.T) {
	keys := vectorKeys(t)
	const domain = "shop"
	tokens := goodTokens(t)
	bytesToTry := func(token string) []byte {
		if strings.Count(token, ".") == 2 && parse(t, token).Alg == EdDSA {
			return []byte("AQgw.-_=+/\n\x00") // each costs a verification
		}
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		return all
	}
	for _, name := range []string{"ok_signed", "ok_signed_mod1", "ok_signed_mod2", "ok_sealed", "ok_sealed_mod0", "ok_sealed_mod1", "ok_public", "ok_header_order_signed"} {
		token := tokens[name]
		if _, err := open(keys, domain, token); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		refused := func(other, how string, i int) {
			if payload, err := open(keys, domain, other); err == nil && other != token {
				t.Errorf("%s, %s at %d: got %s, want it refused", name, how, i, payload)
			}
		}
		for i := range token {
			for _, c := range bytesToTry(token) {
				refused(token[:i]+string([]byte{c})+token[i+1:], "changed", i)
			}
			for _, c := range []byte("A.=\n\r \x00") {
				refused(token[:i]+string([]byte{c})+token[i:], "inserted", i)
			}
			refused(token[:i]+token[i+1:], "removed", i)
			refused(token[:i], "cut", i)
			refused(token[i:], "cut in front", i)
		}
		for _, c := range []byte("A.=\n\r \x00") {
			refused(token+string([]byte{c}), "added", len(token))
		}
		refused(token+"."+token, "doubled", 0)
		refused(strings.ToUpper(token), "capitals", 0)
	}
}

// TestReencode: a token that opens is made of its parts, encoded in the one way there is.
func TestReencode(t *testing.T) {
	keys := vectorKeys(t)
	for name, token := range goodTokens(t) {
		if _, err := open(keys, "shop", token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantCanonical(t, token)
	}
}

func wantCanonical(t testing.TB, token string) {
	t.Helper()
	for part := range strings.SplitSeq(token, ".") {
		raw, err := encoding.DecodeString(part)
		if err != nil || encoding.EncodeToString(raw) != part {
			t.Errorf("a token was opened that has a part in another spelling: %q, %v", part, err)
		}
	}
}

func TestParseKeepsNothingOfTheBuffer(t *testing.T) {
	token := goodTokens(t)["ok_sealed"]
	var a, b HeaderBuffer
	first, err := Parse(token, &a)
	if err != nil {
		t.Fatal(err)
	}
	kid := string(first.Kid)
	if _, err := Parse(goodTokens(t)["ok_signed"], &b); err != nil {
		t.Fatal(err)
	}
	if string(first.Kid) != kid {
		t.Errorf("got kid %s, want %s: two tokens share a buffer", first.Kid, kid)
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct {
		text string
		want string
	}{
		{"", "not a compact"},
		{strings.Repeat("A", MaxToken+1), "longer than any"},
		{strings.Repeat(".", MaxToken), "more than five"},
		{"a.b.c\n", "line break"},
		{"\ra.b.c", "line break"},
		{strings.Repeat("A", 300) + ".b.c", "header too long"},
		{"a.b.c", "not canonical"},
		{"!!!!.b.c", "not canonical"},
	} {
		var buf HeaderBuffer
		_, err := Parse(test.text, &buf)
		wantKind(t, test.text[:min(20, len(test.text))], err, Malformed)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.20s: got %v, want a text with %q", test.text, err, test.want)
		}
	}
}

// TestHeaderForms: the header that is recognised by its bytes and the one that is parsed say the same.
func TestHeaderForms(t *testing.T) {
	for _, alg := range []Alg{HS256, A256GCM, EdDSA} {
		raw, err := encoding.DecodeString(string(appendHeader(nil, alg, "the-kid", "EBESExQVFhcYGRobHB0eHw")))
		if err != nil {
			t.Fatal(err)
		}
		known, ok := knownHeader(raw)
		if !ok {
			t.Errorf("%s: our own header is not known", raw)
		}
		parsed, err := parseHeader(raw)
		if err != nil || parsed.alg != known.alg || string(parsed.kid) != string(known.kid) || parsed.alg != alg {
			t.Errorf("%s: got %v %s and %v %s, %v", raw, parsed.alg, parsed.kid, known.alg, known.kid, err)
		}
		for i := range raw {
			for c := range 256 {
				other := slices.Clone(raw)
				other[i] = byte(c)
				known, ok := knownHeader(other)
				if !ok || !ValidKid(strings.Replace(string(known.kid), ".", "", 1)) {
					continue
				}
				parsed, err := parseHeader(other)
				if err != nil || parsed.alg != known.alg || string(parsed.kid) != string(known.kid) {
					t.Fatalf("%s: known, but parsed as %v %s, %v", other, parsed.alg, parsed.kid, err)
				}
			}
		}
	}
}

func TestValidKid(t *testing.T) {
	for kid, want := range map[string]bool{
		"a": true, "Z": true, "0": true, "-": true, "_": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, ".": false, "a b": false, "é": false, "a\x00": false, "=": false, "+": false, "/": false,
	} {
		if got := ValidKid(kid); got != want {
			t.Errorf("%q: got %v, want %v", kid, got, want)
		}
		if got := ValidKid([]byte(kid)); got != want {
			t.Errorf("%q as bytes: got %v, want %v", kid, got, want)
		}
	}
}

func TestErrorsHoldNothing(t *testing.T) {
	keys := vectorKeys(t)
	for name, token := range vectorTokens(t) {
		_, err := open(keys, "shop", token)
		if err == nil || len(token) < 40 {
			continue
		}
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 20 && strings.Contains(fmt.Sprint(err), part[:20]) {
				t.Errorf("%s: the error holds a part of the token: %v", name, err)
			}
		}
	}
}
