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

// HeaderBuffer is room for a decoded header. Callers keep it on their stack, so that parsing
// allocates nothing.
type HeaderBuffer [maxHeader]byte

// Token is a token split into its parts, with its header read. Nothing of it is verified.
type Token struct {
	Alg  Alg
	Kid  []byte // name of the ring key; may point into the HeaderBuffer
	Salt []byte // sealed tokens only: 22 characters; may point into the HeaderBuffer

	text string
	dots [4]int // positions; a JWS has the first two
	n    int    // how many
}

// Parse is [Split] and [Token.ReadHeader].
func Parse(text string, buf *HeaderBuffer) (Token, error) {
	t, err := Split(text)
	if err != nil {
		return t, err
	}
	return t.ReadHeader(buf)
}

// Split finds the parts of text. Whoever calls it has checked the length of text; more than
// [MaxToken] is refused all the same.
func Split(text string) (Token, error) {
	t := Token{text: text}
	if len(text) > MaxToken {
		return t, malformed("token longer than any accepted limit")
	}
	for rest := 0; ; t.n++ {
		i := strings.IndexByte(text[rest:], '.')
		if i < 0 {
			break
		}
		if t.n == len(t.dots) {
			return t, malformed("more than five parts")
		}
		t.dots[t.n] = rest + i
		rest += i + 1
	}
	if t.n != 2 && t.n != 4 {
		return t, malformed("not a compact JWS (3 parts) or JWE (5 parts)")
	}
	return t, nil
}

// Head returns the encoded header.
func (t Token) Head() string { return t.text[:t.dots[0]] }

// Named returns t as a token of the key whose [Key.Head] is the token's own, so that there is no
// header to read.
func (t Token) Named(k *Key) (Token, error) {
	if t.n != 2 {
		return t, errParts
	}
	t.Alg = k.alg
	return t, nil
}

// ReadHeader returns t with its header read into buf.
func (t Token) ReadHeader(buf *HeaderBuffer) (Token, error) {
	head := t.Head()
	if encoding.DecodedLen(len(head)) > len(buf) {
		return t, malformed("header too long")
	}
	var enc [maxHeader*4/3 + 4]byte
	raw, ok := decode64(buf[:], enc[:copy(enc[:], head)])
	if !ok {
		return t, t.explain(malformed("header is not canonical base64url"))
	}
	h, known := knownHeader(raw)
	if !known {
		var err error
		// What the parser reads escapes to the heap: give it a copy, so that buf need not go there.
		if h, err = parseHeader(bytes.Clone(raw)); err != nil {
			return t, err
		}
	}
	t.Alg = h.alg
	if h.alg == A256GCM {
		if t.n != 4 {
			return t, malformed("alg dir in a token of three parts")
		}
		i := bytes.IndexByte(h.kid, '.')
		if i < 0 {
			return t, malformed("kid of a sealed token has no salt")
		}
		t.Kid, t.Salt = h.kid[:i], h.kid[i+1:]
		if !canonical128(t.Salt) {
			return t, malformed("salt is not 16 bytes in canonical base64url")
		}
	} else {
		if t.n != 2 {
			return t, errParts
		}
		t.Kid = h.kid
	}
	if !ValidKid(t.Kid) {
		return t, malformed("kid is not 1 to 64 characters of A-Z a-z 0-9 _ -")
	}
	return t, nil
}

// explain names the commonest misspelling: a line break behind a token that was read from a file.
func (t Token) explain(err error) error {
	if strings.ContainsAny(t.text, "\r\n") {
		return malformed("line break in token")
	}
	return err
}

// ValidKid reports whether kid may name a key: 1 to 64 characters of the base64url alphabet.
func ValidKid[T string | []byte](kid T) bool {
	if len(kid) == 0 || len(kid) > maxKid {
		return false
	}
	for i := range len(kid) {
		if values[kid[i]] == 0xff {
			return false
		}
	}
	return true
}
