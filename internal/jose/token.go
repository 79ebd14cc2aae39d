package jose

import (
	"bytes"
	"strings"
)

const (
	maxKid     = 64
	saltLen    = 22 // 16 bytes in base64url
	maxHeader  = 192
	nonceSize  = 12
	nonceLen   = 16 // 12 bytes in base64url
	tagSize    = 16
	tagLen     = 22 // 16 bytes in base64url
	macLen     = 43 // 32 bytes in base64url
	ed25519Len = 86 // 64 bytes in base64url
)

// HeaderBuffer is room for a decoded header. Callers keep it on their stack, so that parsing allocates nothing.
type HeaderBuffer [maxHeader]byte

// Token is a token split into its parts, with its header read. Nothing of it is verified.
type Token struct {
	Alg  Alg
	Kid  []byte // name of the ring key; may point into the HeaderBuffer
	Salt []byte // sealed tokens only: 22 characters; may point into the HeaderBuffer

	text string
	dots [4]int // positions; a JWS has the first two
}

// Parse splits text and reads its header into buf. Whoever calls it has checked the length of text; more than
// [MaxToken] is refused all the same.
func Parse(text string, buf *HeaderBuffer) (Token, error) {
	t := Token{text: text}
	if len(text) > MaxToken {
		return t, malformed("token longer than any accepted limit")
	}
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return t, malformed("line break in token")
	}
	n := 0
	for rest := 0; ; n++ {
		i := strings.IndexByte(text[rest:], '.')
		if i < 0 {
			break
		}
		if n == len(t.dots) {
			return t, malformed("more than five parts")
		}
		t.dots[n] = rest + i
		rest += i + 1
	}
	if n != 2 && n != 4 {
		return t, malformed("not a compact JWS (3 parts) or JWE (5 parts)")
	}
	head := text[:t.dots[0]]
	if encoding.DecodedLen(len(head)) > len(buf) {
		return t, malformed("header too long")
	}
	var enc [maxHeader*4/3 + 4]byte
	size, err := encoding.Decode(buf[:], enc[:copy(enc[:], head)])
	if err != nil {
		return t, malformed("header is not canonical base64url")
	}
	h, known := knownHeader(buf[:size])
	if !known {
		// What the parser reads escapes to the heap: give it a copy, so that buf need not go there.
		if h, err = parseHeader(bytes.Clone(buf[:size])); err != nil {
			return t, err
		}
	}
	t.Alg = h.alg
	if h.alg == A256GCM {
		if n != 4 {
			return t, malformed("alg dir in a token of three parts")
		}
		i := bytes.IndexByte(h.kid, '.')
		if i < 0 {
			return t, malformed("kid of a sealed token has no salt")
		}
		t.Kid, t.Salt = h.kid[:i], h.kid[i+1:]
		if !canonicalSalt(t.Salt) {
			return t, malformed("salt is not 16 bytes in canonical base64url")
		}
	} else {
		if n != 2 {
			return t, malformed("a signature algorithm in a token of five parts")
		}
		t.Kid = h.kid
	}
	if !ValidKid(t.Kid) {
		return t, malformed("kid is not 1 to 64 characters of A-Z a-z 0-9 _ -")
	}
	return t, nil
}

// ValidKid reports whether kid may name a key: 1 to 64 characters of the base64url alphabet.
func ValidKid[T string | []byte](kid T) bool {
	if len(kid) == 0 || len(kid) > maxKid {
		return false
	}
	for i := range len(kid) {
		if !base64url(kid[i]) {
			return false
		}
	}
	return true
}

func base64url(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// canonicalSalt accepts 22 characters whose last one leaves no stray bits: 132 bits carry 128.
func canonicalSalt(s []byte) bool {
	if len(s) != saltLen {
		return false
	}
	var raw [18]byte
	_, err := encoding.Decode(raw[:], s)
	return err == nil
}
