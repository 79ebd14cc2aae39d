package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/waybill-go/waybill/internal/secretfile"
)

const (
	sharedKeyBytes = 32
	sharedKind     = "waybill/shared/v1"

	maxSharedKeyFile = 1 << 10 // a longer file is certainly not a key

	// A sealed ring is its plaintext in base64 with a few members around it.
	maxSharedBytes = MaxBytes + MaxBytes/2
)

// shared seals rings with one key that all nodes have.
type shared struct{ key [sharedKeyBytes]byte }

// Shared returns a [Wrapper] for first experiments. It seals rings with a file of exactly 32 random
// bytes, which must be the same on every node, as made by
//
//	(umask 077; head -c 32 /dev/urandom > shared.key)
//
// It encrypts a ring and proves that somebody with the file wrote it. Unlike package agering it
// cannot tell who wrote a ring, it cannot remove a node without a new file on every other node, it
// lets every node revoke, and it accepts an older ring. Anyone who reads the file once can read
// every ring that was ever sealed with it.
//
// Shared rejects a file that every user of the machine can read.
func Shared(path string) (Wrapper, error) {
	key, err := secretfile.Read(path, maxSharedKeyFile)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	w, err := SharedKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return w, nil
}

// SharedKey returns the [Wrapper] of [Shared] for a key that is not in a file. It copies key.
func SharedKey(key []byte) (Wrapper, error) {
	if len(key) != sharedKeyBytes {
		return nil, errors.New("keyring: a shared key must have exactly 32 bytes")
	}
	w := &shared{}
	copy(w.key[:], key)
	return w, nil
}

// sharedRing is the written form of a sealed ring: one line of JSON with the members in this order.
type sharedRing struct {
	Kind       string `json:"kind"`
	Domain     string `json:"domain"`
	Generation uint64 `json:"gen"`
	Salt       []byte `json:"salt"`
	Sealed     []byte `json:"ct"`
}

func (w *shared) Wrap(domain string, generation uint64, plain []byte) ([]byte, error) {
	if err := checkPlain(domain, generation, plain); err != nil {
		return nil, err
	}
	out := sharedRing{Kind: sharedKind, Domain: domain, Generation: generation, Salt: make([]byte, 32)}
	rand.Read(out.Salt)
	aead, err := w.aead(out.Salt)
	if err != nil {
		return nil, err
	}
	// The derived key is used for this message only, so the nonce may be constant.
	out.Sealed = aead.Seal(nil, make([]byte, aead.NonceSize()), plain, out.associated())
	return out.line()
}

func (w *shared) Unwrap(domain string, sealed []byte) (Unwrapped, error) {
	in, err := parseSharedRing(sealed)
	if err != nil {
		return Unwrapped{}, err
	}
	if in.Domain != domain {
		return Unwrapped{}, fmt.Errorf("%w: %.64q, not %.64q", ErrDomain, in.Domain, domain)
	}
	aead, err := w.aead(in.Salt)
	if err != nil {
		return Unwrapped{}, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), in.Sealed, in.associated())
	if err != nil {
		return Unwrapped{}, errors.New("keyring: the sealed ring was altered or sealed with another shared key")
	}
	if err := checkPlain(domain, in.Generation, plain); err != nil {
		return Unwrapped{}, err
	}
	return Unwrapped{Plain: plain, Generation: in.Generation}, nil
}

// aead derives the key of one write. Because of its random salt of 32 bytes no two writes have the
// same key, so no number of writes reaches the limit of random nonces.
func (w *shared) aead(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, w.key[:], salt, sharedKind, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// associated is the data that the seal authenticates in addition to the ring.
func (r *sharedRing) associated() []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(r.Domain)))
	out = append(out, r.Domain...)
	return binary.BigEndian.AppendUint64(out, r.Generation)
}

func (r *sharedRing) line() ([]byte, error) {
	out, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// parseSharedRing reads a line exactly as line writes it, and rejects any other spelling.
func parseSharedRing(sealed []byte) (*sharedRing, error) {
	errFormat := errors.New("keyring: not a ring sealed with a shared key")
	if len(sealed) > maxSharedBytes {
		return nil, fmt.Errorf("keyring: the sealed ring has %d bytes, the limit is %d", len(sealed), maxSharedBytes)
	}
	var r sharedRing
	if json.Unmarshal(sealed, &r) != nil || r.Kind != sharedKind || len(r.Salt) != 32 {
		return nil, errFormat
	}
	if again, err := r.line(); err != nil || !bytes.Equal(again, sealed) {
		return nil, errFormat
	}
	return &r, nil
}

// checkPlain returns an error unless the ring is of this domain and generation.
func checkPlain(domain string, generation uint64, plain []byte) error {
	set, err := ParseSet(plain)
	if err != nil {
		return err
	}
	if set.Domain() != domain {
		return fmt.Errorf("%w: %s, not %.64q", ErrDomain, set.Domain(), domain)
	}
	if set.Generation() != generation {
		return fmt.Errorf("keyring: the ring is of generation %d, not %d", set.Generation(), generation)
	}
	return nil
}

// String returns "shared key", and not the key.
func (w *shared) String() string { return "shared key" }

// Format prints what String returns, whatever the verb.
func (w *shared) Format(f fmt.State, _ rune) { fmt.Fprint(f, w.String()) }

// LogValue returns what String returns, for a structured log.
func (w *shared) LogValue() slog.Value { return slog.StringValue(w.String()) }
