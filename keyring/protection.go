package keyring

import (
	"errors"
	"fmt"

	"github.com/waybill-go/waybill/internal/jose"
)

// Protection is how the tokens of a key are protected. The zero Protection is not valid.
type Protection uint8

// The protections. A key has exactly one.
const (
	// Signed tokens can be read by anyone, and verified and changed by the members of the ring
	// (HMAC with SHA-256).
	Signed = Protection(jose.HS256)
	// Sealed tokens can be read, verified and changed by the members of the ring only
	// (AES-256-GCM).
	Sealed = Protection(jose.A256GCM)
	// Public tokens can be read by anyone, verified with public keys, and changed with the private
	// key (Ed25519).
	Public = Protection(jose.EdDSA)
)

var protectionNames = [...]string{Signed: "signed", Sealed: "sealed", Public: "public"}

// valid reports whether p is [Signed], [Sealed] or [Public].
func (p Protection) valid() bool { return p != 0 && int(p) < len(protectionNames) }

// String returns "signed", "sealed" or "public", and "unknown" for a Protection that is not valid.
func (p Protection) String() string {
	if !p.valid() {
		return "unknown"
	}
	return protectionNames[p]
}

// ParseProtection returns the Protection called "signed", "sealed" or "public".
func ParseProtection(name string) (Protection, error) {
	for p := Signed; p.valid(); p++ {
		if protectionNames[p] == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("keyring: unknown protection %.64q: use signed, sealed or public", name)
}

// MarshalText returns the name of p, and an error if p is not valid.
func (p Protection) MarshalText() ([]byte, error) {
	if !p.valid() {
		return nil, errors.New("keyring: protection is not set: use signed, sealed or public")
	}
	return []byte(p.String()), nil
}

// UnmarshalText sets p to the Protection named by text.
func (p *Protection) UnmarshalText(text []byte) error {
	parsed, err := ParseProtection(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// alg is the "alg" member of a JWK of this protection.
func (p Protection) alg() string { return jose.Alg(p).String() }
