// Package jose is the compact JOSE profile of a waybill token: bytes in, bytes out.
//
// It knows three forms and nothing else:
//
//	signed  JWS  {"alg":"HS256","kid":"…","typ":"waybill+jwt"}
//	sealed  JWE  {"alg":"dir","enc":"A256GCM","kid":"<kid>.<salt>","typ":"waybill+jwt"}
//	public  JWS  {"alg":"EdDSA","kid":"…","typ":"waybill+jwt"}
//
// [Parse] splits a token and reads its header, [Key.Open] verifies it and returns its payload,
// [ParseClaims] reads the payload. One token has one spelling: base64url is canonical (RFC 4648,
// section 5, no padding, no stray trailing bits), there is no white space, no member stands twice,
// all text is valid UTF-8. The key decides the algorithm, the header has only to agree (RFC 8725,
// section 3.1).
//
// The package reads no clock and no context, and keeps no reference to the buffers it was given.
package jose

// Alg is the algorithm of a key, and so of the tokens made with it.
type Alg uint8

// The algorithms of the profile.
const (
	HS256   Alg = iota + 1 // signed: HMAC with SHA-256 (RFC 7518, section 3.2)
	A256GCM                // sealed: direct encryption under a key derived from the ring key (RFC 7518, section 4.5)
	EdDSA                  // public: Ed25519 (RFC 8037, RFC 9864)
)

// String returns the algorithm's name as the "alg" member of a JWK spells it.
func (a Alg) String() string {
	switch a {
	case HS256:
		return "HS256"
	case A256GCM:
		return "dir"
	case EdDSA:
		return "EdDSA"
	}
	return "unknown"
}

// Type is the one accepted "typ" of a token (RFC 8725, section 3.11).
const Type = "waybill+jwt"

// MaxToken is the longest token, in bytes, that the package ever parses.
const MaxToken = 7 << 10

// Kind says what is wrong with a token.
type Kind uint8

// The kinds of refusal.
const (
	Malformed Kind = iota + 1 // not a token of this profile
	Algorithm                 // an algorithm outside the profile, or not the key's
	Forged                    // the signature or tag does not match
	Audience                  // not for this trust domain
)

// Error is a refusal. Its text holds nothing of the token.
type Error struct {
	Kind Kind
	Text string
}

func (e *Error) Error() string { return e.Text }

func malformed(text string) error { return &Error{Malformed, text} }
