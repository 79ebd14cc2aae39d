package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// The maximum size of a ring in bytes: in plain, and sealed to many members.
const (
	MaxBytes  = 256 << 10
	MaxSealed = 1 << 20
)

// file is a ring as a JWK Set (RFC 7517, section 5), with the members ring, epoch and gen next to
// keys.
type file struct {
	Ring       string `json:"ring,omitempty"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Generation uint64 `json:"gen,omitempty"`
	Keys       []jwk  `json:"keys"`
}

// jwk is one entry (RFC 7517, section 4; RFC 8037, section 2). The times are the ones that OpenID
// Federation defines for historical keys. An entry with revoked or ambiguous is a mark: it contains
// no key, its kid opens nothing, and its exp is until when the mark stays.
type jwk struct {
	Kty       string   `json:"kty,omitempty"`
	Crv       string   `json:"crv,omitempty"`
	Kid       string   `json:"kid"`
	Alg       string   `json:"alg,omitempty"`
	Use       string   `json:"use,omitempty"`
	Ops       []string `json:"key_ops,omitempty"`
	K         string   `json:"k,omitempty"`
	X         string   `json:"x,omitempty"`
	D         string   `json:"d,omitempty"`
	Iat       int64    `json:"iat,omitempty"`
	Nbf       int64    `json:"nbf,omitempty"`
	Exp       int64    `json:"exp,omitempty"`
	Keep      int64    `json:"keep_until,omitempty"`
	Revoked   *tomb    `json:"revoked,omitempty"`
	Ambiguous bool     `json:"ambiguous,omitempty"`
}

type tomb struct {
	At     int64  `json:"revoked_at"`
	Reason string `json:"reason,omitempty"`
}

// ParseSet reads a ring of this package: a JWK Set in which every kid matches its key and times. It
// rejects anything else, with an error that contains no key material.
func ParseSet(data []byte) (*Set, error) {
	var f file
	if err := parseFile(data, &f, true); err != nil {
		return nil, err
	}
	if len(f.Keys) == 0 {
		return nil, errNoKeys
	}
	if f.Ring == "" || f.Generation == 0 {
		return nil, errors.New("keyring: not a ring: the members ring and gen are missing; " +
			"JWK Sets of other software are read with keyring.Foreign")
	}
	var keys []*Key
	revoked, ambiguous := map[string]Revocation{}, map[string]time.Time{}
	for i, j := range f.Keys {
		if j.Revoked != nil || j.Ambiguous {
			_, twice := revoked[j.Kid]
			_, again := ambiguous[j.Kid]
			if twice || again || j.K != "" || j.D != "" || j.X != "" || !kidShape(j.Kid) || j.Revoked != nil && j.Ambiguous {
				return nil, fmt.Errorf("keyring: key %d: not a valid mark of a revoked or ambiguous key", i)
			}
			if j.Ambiguous {
				ambiguous[j.Kid] = unix(j.Exp)
			} else {
				revoked[j.Kid] = Revocation{time.Unix(j.Revoked.At, 0).UTC(), j.Revoked.Reason, unix(j.Exp)}
			}
			continue
		}
		k := &Key{times: Times{time.Unix(j.Iat, 0), time.Unix(j.Nbf, 0), time.Unix(j.Exp, 0)}, keep: unix(j.Keep)}
		if j.Kid == "" {
			return nil, fmt.Errorf("keyring: key %d has no kid", i)
		}
		if err := k.read(j); err != nil {
			return nil, fmt.Errorf("keyring: key %d: %w", i, err)
		}
		keys = append(keys, k)
	}
	return newSet(head{f.Ring, f.Epoch, f.Generation}, keys, revoked, ambiguous)
}

// unix converts a member to a time. A missing member is the zero time.
func unix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// seconds converts a time to a member. The zero time is a missing member.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// parseFile reads a JWK Set. It rejects unknown members in a ring of this package and ignores them
// in a foreign one, as RFC 7517, section 5, requires.
func parseFile(data []byte, f any, own bool) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("keyring: the ring has %d bytes, the limit is %d", len(data), MaxBytes)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if own {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(f); err != nil {
		// Errors of encoding/json contain positions, members and Go types, and no value longer than
		// a JSON token.
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return errors.New("keyring: not a JWK Set: a member has the wrong type")
		}
		return fmt.Errorf("keyring: not a JWK Set: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("keyring: not a JWK Set: data after the JSON object")
	}
	return nil
}

var errNoKeys = errors.New("keyring: the JWK Set has no keys; a ring without keys for public waybills has no public halves")

func (k *Key) read(j jwk) error {
	switch {
	case j.Alg == Signed.alg() && j.Kty == "oct" && j.Crv == "" && j.X == "" && j.D == "":
		k.protection = Signed
		if !slices.Contains([]string{"", "sig"}, j.Use) || len(j.Ops) > 0 {
			return errors.New("an HS256 key must have use sig and no key_ops")
		}
	case j.Alg == Sealed.alg() && j.Kty == "oct" && j.Crv == "" && j.X == "" && j.D == "":
		k.protection = Sealed
		if j.Use != "" || !slices.Equal(j.Ops, []string{"deriveKey"}) {
			return errors.New("a dir key must have key_ops [deriveKey] and no use: it only derives the keys that seal")
		}
	case j.Alg == Public.alg() && j.Kty == "OKP" && j.Crv == "Ed25519" && j.K == "":
		k.protection = Public
		if !slices.Contains([]string{"", "sig"}, j.Use) || len(j.Ops) > 0 {
			return errors.New("an EdDSA key must have use sig and no key_ops")
		}
	default:
		return errors.New("kty, crv and alg do not match: use oct with HS256 or dir, OKP with Ed25519 and EdDSA")
	}
	if k.protection != Public {
		secret, err := strict.DecodeString(j.K)
		if err != nil || len(secret) < 32 {
			return errors.New("k must be at least 32 bytes in base64url")
		}
		k.secret = func() []byte { return secret }
		return k.finish(j.Kid)
	}
	x, err := strict.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return errors.New("x must be 32 bytes in base64url")
	}
	k.pub = x
	if j.D != "" {
		seed, err := strict.DecodeString(j.D)
		if err != nil || len(seed) != ed25519.SeedSize {
			return errors.New("d must be 32 bytes in base64url")
		}
		priv := ed25519.NewKeyFromSeed(seed)
		k.priv = func() ed25519.PrivateKey { return priv }
	}
	return k.finish(j.Kid)
}

var strict = base64.RawURLEncoding.Strict()

// kidShape reports whether kid has the form that derivedKid returns: 8 bytes in base64url.
func kidShape(kid string) bool {
	raw, err := strict.DecodeString(kid)
	return err == nil && len(raw) == 8
}

// SecretJWKS returns the whole ring, including its secrets, in the form that [ParseSet] reads.
// Handle it as a secret.
func (s *Set) SecretJWKS() []byte { return s.jwks(true) }

// PublicJWKS returns the public halves of the keys of public tokens as a JWK Set, with which
// another domain, a gateway or an edge can verify public waybills. [ParseSet] reads it as a ring
// that cannot issue.
//
// For a set without such keys the result is a JWK Set with no keys. ParseSet rejects it, so that a
// node that receives one by mistake keeps its keys.
func (s *Set) PublicJWKS() []byte { return s.jwks(false) }

func (s *Set) jwks(secret bool) []byte {
	if s == nil {
		s = new(Set)
	}
	f := file{Ring: s.domain, Epoch: s.epoch, Generation: s.generation, Keys: []jwk{}}
	for _, k := range s.keys {
		j := jwk{Kid: k.kid, Alg: k.protection.alg(), Keep: seconds(k.keep)}
		if !k.foreign {
			j.Iat, j.Nbf, j.Exp = k.times.Created.Unix(), k.times.NotBefore.Unix(), k.times.Expires.Unix()
		}
		switch {
		case k.protection == Public:
			j.Kty, j.Crv, j.Use, j.X = "OKP", "Ed25519", "sig", strict.EncodeToString(k.pub)
			if secret && k.priv != nil {
				j.D = strict.EncodeToString(k.priv().Seed())
			}
		case !secret:
			continue
		case k.protection == Sealed:
			j.Kty, j.Ops, j.K = "oct", []string{"deriveKey"}, strict.EncodeToString(k.secret())
		default:
			j.Kty, j.Use, j.K = "oct", "sig", strict.EncodeToString(k.secret())
		}
		f.Keys = append(f.Keys, j)
	}
	for _, kid := range slices.Sorted(maps.Keys(s.revoked)) {
		r := s.revoked[kid]
		f.Keys = append(f.Keys, jwk{Kid: kid, Exp: seconds(r.Until), Revoked: &tomb{r.At.Unix(), r.Reason}})
	}
	for _, kid := range slices.Sorted(maps.Keys(s.ambiguous)) {
		f.Keys = append(f.Keys, jwk{Kid: kid, Exp: seconds(s.ambiguous[kid]), Ambiguous: true})
	}
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(out, '\n')
}
