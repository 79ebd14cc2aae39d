package keyring

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
)

// Times are the immutable times of a key, in whole seconds.
type Times struct {
	Created   time.Time // when the key was made
	NotBefore time.Time // when the key may begin to issue; it opens tokens from the start
	Expires   time.Time // when the key expires: it then neither issues nor opens
}

// Key is one key of a ring. It is immutable and safe for concurrent use; it never prints its
// secret. The zero Key and a nil Key have no name and no protection, and can neither issue nor
// open.
type Key struct {
	protection Protection
	kid        string
	times      Times
	foreign    bool
	keep       time.Time // see KeepUntil; zero: the key leaves its ring when it expires

	// Secrets are behind functions because package fmt prints the content of unexported fields
	// without calling their methods, and prints only an address for a function.
	secret func() []byte // nil for a key of public tokens
	pub    ed25519.PublicKey
	priv   func() ed25519.PrivateKey // nil: the key verifies only

	codec *jose.Key
}

// Generate makes a key from crypto/rand. It truncates the times to whole seconds. Created must be
// after 1970 and not after NotBefore, and NotBefore must be before Expires.
func Generate(p Protection, times Times) (*Key, error) {
	k := &Key{protection: p, times: times}
	switch p {
	case Signed, Sealed:
		secret := make([]byte, 32)
		rand.Read(secret)
		k.secret = func() []byte { return secret }
	case Public:
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		k.pub, k.priv = pub, func() ed25519.PrivateKey { return priv }
	default:
		return nil, fmt.Errorf("keyring: unknown protection %d: use Signed, Sealed or Public", p)
	}
	if err := k.finish(""); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return k, nil
}

// finish checks the key, derives its kid and makes its codec. Unless the key is foreign, a kid that
// is passed must be the derived one.
func (k *Key) finish(kid string) error {
	for _, t := range []*time.Time{&k.times.Created, &k.times.NotBefore, &k.times.Expires} {
		if !t.IsZero() {
			*t = time.Unix(t.Unix(), 0).UTC()
		}
	}
	if !k.foreign {
		t := k.times
		if t.Created.Unix() <= 0 || t.NotBefore.Before(t.Created) || !t.Expires.After(t.NotBefore) {
			return errors.New("the times of a key must be in order: iat <= nbf < exp")
		}
		if derived := k.derivedKid(); kid == "" {
			kid = derived
		} else if kid != derived {
			return fmt.Errorf("kid %.64q does not match its key and times: the entry was altered or made by other "+
				"software, whose JWK Sets are read with keyring.Foreign", kid)
		}
	}
	k.kid = kid
	var err error
	switch k.protection {
	case Signed:
		k.codec, err = jose.NewHS256(kid, k.secret())
	case Sealed:
		k.codec, err = jose.NewA256GCM(kid, k.secret())
	case Public:
		var priv ed25519.PrivateKey
		if k.priv != nil {
			priv = k.priv()
		}
		k.codec, err = jose.NewEd25519(kid, k.pub, priv)
	}
	return err
}

// derivedKid returns the first 8 bytes of SHA-256 over the length-prefixed label, alg, use, key and
// times, in base64url.
func (k *Key) derivedKid() string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte("waybill/kid/v1"), []byte(k.protection.alg()), []byte(k.use()), k.material()} {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(part))))
		h.Write(part)
	}
	for _, t := range []time.Time{k.times.Created, k.times.NotBefore, k.times.Expires} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(t.Unix())))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:8])
}

// material is the part of the key that its kid is derived from: the secret, or the public half.
func (k *Key) material() []byte {
	if k.protection == Public {
		return k.pub
	}
	return k.secret()
}

// use is the "use" of the JWK, or the single "key_ops" of a key that only derives other keys.
func (k *Key) use() string {
	if k.protection == Sealed {
		return "deriveKey"
	}
	return "sig"
}

// ID returns the kid.
func (k *Key) ID() string {
	if k == nil {
		return ""
	}
	return k.kid
}

// Protection returns how the key protects tokens.
func (k *Key) Protection() Protection {
	if k == nil {
		return 0
	}
	return k.protection
}

// Times returns the key's times. The times of a foreign key are zero: it issues at once and does
// not expire.
func (k *Key) Times() Times {
	if k == nil {
		return Times{}
	}
	return k.times
}

// CanIssue reports whether the key can issue tokens. A public half can only open them.
func (k *Key) CanIssue() bool { return k != nil && k.codec != nil && k.codec.CanIssue() }

// Public returns the public half of a key of public tokens, and nil for any other key.
func (k *Key) Public() *Key {
	if k.Protection() != Public {
		return nil
	}
	p := &Key{protection: k.protection, times: k.times, foreign: k.foreign, keep: k.keep, pub: k.pub}
	if err := p.finish(k.kid); err != nil {
		panic(err) // the key was good with its private half
	}
	return p
}

// Codec returns the codec that package waybill issues and opens tokens with. It is nil for a zero
// or nil Key.
func (k *Key) Codec() *jose.Key {
	if k == nil {
		return nil
	}
	return k.codec
}

// Gone reports whether the key has expired at t.
func (k *Key) Gone(t time.Time) bool {
	return k != nil && !k.times.Expires.IsZero() && t.After(k.times.Expires)
}

// issues reports whether the key may issue, at now, a token that expires at until.
func (k *Key) issues(now, until time.Time) bool {
	return k.CanIssue() && !k.times.NotBefore.After(now) && !k.Gone(until)
}

// String returns the protection and the kid of the key, and not its secret.
func (k *Key) String() string { return fmt.Sprintf("%s key %s", k.Protection(), k.ID()) }

// Format prints what [Key.String] returns, whatever the verb.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// LogValue returns the kid and the protection of the key for a structured log.
func (k *Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kid", k.ID()), slog.String("protection", k.Protection().String()))
}
