package jose

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Unverified returns what a token says, for showing it to a person. No key is involved: anybody can
// have written it, so nothing may be decided by it. It returns as much of header and payload as
// base64url can give, whatever is wrong, and the first reason for which no key would open the
// token. The payload of a sealed token is nil, alg is 0 if the header is not one of the profile.
func Unverified(text string) (alg Alg, header, payload []byte, err error) {
	var buf HeaderBuffer
	t, err := Parse(text, &buf)
	if len(text) > MaxToken {
		return 0, nil, nil, err
	}
	parts := strings.Split(text, ".")
	if header = lenient(parts[0]); len(parts) == 3 {
		payload = lenient(parts[1])
	}
	if err != nil {
		return 0, header, payload, err
	}
	err = wellFormed(t.Alg, parts)
	if err == nil && t.Alg != A256GCM {
		err = anyAudience(payload)
	}
	return t.Alg, header, payload, err
}

// wellFormed says what is wrong with the parts behind a header that Parse has accepted.
func wellFormed(alg Alg, parts []string) error {
	last, want := parts[len(parts)-1], macLen
	switch {
	case alg == EdDSA:
		want = ed25519Len
	case alg == A256GCM && (parts[1] != "" || len(parts[2]) != nonceLen):
		return errLength
	case alg == A256GCM:
		want = tagLen
	}
	if len(last) != want {
		return errLength
	}
	for _, part := range parts[1:] {
		if _, err := decode([]byte(part)); err != nil {
			return err
		}
	}
	return nil
}

// anyAudience says what is wrong with a payload, but for its audience, which is the ring's to
// judge.
func anyAudience(payload []byte) error {
	var c Claims
	err := ParseClaims(&c, payload, "")
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Audience {
		return nil
	}
	return err
}

// lenient decodes base64url with or without padding, and returns nil for anything else.
func lenient(part string) []byte {
	out, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return nil
	}
	return out
}
