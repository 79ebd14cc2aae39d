package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzOpen opens anything: nothing panics, errors are of the profile's kinds, and what opens has one spelling.
func FuzzOpen(f *testing.F) {
	keys := vectorKeys(f)
	for _, token := range vectorTokens(f) {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		var buf HeaderBuffer
		parsed, err := Parse(token, &buf)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind < Malformed || e.Kind > Audience {
				t.Fatalf("got %v, want a refusal", err)
			}
			return
		}
		if !ValidKid(parsed.Kid) || len(token) > MaxToken {
			t.Fatalf("parsed with kid %q", parsed.Kid)
		}
		for _, k := range keys {
			payload, err := k.Open(&parsed, "shop")
			if err != nil {
				continue
			}
			wantCanonical(t, token)
			if parsed.Alg != A256GCM && encoding.EncodeToString(payload) != strings.Split(token, ".")[1] {
				t.Errorf("got a payload that is not the token's")
			}
			if parsed.Alg == HS256 && string(parsed.Kid) == k.kid && strings.HasPrefix(token, k.head) && k.Issue(payload, "shop") != token {
				t.Errorf("opened, but issued anew it is another token")
			}
		}
	})
}

// FuzzMutate changes good tokens: whatever is not the same bytes is refused.
func FuzzMutate(f *testing.F) {
	keys := vectorKeys(f)
	var good []string
	for _, name := range []string{"ok_signed", "ok_sealed", "ok_public", "ok_signed_mod1", "ok_sealed_mod2", "ok_header_order_sealed"} {
		good = append(good, goodTokens(f)[name])
	}
	for i := range good {
		f.Add(uint(i), uint(10), "A", uint(1))
		f.Add(uint(i), uint(400), "\n", uint(0))
		f.Add(uint(i), uint(1000), "==", uint(2))
	}
	f.Fuzz(func(t *testing.T, which, at uint, insert string, remove uint) {
		token := good[which%uint(len(good))]
		at %= uint(len(token) + 1)
		remove = min(remove, uint(len(token))-at)
		other := token[:at] + insert + token[at+remove:]
		if other == token {
			return
		}
		if payload, err := open(keys, "shop", other); err == nil {
			t.Errorf("got %s of %q, which is not %q", payload, other, token)
		}
	})
}

// FuzzClaims: encoding/json agrees with every payload that is accepted, and what is accepted has one spelling of its
// structure.
func FuzzClaims(f *testing.F) {
	for _, token := range vectorTokens(f) {
		if parts := strings.Split(token, "."); len(parts) == 3 {
			if payload, err := encoding.DecodeString(parts[1]); err == nil {
				f.Add(payload)
			}
		}
	}
	f.Add([]byte(testPayload))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if ValidValue(payload) {
			wantStrict(t, payload)
		}
		var c Claims
		if err := ParseClaims(&c, payload, "shop"); err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Malformed && e.Kind != Audience {
				t.Fatalf("got %v, want malformed or audience", err)
			}
			return
		}
		wantStrict(t, payload)
		var want map[string]json.RawMessage
		if err := json.Unmarshal(payload, &want); err != nil {
			t.Fatalf("encoding/json refuses what is accepted: %v", err)
		}
		n := 0
		c.All(func(name, value []byte) bool {
			n++
			if w, ok := want[string(name)]; !ok || !bytes.Equal(w, value) {
				t.Errorf("%s: got %s, encoding/json has %s, %v", name, value, w, ok)
			}
			if got := c.Raw(string(name)); !bytes.Equal(got, value) {
				t.Errorf("Raw(%s): got %s, want %s", name, got, value)
			}
			return true
		})
		if n != len(want) {
			t.Errorf("got %d claims, encoding/json has %d", n, len(want))
		}
		var known struct {
			Sid, Iss, Sub, Bas string
			Iat, Exp, End, Nbf int64
		}
		if err := unmarshalExact(payload, map[string]any{
			"sid": &known.Sid, "iss": &known.Iss, "sub": &known.Sub, "bas": &known.Bas,
			"iat": &known.Iat, "exp": &known.Exp, "end": &known.End, "nbf": &known.Nbf,
		}); err != nil {
			t.Fatal(err)
		}
		if known.Iat != c.Iat || known.Exp != c.Exp || known.End != c.End || known.Nbf != c.Nbf ||
			known.Sid != c.Text(Sid) || known.Iss != c.Text(Iss) || known.Sub != c.Text(Sub) || known.Bas != c.Text(Bas) {
			t.Errorf("got %d %d %d %d %q %q %q %q, encoding/json has %+v", c.Iat, c.Exp, c.End, c.Nbf, c.Text(Sid), c.Text(Iss), c.Text(Sub), c.Text(Bas), known)
		}
	})
}

// unmarshalExact reads members by their exact names; encoding/json alone does not tell capitals apart.
func unmarshalExact(payload []byte, to map[string]any) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return err
	}
	for name, v := range to {
		if raw, ok := all[name]; ok {
			if err := json.Unmarshal(raw, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantStrict checks a text by means that share nothing with the scanner.
func wantStrict(t *testing.T, text []byte) {
	t.Helper()
	if !json.Valid(text) || !utf8.Valid(text) {
		t.Fatalf("accepted, but no JSON: %q", text)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil || !bytes.Equal(compact.Bytes(), text) {
		t.Fatalf("accepted with white space: %q, %v", text, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	wantNoDouble(t, d)
	// encoding/json puts U+FFFD where a surrogate stands alone. Take out those that are meant.
	if plain := strings.NewReplacer("\ufffd", "", `\\`, "", `\ufffd`, "", `\uFFFD`, "").Replace(string(text)); !strings.Contains(strings.ToLower(plain), `\ufffd`) {
		var v any
		if err := json.Unmarshal([]byte(plain), &v); err == nil {
			again, err := json.Marshal(v)
			if err != nil || bytes.Contains(again, []byte("\ufffd")) || bytes.Contains(again, []byte(`\ufffd`)) {
				t.Fatalf("accepted with a lone surrogate: %q", text)
			}
		}
	}
}

// wantNoDouble reads one value and reports names that stand twice in one object.
func wantNoDouble(t *testing.T, d *json.Decoder) {
	t.Helper()
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			if seen[name.(string)] {
				t.Fatalf("accepted with the name %q twice", name)
			}
			seen[name.(string)] = true
			wantNoDouble(t, d)
		}
		_, err = d.Token()
	case json.Delim('['):
		for d.More() {
			wantNoDouble(t, d)
		}
		_, err = d.Token()
	}
	if err != nil {
		t.Fatal(err)
	}
}
