package keyring

import (
	"bytes"
	"fmt"
)

// InsecurePlaintext returns a [Wrapper] that stores the ring in plain: anyone who can read the
// store can issue tokens, and anyone who can write to it can replace the keys. It is for tests.
func InsecurePlaintext() Wrapper { return plaintext{} }

type plaintext struct{}

func (plaintext) Wrap(domain string, generation uint64, plain []byte) ([]byte, error) {
	if err := checkPlain(domain, generation, plain); err != nil {
		return nil, err
	}
	return bytes.Clone(plain), nil
}

func (plaintext) Unwrap(domain string, sealed []byte) (Unwrapped, error) {
	set, err := ParseSet(sealed)
	if err != nil {
		return Unwrapped{}, err
	}
	if set.Domain() != domain {
		return Unwrapped{}, fmt.Errorf("%w: %s, not %.64q", ErrDomain, set.Domain(), domain)
	}
	return Unwrapped{Plain: bytes.Clone(sealed), Generation: set.Generation()}, nil
}
