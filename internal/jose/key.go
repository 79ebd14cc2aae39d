package jose

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
)

// MinSecret is the shortest secret of a symmetric key, in bytes (RFC 7518, section 3.2).
const MinSecret = 32

// Key makes and opens tokens of one algorithm. It is safe for concurrent use and must not be
// copied. Its secrets are behind functions, of which package fmt prints no more than an address.
type Key struct {
	alg Alg
	kid string

	head string    // signed and public: the encoded header and its dot
	macs sync.Pool // signed: *macState

	prk     func() []byte // sealed: what content keys are expanded from
	derived atomic.Pointer[map[derivation]cipher.AEAD]
	admit   sync.Mutex // serialises writers of derived
	sealers sync.Map   // domain → *sealer

	pub  ed25519.PublicKey
	priv func() ed25519.PrivateKey // nil: verifies only
}

// NewHS256 returns a key that signs tokens with HMAC. It copies secret.
func NewHS256(kid string, secret []byte) (*Key, error) {
	if err := checkSecret(kid, secret); err != nil {
		return nil, err
	}
	secret = append([]byte(nil), secret...)
	k := &Key{alg: HS256, kid: kid, head: string(append(appendHeader(nil, HS256, kid, ""), '.'))}
	k.macs.New = func() any { return &macState{mac: hmac.New(sha256.New, secret)} }
	return k, nil
}

// NewA256GCM returns a key that seals tokens under keys derived from secret, which it does not
// keep.
func NewA256GCM(kid string, secret []byte) (*Key, error) {
	if err := checkSecret(kid, secret); err != nil {
		return nil, err
	}
	prk, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		return nil, err
	}
	k := &Key{alg: A256GCM, kid: kid, prk: func() []byte { return prk }}
	k.derived.Store(&map[derivation]cipher.AEAD{})
	return k, nil
}

func checkSecret(kid string, secret []byte) error {
	if !ValidKid(kid) {
		return errKid
	}
	if len(secret) < MinSecret {
		return errors.New("secret is shorter than 32 bytes")
	}
	return nil
}

var errKid = errors.New("kid is not 1 to 64 characters of A-Z a-z 0-9 _ -")

// NewEd25519 returns a key that verifies tokens, and also signs them if priv is not nil.
func NewEd25519(kid string, pub ed25519.PublicKey, priv ed25519.PrivateKey) (*Key, error) {
	if !ValidKid(kid) {
		return nil, errKid
	}
	if len(pub) != ed25519.PublicKeySize {
		return nil, errors.New("public key is not 32 bytes")
	}
	if priv != nil && (len(priv) != ed25519.PrivateKeySize || !pub.Equal(priv.Public())) {
		return nil, errors.New("private key does not belong to the public key")
	}
	head := string(append(appendHeader(nil, EdDSA, kid, ""), '.'))
	k := &Key{alg: EdDSA, kid: kid, head: head, pub: pub}
	if priv != nil {
		k.priv = func() ed25519.PrivateKey { return priv }
	}
	return k, nil
}

// Alg returns the key's algorithm.
func (k *Key) Alg() Alg { return k.alg }

// Head returns the encoded header of every token that the key signs, and "" for a key that seals:
// those differ.
func (k *Key) Head() string { return strings.TrimSuffix(k.head, ".") }

// CanIssue reports whether the key makes tokens, and not only opens them.
func (k *Key) CanIssue() bool { return k.alg != EdDSA || k.priv != nil }

// Open verifies t, which must name this key, and returns its payload in memory of its own. The
// domain takes part in the derivation of sealed tokens' keys; the caller compares it with the
// payload's aud all the same.
func (k *Key) Open(t *Token, domain string) ([]byte, error) {
	if t.Alg != k.alg {
		return nil, errAlgorithm
	}
	var payload []byte
	var err error
	switch k.alg {
	case HS256:
		payload, err = k.openMAC(t)
	case A256GCM:
		payload, err = k.openSealed(t, domain)
	default:
		payload, err = k.openSignature(t)
	}
	if err != nil {
		return nil, t.explain(err)
	}
	return payload, nil
}

// Issue protects payload. It panics if the key cannot issue: callers ask CanIssue first.
func (k *Key) Issue(payload []byte, domain string) string {
	switch k.alg {
	case HS256:
		return k.issueMAC(payload)
	case A256GCM:
		return k.issueSealed(payload, domain)
	default:
		return k.issueSignature(payload)
	}
}

// Len returns the length of the token that Issue makes of a payload of n bytes.
func (k *Key) Len(n int) int {
	n = encoding.EncodedLen(n)
	switch k.alg {
	case HS256:
		return len(k.head) + n + 1 + macLen
	case A256GCM:
		head := encoding.EncodedLen(len(headDir) + len(k.kid) + 1 + saltLen + len(headTail))
		return head + 2 + nonceLen + 1 + n + 1 + tagLen
	default:
		return len(k.head) + n + 1 + ed25519Len
	}
}

var (
	errAlgorithm = &Error{Algorithm, "the header's alg is not the key's"}
	errForged    = &Error{Forged, "signature or tag does not match"}
	errBase64    = &Error{Malformed, "a part is not canonical base64url"}
	errParts     = &Error{Malformed, "a signature algorithm in a token of five parts"}
	errLength    = &Error{Malformed, "a part has the wrong length"}
)

// macState is one goroutine's HMAC, keyed once, and a buffer. Nothing of it outlives a call.
type macState struct {
	mac  hash.Hash
	buf  []byte
	sum  [sha256.Size]byte
	want [macLen]byte
}

func (k *Key) openMAC(t *Token) ([]byte, error) {
	if len(t.text)-t.dots[1]-1 != macLen {
		return nil, errLength
	}
	s := k.macs.Get().(*macState)
	defer k.macs.Put(s)
	s.buf = append(s.buf[:0], t.text...)
	s.mac.Reset()
	s.mac.Write(s.buf[:t.dots[1]])
	// Encoded forms are compared, so that no other spelling of the same MAC passes.
	encoding.Encode(s.want[:], s.mac.Sum(s.sum[:0]))
	if got := s.buf[t.dots[1]+1:]; !hmac.Equal(s.want[:], got) {
		return nil, refuseMAC(got)
	}
	return decode(s.buf[t.dots[0]+1 : t.dots[1]])
}

// refuseMAC tells a MAC that does not match from one that is misspelled.
func refuseMAC(got []byte) error {
	var raw [sha256.Size]byte
	if _, ok := decode64(raw[:], got); !ok {
		return errBase64
	}
	return errForged
}

func (k *Key) issueMAC(payload []byte) string {
	s := k.macs.Get().(*macState)
	defer k.macs.Put(s)
	s.buf = encoding.AppendEncode(append(s.buf[:0], k.head...), payload)
	s.mac.Reset()
	s.mac.Write(s.buf)
	s.buf = encoding.AppendEncode(append(s.buf, '.'), s.mac.Sum(s.sum[:0]))
	return string(s.buf)
}

func (k *Key) openSignature(t *Token) ([]byte, error) {
	if len(t.text)-t.dots[1]-1 != ed25519Len {
		return nil, errLength
	}
	var sig [ed25519.SignatureSize]byte
	s := buffers.Get().(*buffer)
	defer buffers.Put(s)
	s.b = append(s.b[:0], t.text...)
	if _, ok := decode64(sig[:], s.b[t.dots[1]+1:]); !ok {
		return nil, errBase64
	}
	if !ed25519.Verify(k.pub, s.b[:t.dots[1]], sig[:]) {
		return nil, errForged
	}
	return decode(s.b[t.dots[0]+1 : t.dots[1]])
}

func (k *Key) issueSignature(payload []byte) string {
	s := buffers.Get().(*buffer)
	defer buffers.Put(s)
	s.b = encoding.AppendEncode(append(s.b[:0], k.head...), payload)
	sig := ed25519.Sign(k.priv(), s.b)
	s.b = encoding.AppendEncode(append(s.b, '.'), sig)
	return string(s.b)
}

// buffer is scratch space; what callers receive is always copied out of it.
type buffer struct {
	b     []byte
	nonce [nonceSize]byte
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// decode returns the bytes of one part, in memory of their own.
func decode(part []byte) ([]byte, error) {
	out, ok := decode64(make([]byte, encoding.DecodedLen(len(part))), part)
	if !ok {
		return nil, errBase64
	}
	return out, nil
}
