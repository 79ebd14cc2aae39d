package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// claims returns the claims of every token: the registered claims, and filler of a given size.
type claims struct {
	jwt.RegisteredClaims
	Sid  string `json:"sid"`
	End  int64  `json:"end"`
	Cell string `json:"cell"`
}

var cell = waybill.NewClaim[string]("cell")

// subject opens and issues tokens of one size and protection.
type subject struct {
	name  string
	open  func() error
	issue func() error
}

var sizes = []int{64, 256, 1024, 2048}

// subjects returns the libraries to compare, for application claims of a size in bytes of JSON.
func subjects(tb testing.TB, p waybill.Protection, size int) []subject {
	filler := strings.Repeat("x", size-len(`"cell":""`))
	switch p {
	case waybill.Signed:
		return signed(tb, filler)
	case waybill.Sealed:
		return sealed(tb, filler)
	default:
		return public(tb, filler)
	}
}

func ours(tb testing.TB, filler string, opts ...waybill.Option) (subject, *waybill.Waybill) {
	now := time.Now()
	var keys []*keyring.Key
	for _, alg := range []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public} {
		keys = append(keys, must(keyring.Generate(alg,
			keyring.Times{Created: now, NotBefore: now, Expires: now.Add(24 * time.Hour)}))(tb))
	}
	set := must(keyring.NewSet("shop", keys...))(tb)
	opts = append(opts, waybill.Claims(cell), waybill.AcceptLimit(waybill.MaxAcceptLimit), waybill.IssueLimit(waybill.MaxAcceptLimit))
	auth := must(waybill.New("shop", keyring.NewRing(set), opts...))(tb)
	wb := must(auth.Issue(cell.To(filler)))(tb)
	token := wb.Token()
	change := cell.To(filler)
	return subject{
		name: "waybill",
		open: func() error {
			wb, err := auth.Open(token)
			if err != nil {
				return err
			}
			if got, _ := cell.Of(wb); len(got) != len(filler) {
				return fmt.Errorf("got %d bytes", len(got))
			}
			return nil
		},
		issue: func() error {
			wb, err := auth.Issue(change)
			if err != nil {
				return err
			}
			wb.Token()
			return nil
		},
	}, wb
}

func theirClaims(filler string) claims {
	now := time.Now()
	return claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Audience:  jwt.ClaimStrings{"shop"},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(15 * time.Minute)),
		},
		Sid:  "AAAAAAAAAAAAAAAAAAAAAA",
		End:  now.Add(12 * time.Hour).Unix(),
		Cell: filler,
	}
}

func golangJWT(tb testing.TB, filler string, method jwt.SigningMethod, private, public any) subject {
	c := theirClaims(filler)
	issue := func() (string, error) {
		t := jwt.NewWithClaims(method, c)
		t.Header["typ"], t.Header["kid"] = "waybill+jwt", "a"
		return t.SignedString(private)
	}
	token := must(issue())(tb)
	parser := jwt.NewParser(jwt.WithValidMethods([]string{method.Alg()}), jwt.WithAudience("shop"), jwt.WithExpirationRequired())
	return subject{
		name: "golang-jwt",
		open: func() error {
			var c claims
			_, err := parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return public, nil })
			return err
		},
		issue: func() error {
			_, err := issue()
			return err
		},
	}
}

func goJOSESigned(tb testing.TB, filler string, alg jose.SignatureAlgorithm, private, public any) subject {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: "a"}},
		(&jose.SignerOptions{}).WithType("waybill+jwt")))(tb)
	c := theirClaims(filler)
	issue := func() (string, error) { return josejwt.Signed(signer).Claims(c).Serialize() }
	token := must(issue())(tb)
	return subject{
		name: "go-jose",
		open: func() error {
			t, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{alg})
			if err != nil {
				return err
			}
			return goJOSEClaims(func(to ...any) error { return t.Claims(public, to...) })
		},
		issue: func() error {
			_, err := issue()
			return err
		},
	}
}

// goJOSEClaims decodes and validates claims, which golang-jwt does in one call.
func goJOSEClaims(decode func(...any) error) error {
	var registered josejwt.Claims
	var c struct {
		Sid, Cell string
		End       int64
	}
	if err := decode(&registered, &c); err != nil {
		return err
	}
	return registered.Validate(josejwt.Expected{AnyAudience: josejwt.Audience{"shop"}, Time: time.Now()})
}

func signed(tb testing.TB, filler string) []subject {
	secret := make([]byte, 32)
	rand.Read(secret)
	us, wb := ours(tb, filler)
	payload := wb.Payload()
	parts := strings.Split(wb.Token(), ".")
	input := []byte(parts[0] + "." + parts[1])
	enc := base64.RawURLEncoding
	buf := make([]byte, 8<<10)
	mac := hmac.New(sha256.New, secret)
	bare := subject{
		name: "bare",
		open: func() error { // the MAC and one base64 pass
			mac.Reset()
			mac.Write(input)
			mac.Sum(buf[:0])
			_, err := enc.Decode(buf, input[len(parts[0])+1:])
			return err
		},
		issue: func() error {
			mac.Reset()
			enc.Encode(buf, payload)
			mac.Write(buf[:len(input)])
			mac.Sum(buf[:0])
			return nil
		},
	}
	return []subject{us, bare, golangJWT(tb, filler, jwt.SigningMethodHS256, secret, secret),
		goJOSESigned(tb, filler, jose.HS256, secret, secret)}
}

func public(tb testing.TB, filler string) []subject {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	us, wb := ours(tb, filler, waybill.Protect(waybill.Public))
	token := wb.Token()
	input := []byte(token[:strings.LastIndexByte(token, '.')])
	sig := ed25519.Sign(priv, input)
	bare := subject{
		name: "bare",
		open: func() error {
			if !ed25519.Verify(pub, input, sig) {
				return fmt.Errorf("signature not valid")
			}
			return nil
		},
		issue: func() error { ed25519.Sign(priv, input); return nil },
	}
	return []subject{us, bare, golangJWT(tb, filler, jwt.SigningMethodEdDSA, priv, pub),
		goJOSESigned(tb, filler, jose.EdDSA, priv, pub)}
}

func sealed(tb testing.TB, filler string) []subject {
	secret := make([]byte, 32)
	rand.Read(secret)
	us, wb := ours(tb, filler, waybill.Protect(waybill.Sealed))

	aead := must(cipher.NewGCM(must(aes.NewCipher(secret))(tb)))(tb)
	payload := wb.Payload()
	nonce := make([]byte, 12)
	box := aead.Seal(nil, nonce, payload, make([]byte, 100))
	text := []byte(base64.RawURLEncoding.EncodeToString(box))
	buf, out := make([]byte, 8<<10), make([]byte, 8<<10)
	bare := subject{
		name: "bare",
		open: func() error {
			n, err := base64.RawURLEncoding.Decode(buf, text)
			if err == nil {
				_, err = aead.Open(out[:0], nonce, buf[:n], make([]byte, 100))
			}
			return err
		},
		issue: func() error {
			rand.Read(nonce)
			base64.RawURLEncoding.Encode(buf, aead.Seal(out[:0], nonce, payload, make([]byte, 100)))
			return nil
		},
	}

	encrypter := must(jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: secret},
		(&jose.EncrypterOptions{}).WithType("waybill+jwt").WithHeader("kid", "a")))(tb)
	c := theirClaims(filler)
	issue := func() (string, error) { return josejwt.Encrypted(encrypter).Claims(c).Serialize() }
	token := must(issue())(tb)
	theirs := subject{
		name: "go-jose",
		open: func() error {
			t, err := josejwt.ParseEncrypted(token, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
			if err != nil {
				return err
			}
			return goJOSEClaims(func(to ...any) error { return t.Claims(secret, to...) })
		},
		issue: func() error {
			_, err := issue()
			return err
		},
	}
	return []subject{us, bare, theirs}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func BenchmarkOpen(b *testing.B)  { compare(b, func(s subject) func() error { return s.open }) }
func BenchmarkIssue(b *testing.B) { compare(b, func(s subject) func() error { return s.issue }) }

func compare(b *testing.B, of func(subject) func() error) {
	for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
		for _, size := range sizes {
			for _, s := range subjects(b, p, size) {
				b.Run(fmt.Sprintf("%s/%d/%s", p, size, s.name), func(b *testing.B) { measure(b, of(s)) })
			}
		}
	}
}

func measure(b *testing.B, f func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSameContent checks that all libraries issue the same claims. Otherwise the figures could not
// be compared.
func TestSameContent(t *testing.T) {
	_, wb := ours(t, "filler")
	var got, want map[string]any
	if err := json.Unmarshal(wb.Payload(), &got); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(theirClaims("filler"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("waybill lacks %s", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d claims, want %d", len(got), len(want))
	}
}
