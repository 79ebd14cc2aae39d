package jose

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

const testPayload = `{"aud":"shop","sid":"AAECAwQFBgcICQoLDA0ODw","iat":1,"exp":2,"end":3,"cell":"eu-3"}`

func secret(label string) []byte {
	s := sha256.Sum256([]byte(label))
	return s[:]
}

// symmetric are the constructors of keys that have a secret.
var symmetric = map[Alg]func(kid string, secret []byte) (*Key, error){HS256: NewHS256, A256GCM: NewA256GCM}

func newSecret(t testing.TB, alg Alg, kid string) *Key {
	t.Helper()
	k, err := symmetric[alg](kid, secret(kid))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEd25519(t testing.TB, kid string) *Key {
	t.Helper()
	priv := ed25519.NewKeyFromSeed(secret(kid))
	k, err := NewEd25519(kid, priv.Public().(ed25519.PublicKey), priv)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// eachKey is one key of each algorithm.
func eachKey(t testing.TB) []*Key {
	t.Helper()
	return []*Key{newSecret(t, HS256, "mac"), newSecret(t, A256GCM, "seal"), newEd25519(t, "sign")}
}

func parse(t testing.TB, token string) *Token {
	t.Helper()
	var buf HeaderBuffer
	parsed, err := Parse(token, &buf)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func wantKind(t testing.TB, what string, err error, want Kind) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != want {
		t.Errorf("%s: got %v, want an error of kind %d", what, err, want)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNewKeyErrors(t *testing.T) {
	long := strings.Repeat("k", 64)
	for _, test := range []struct {
		alg Alg
		kid string
		n   int
		ok  bool
	}{
		{HS256, "k", 32, true}, {A256GCM, "k", 32, true}, {HS256, long, 512, true}, {HS256, "A-z_9", 33, true},
		{HS256, "k", 31, false}, {A256GCM, "k", 31, false}, {HS256, "k", 0, false},
		{HS256, "", 32, false}, {HS256, long + "k", 32, false}, {HS256, "a.b", 32, false}, {HS256, "a b", 32, false},
		{HS256, `a"`, 32, false}, {HS256, "é", 32, false}, {HS256, "a\n", 32, false},
	} {
		k, err := symmetric[test.alg](test.kid, make([]byte, test.n))
		if (err == nil) != test.ok || (k == nil) == test.ok {
			t.Errorf("%v, kid %q, %d bytes: got %v, %v, want ok %v", test.alg, test.kid, test.n, k, err, test.ok)
		}
	}
	priv := ed25519.NewKeyFromSeed(secret("a"))
	pub := priv.Public().(ed25519.PublicKey)
	other := ed25519.NewKeyFromSeed(secret("b"))
	for _, test := range []struct {
		name string
		kid  string
		pub  ed25519.PublicKey
		priv ed25519.PrivateKey
		ok   bool
	}{
		{"pair", "k", pub, priv, true},
		{"public half", "k", pub, nil, true},
		{"bad kid", "a.b", pub, priv, false},
		{"short", "k", pub[:31], nil, false},
		{"another's private key", "k", pub, other, false},
		{"seed instead of private key", "k", pub, ed25519.PrivateKey(secret("a")), false},
	} {
		k, err := NewEd25519(test.kid, test.pub, test.priv)
		if (err == nil) != test.ok {
			t.Errorf("%s: got %v, want ok %v", test.name, err, test.ok)
		}
		if err == nil && k.CanIssue() != (test.priv != nil) {
			t.Errorf("%s: CanIssue: got %v", test.name, k.CanIssue())
		}
	}
}

func TestSecretIsCopied(t *testing.T) {
	for _, alg := range []Alg{HS256, A256GCM} {
		s := secret("copied")
		k, err := symmetric[alg]("k", s)
		if err != nil {
			t.Fatal(err)
		}
		token := k.Issue([]byte(testPayload), "shop")
		clear(s)
		if _, err := k.Open(parse(t, token), "shop"); err != nil {
			t.Errorf("%v: the key changed with the caller's bytes: %v", alg, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, k := range eachKey(t) {
		for n := range 200 {
			payload := bytes.Repeat([]byte{'x'}, n)
			token := k.Issue(payload, "shop")
			if len(token) != k.Len(n) {
				t.Fatalf("%v: got a token of %d bytes, Len says %d", k.alg, len(token), k.Len(n))
			}
			parsed := parse(t, token)
			if string(parsed.Kid) != k.kid || parsed.Alg != k.alg {
				t.Fatalf("got kid %s and alg %v, want %s and %v", parsed.Kid, parsed.Alg, k.kid, k.alg)
			}
			if got, err := k.Open(parsed, "shop"); err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("%v: got %q, %v, want %d times x", k.alg, got, err, n)
			}
		}
	}
	if HS256.String() != "HS256" || A256GCM.String() != "dir" || EdDSA.String() != "EdDSA" || Alg(0).String() != "unknown" {
		t.Error("an algorithm has the wrong name")
	}
}

// TestWrongKey opens each token with each other key under the same name.
func TestWrongKey(t *testing.T) {
	keys := eachKey(t)
	for _, k := range keys {
		token := k.Issue([]byte(testPayload), "shop")
		for _, other := range keys {
			if other == k {
				continue
			}
			_, err := other.Open(parse(t, token), "shop")
			wantKind(t, fmt.Sprintf("%v opened as %v", k.alg, other.alg), err, Algorithm)
		}
	}
	for _, alg := range []Alg{HS256, A256GCM} {
		other, err := symmetric[alg]("k", secret("another"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = newSecret(t, alg, "k").Open(parse(t, other.Issue([]byte(testPayload), "shop")), "shop")
		wantKind(t, alg.String(), err, Forged)
	}
}

// TestPayloadIsItsOwn: what Open returned does not change when the pools are used again.
func TestPayloadIsItsOwn(t *testing.T) {
	for _, k := range eachKey(t) {
		first, err := k.Open(parse(t, k.Issue([]byte(testPayload), "shop")), "shop")
		if err != nil {
			t.Fatal(err)
		}
		token := k.Issue(bytes.Repeat([]byte("y"), 500), "shop")
		kept := strings.Clone(token)
		for range 20 {
			if _, err := k.Open(parse(t, k.Issue(bytes.Repeat([]byte("z"), 600), "shop")), "shop"); err != nil {
				t.Fatal(err)
			}
		}
		if string(first) != testPayload || token != kept {
			t.Errorf("%v: a result changed: got %s", k.alg, first)
		}
	}
}

// TestRFC7515 is the example of RFC 7515, appendix A.1. The MAC is right; the header, with another typ and white space,
// is not of this profile.
func TestRFC7515(t *testing.T) {
	const input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" +
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	const sum = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	k, err := NewHS256("rfc7515", unbase64(t,
		"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"))
	if err != nil {
		t.Fatal(err)
	}
	s := k.macs.Get().(*macState)
	s.mac.Reset()
	s.mac.Write([]byte(input))
	if got := encoding.EncodeToString(s.mac.Sum(nil)); got != sum {
		t.Errorf("MAC: got %s, want %s", got, sum)
	}
	// The same through the token, with the header read by the profile's rules set aside.
	dot := strings.IndexByte(input, '.')
	token := &Token{Alg: HS256, text: input + "." + sum, dots: [4]int{dot, len(input)}}
	payload, err := k.Open(token, "")
	if err != nil || !bytes.Contains(payload, []byte(`"iss":"joe"`)) {
		t.Errorf("got %s, %v, want the claims of joe", payload, err)
	}
	var buf HeaderBuffer
	_, err = Parse(input+"."+sum, &buf)
	wantKind(t, "Parse", err, Malformed)
	wantKind(t, "ParseClaims", ParseClaims(new(Claims), payload, "joe"), Malformed)
}

// TestRFC8037 is the example of RFC 8037, appendix A.4.
func TestRFC8037(t *testing.T) {
	const input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
	const sig = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	priv := ed25519.NewKeyFromSeed(unbase64(t, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
	k, err := NewEd25519("rfc8037", unbase64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), priv)
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.IndexByte(input, '.')
	payload, err := k.Open(&Token{Alg: EdDSA, text: input + "." + sig, dots: [4]int{dot, len(input)}}, "")
	if err != nil || string(payload) != "Example of Ed25519 signing" {
		t.Errorf("got %q, %v, want the example", payload, err)
	}
	var buf HeaderBuffer
	_, err = Parse(input+"."+sig, &buf)
	wantKind(t, "Parse", err, Malformed)

	// What we sign is what Ed25519 makes of the same bytes.
	token := k.Issue([]byte("Example"), "")
	i := strings.LastIndexByte(token, '.')
	if got := token[i+1:]; got != encoding.EncodeToString(ed25519.Sign(priv, []byte(token[:i]))) {
		t.Errorf("signature: got %s", got)
	}
}

// expand is HKDF (RFC 5869) with SHA-256 to 32 bytes, by hand.
func expand(ikm []byte, info string) []byte {
	mac := func(key []byte, data ...[]byte) []byte {
		m := hmac.New(sha256.New, key)
		for _, d := range data {
			m.Write(d)
		}
		return m.Sum(nil)
	}
	return mac(mac(make([]byte, 32), ikm), []byte(info), []byte{1})
}

// TestDerivedKey computes the content key of a sealed token without our code, and holds one as a constant, so that no
// change of the derivation goes unseen.
func TestDerivedKey(t *testing.T) {
	const salt = "EBESExQVFhcYGRobHB0eHw"
	info := "\x00\x12waybill/a256gcm/v1" + "\x00\x04shop" + "\x00\x04seal" + "\x00\x16" + salt
	key := expand(secret("seal"), info)
	const frozen = "88b100c355e03d28ad9534e1cd6c70e8108fee75354dbd814072e467001911e2"
	if got := hex.EncodeToString(key); got != frozen {
		t.Errorf("content key: got %s, want %s", got, frozen)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	k := newSecret(t, A256GCM, "seal")
	nonce := make([]byte, 12)
	if got := k.derive("shop", []byte(salt)).Seal(nil, nonce, []byte("x"), []byte("aad")); !bytes.Equal(got, want.Seal(nil, nonce, []byte("x"), []byte("aad"))) {
		t.Errorf("derive seals differently: got %x", got)
	}
	// Whatever takes part in the derivation changes the key, also where the same characters are split differently.
	seen := map[string]string{}
	for _, d := range []struct{ kid, domain, salt string }{
		{"seal", "shop", salt}, {"seal", "shop2", salt}, {"sea", "shop", salt}, {"seal", "sho", salt}, {"eal", "shops", salt},
		{"seal", "shop", "AAECAwQFBgcICQoLDA0ODw"}, {"seals", "hop", salt},
	} {
		k, err := NewA256GCM(d.kid, secret("seal"))
		if err != nil {
			t.Fatal(err)
		}
		box := string(k.derive(d.domain, []byte(d.salt)).Seal(nil, nonce, []byte("x"), nil))
		if other, ok := seen[box]; ok {
			t.Errorf("%v and %s have the same content key", d, other)
		}
		seen[box] = fmt.Sprint(d)
	}
	// RFC 5869, test case 3, has neither salt nor info.
	okm := expand(bytes.Repeat([]byte{0x0b}, 22), "")
	if got := hex.EncodeToString(okm); got != "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d" {
		t.Errorf("HKDF by hand: got %s", got)
	}
}

// gcmCases are those of McGrew and Viega for AES-256, which NIST took over.
var gcmCases = []struct{ key, iv, text, aad, box, tag string }{
	{strings.Repeat("00", 32), strings.Repeat("00", 12), "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
	{strings.Repeat("00", 32), strings.Repeat("00", 12), strings.Repeat("00", 16), "",
		"cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
	{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255", "",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
		"b094dac5d93471bdec1a502270e3cc6c"},
	{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		"76fc6ece0f4e1768cddf8853bb2d551b"},
}

// TestGCM puts known boxes into tokens: nonce, ciphertext and tag stand where they should, and the additional data is what
// it should be.
func TestGCM(t *testing.T) {
	const salt = "EBESExQVFhcYGRobHB0eHw"
	for i, c := range gcmCases {
		block, err := aes.NewCipher(unhex(t, c.key))
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		k := newSecret(t, A256GCM, "seal")
		d := derivation{domain: "shop"}
		copy(d.salt[:], salt)
		k.remember(d, gcm)
		// The "header" is the additional data of the case; the parser, which would refuse it, is set aside.
		aad := string(unhex(t, c.aad))
		token := func(iv, box, tag []byte) *Token {
			text := aad + ".."
			nonce := len(text) - 1
			text += encoding.EncodeToString(iv) + "."
			ciphertext := len(text) - 1
			text += encoding.EncodeToString(box) + "."
			end := len(text) - 1
			return &Token{Alg: A256GCM, Kid: []byte("seal"), Salt: []byte(salt), text: text + encoding.EncodeToString(tag),
				dots: [4]int{len(aad), nonce, ciphertext, end}}
		}
		iv, box, tag := unhex(t, c.iv), unhex(t, c.box), unhex(t, c.tag)
		got, err := k.Open(token(iv, box, tag), "shop")
		if err != nil || !bytes.Equal(got, unhex(t, c.text)) {
			t.Errorf("case %d: got %x, %v, want %s", i, got, err, c.text)
		}
		// As Wycheproof does: every bit of nonce, ciphertext and tag counts.
		for _, part := range [][]byte{iv, box, tag} {
			for bit := range len(part) * 8 {
				part[bit/8] ^= 1 << (bit % 8)
				if got, err := k.Open(token(iv, box, tag), "shop"); err == nil {
					t.Fatalf("case %d: a changed bit was accepted as %x", i, got)
				}
				part[bit/8] ^= 1 << (bit % 8)
			}
		}
		for n := range 16 { // truncated tags
			_, err := k.Open(token(iv, box, tag[:n]), "shop")
			wantKind(t, fmt.Sprintf("case %d, tag of %d bytes", i, n), err, Malformed)
		}
		for _, n := range []int{0, 8, 11} {
			_, err := k.Open(token(iv[:n], box, tag), "shop")
			wantKind(t, fmt.Sprintf("case %d, nonce of %d bytes", i, n), err, Malformed)
		}
		_, err = k.Open(token(append(iv, 0, 0, 0, 1), box, tag), "shop")
		wantKind(t, fmt.Sprintf("case %d, nonce of 16 bytes", i), err, Malformed)
	}
}

// TestSaltIsRenewed: a process starts a new content key long before GCM's bound.
func TestSaltIsRenewed(t *testing.T) {
	k := newSecret(t, A256GCM, "seal")
	salt := func(token string) string { return string(parse(t, token).Salt) }
	first := k.Issue([]byte(testPayload), "shop")
	if again := k.Issue([]byte(testPayload), "shop"); salt(again) != salt(first) {
		t.Error("two tokens of one process have different salts")
	}
	if other := k.Issue([]byte(testPayload), "bank"); salt(other) == salt(first) {
		t.Error("two domains have the same salt")
	}
	v, _ := k.sealers.Load("shop")
	v.(*sealer).cur.Load().used.Store(maxSealed - 50)
	var all sync.WaitGroup
	tokens := make([]string, 200)
	for i := range tokens {
		all.Go(func() { tokens[i] = k.Issue([]byte(testPayload), "shop") })
	}
	all.Wait()
	old, salts := 0, map[string]bool{}
	for _, token := range tokens {
		if salt(token) == salt(first) {
			old++
		}
		salts[salt(token)] = true
		if _, err := k.Open(parse(t, token), "shop"); err != nil {
			t.Error(err)
		}
	}
	if old != 50 || len(salts) != 2 {
		t.Errorf("got %d tokens under the old salt and %d salts, want 50 and 2", old, len(salts))
	}
	if other := newSecret(t, A256GCM, "seal"); salt(other.Issue([]byte(testPayload), "shop")) == salt(tokens[0]) {
		t.Error("a key loaded again goes on with the old salt")
	}
}

// TestDerivedKeysAreBounded: who cannot seal cannot fill the memory, and who can fills a bounded part of it.
func TestDerivedKeysAreBounded(t *testing.T) {
	k := newSecret(t, A256GCM, "seal")
	remembered := func() int { return len(*k.derived.Load()) }
	forge, err := NewA256GCM("seal", secret("attacker"))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		forge.sealers.Clear() // a new salt each time
		_, err := k.Open(parse(t, forge.Issue([]byte(testPayload), "shop")), "shop")
		wantKind(t, "forged", err, Forged)
	}
	if got := remembered(); got != 0 {
		t.Errorf("got %d remembered keys after forged tokens, want 0", got)
	}
	const members = maxDerived + 100
	var tokens []string
	for range members {
		k.sealers.Clear()
		token := k.Issue([]byte(testPayload), "shop")
		tokens = append(tokens, token)
		if _, err := k.Open(parse(t, token), "shop"); err != nil {
			t.Fatal(err)
		}
	}
	if got := remembered(); got != maxDerived {
		t.Errorf("got %d remembered keys of %d, want %d", got, members, maxDerived)
	}
	for _, token := range tokens { // those that were dropped are derived anew
		if _, err := k.Open(parse(t, token), "shop"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeyIsConcurrent uses one key from many goroutines; it is of most use under the race detector.
func TestKeyIsConcurrent(t *testing.T) {
	for _, k := range eachKey(t) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 40 {
					payload := fmt.Sprintf("%d/%d", i, j)
					var buf HeaderBuffer
					token, err := Parse(k.Issue([]byte(payload), "shop"), &buf)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := k.Open(&token, "shop"); err != nil || string(got) != payload {
						t.Errorf("%v: got %s, %v, want %s", k.alg, got, err, payload)
					}
				}
			})
		}
		all.Wait()
	}
}
