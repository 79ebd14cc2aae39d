package jose

import (
	"bytes"
	"encoding/binary"
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
	for _, name := range []string{"ok_signed", "ok_sealed", "ok_public", "ok_signed_mod1", "ok_sealed_mod2", "ok_header_order_sealed",
		"ok_edge", "ok_edge_sealed", "ok_edge_public"} {
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
	f.Add(edgePayload(`"rev":41,"has":"aB3_-xyzaB3_-xyz","was":{"tags":[["a","b"]],"seats":[]},"upd":{"cell":41},"sup":3`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if ValidValue(payload) {
			wantStrict(t, payload)
			wantMembers(t, payload)
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
		wantEdgeClaims(t, &c, payload)
	})
}

// wantEdgeClaims checks the claims of edges by encoding/json.
func wantEdgeClaims(t *testing.T, c *Claims, payload []byte) {
	t.Helper()
	var sid, has string
	var rev, sup *int64
	var was map[string][]json.RawMessage
	var upd map[string]int64
	if err := unmarshalExact(payload, map[string]any{
		"sid": &sid, "rev": &rev, "has": &has, "was": &was, "upd": &upd, "sup": &sup,
	}); err != nil {
		t.Fatal(err)
	}
	if raw := unbase64(t, sid); len(raw) != 16 || c.Began != int64(binary.BigEndian.Uint32(raw)) {
		t.Errorf("got begin %d of sid %s", c.Began, sid)
	}
	if got, want := c.Rev, int64(1); rev != nil && got != *rev || rev == nil && got != want || c.HasRev != (rev != nil) {
		t.Errorf("got rev %d, %v, encoding/json has %v", got, c.HasRev, rev)
	}
	if sup != nil && c.Sup != *sup || sup == nil && c.Sup != 0 || c.Sup < 0 || c.Sup > 1<<40 || c.Rev < 0 || c.Rev > 1<<53-1 {
		t.Errorf("got rev %d, sup %d, encoding/json has %v", c.Rev, c.Sup, sup)
	}
	if raw := c.Raw(Has); raw != nil && (string(raw) != `"`+has+`"` || len(has) == 0 || len(has)%8 != 0 || len(unbase64(t, has)) > 192*6) {
		t.Errorf("got has %s", raw)
	}
	for name, list := range was {
		if len(list) > 1 || list == nil {
			t.Errorf("accepted was with %d elements for %q", len(list), name)
		}
	}
	for name, at := range upd {
		if at < 1 || at > c.Rev {
			t.Errorf("accepted upd %d for %q, rev %d", at, name, c.Rev)
		}
	}
	for _, name := range []string{Was, Upd} {
		if raw := c.Raw(name); raw != nil {
			if raw[0] != '{' {
				t.Errorf("accepted %s %s", name, raw)
			}
			wantMembers(t, raw)
			Members(raw, func(name, _ []byte) bool {
				if bytes.IndexByte(name, '\\') >= 0 {
					t.Errorf("accepted the name %s", name)
				}
				return true
			})
		}
	}
}

// wantMembers compares Members with encoding/json, for an object that the scanner accepts.
func wantMembers(t *testing.T, object []byte) {
	t.Helper()
	var want map[string]json.RawMessage
	if object[0] != '{' {
		return
	}
	if err := json.Unmarshal(object, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	Members(object, func(name, value []byte) bool {
		n++
		if w, ok := want[unquote(name)]; !ok || !bytes.Equal(w, value) {
			t.Errorf("member %s: got %s, encoding/json has %s, %v", name, value, w, ok)
		}
		return true
	})
	if n != len(want) {
		t.Errorf("got %d members, encoding/json has %d", n, len(want))
	}
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
