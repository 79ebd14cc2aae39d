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

// The largest ring that is read, in bytes: as it is, and sealed to many members.
const (
	MaxBytes  = 256 << 10
	MaxSealed = 1 << 20
)

// file is a ring as a JWK Set (RFC 7517, section 5), with the members ring, epoch and gen beside keys.
type file struct {
	Ring       string `json:"ring,omitempty"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Generation uint64 `json:"gen,omitempty"`
	Keys       []jwk  `json:"keys"`
}

// jwk is one entry (RFC 7517, section 4; RFC 8037, section 2). The times are those that OpenID Federation defines for
// historical keys. An entry with revoked or ambiguous is the mark of a key that opens nothing any more, and holds none; its
// exp is until when the mark stays.
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

// ParseSet reads a ring made by this package: a JWK Set whose every kid matches its key and times. Anything else is
// refused; its error names no key material.
func ParseSet(data []byte) (*Set, error) {
	var f file
	if err := parseFile(data, &f, true); err != nil {
		return nil, err
	}
	if f.Ring == "" || f.Generation == 0 {
		return nil, errors.New("keyring: not a ring: members ring and gen are missing " +
			"(a JWK Set of other software is opened with keyring.Foreign)")
	}
	var keys []*Key
	revoked, ambiguous := map[string]Revocation{}, map[string]time.Time{}
	for i, j := range f.Keys {
		if j.Revoked != nil || j.Ambiguous {
			_, twice := revoked[j.Kid]
			_, again := ambiguous[j.Kid]
			if twice || again || j.K != "" || j.D != "" || j.X != "" || !kidShape(j.Kid) || j.Revoked != nil && j.Ambiguous {
				return nil, fmt.Errorf("keyring: key %d: not a proper revocation", i)
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

// unix is the time of a member, or the zero time if it is missing.
func unix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// seconds is the member for a time: none for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// ParseForeign reads a JWK Set that other software made: its kids are taken as they are, and without times its keys
// neither wait nor expire. Entries need a kid and alg HS256, EdDSA or Ed25519; a key for sealed waybills cannot be
// foreign. The first key that can issue does.
func ParseForeign(domain string, data []byte) (*Set, error) {
	var f file
	if err := parseFile(data, &f, false); err != nil {
		return nil, err
	}
	var keys []*Key
	for i, j := range f.Keys {
		if j.Alg == "Ed25519" {
			j.Alg = "EdDSA"
		}
		if j.Alg != Signed.alg() && j.Alg != Public.alg() {
			return nil, fmt.Errorf("keyring: key %d: alg %.64q: a foreign key is HS256, EdDSA or Ed25519", i, j.Alg)
		}
		k := &Key{foreign: true}
		if err := k.read(j); err != nil {
			return nil, fmt.Errorf("keyring: key %d: %w", i, err)
		}
		keys = append(keys, k)
	}
	return newSet(head{domain: domain, generation: 1}, keys, nil, nil)
}

// parseFile reads a JWK Set. Members it does not know are refused in a ring of our own, and ignored in a foreign one, as
// RFC 7517, section 5, asks.
func parseFile(data []byte, f *file, own bool) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("keyring: a ring of %d bytes is over the limit of %d", len(data), MaxBytes)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if own {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(f); err != nil {
		// Errors of encoding/json name positions, members and Go types; they quote no values longer than a token.
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return errors.New("keyring: not a JWK Set: a member has the wrong type")
		}
		return fmt.Errorf("keyring: not a JWK Set: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("keyring: not a JWK Set: there is more behind it")
	}
	if len(f.Keys) == 0 {
		return errors.New("keyring: the set has no keys (of a ring without EdDSA keys nothing is public)")
	}
	return nil
}

func (k *Key) read(j jwk) error {
	switch {
	case j.Alg == Signed.alg() && j.Kty == "oct" && j.Crv == "" && j.X == "" && j.D == "":
		k.protection = Signed
		if !slices.Contains([]string{"", "sig"}, j.Use) || len(j.Ops) > 0 {
			return errors.New("an HS256 key has use sig")
		}
	case j.Alg == Sealed.alg() && j.Kty == "oct" && j.Crv == "" && j.X == "" && j.D == "":
		k.protection = Sealed
		if j.Use != "" || !slices.Equal(j.Ops, []string{"deriveKey"}) {
			return errors.New("a dir key has key_ops [deriveKey] and no use: it never seals itself")
		}
	case j.Alg == Public.alg() && j.Kty == "OKP" && j.Crv == "Ed25519" && j.K == "":
		k.protection = Public
		if !slices.Contains([]string{"", "sig"}, j.Use) || len(j.Ops) > 0 {
			return errors.New("an EdDSA key has use sig")
		}
	default:
		return errors.New("kty, crv and alg do not fit: oct with HS256 or dir, OKP with Ed25519 and EdDSA")
	}
	if k.protection != Public {
		secret, err := strict.DecodeString(j.K)
		if err != nil || len(secret) < 32 {
			return errors.New("k is not at least 32 bytes in base64url")
		}
		k.secret = func() []byte { return secret }
		return k.finish(j.Kid)
	}
	x, err := strict.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return errors.New("x is not 32 bytes in base64url")
	}
	k.pub = x
	if j.D != "" {
		seed, err := strict.DecodeString(j.D)
		if err != nil || len(seed) != ed25519.SeedSize {
			return errors.New("d is not 32 bytes in base64url")
		}
		priv := ed25519.NewKeyFromSeed(seed)
		k.priv = func() ed25519.PrivateKey { return priv }
	}
	return k.finish(j.Kid)
}

var strict = base64.RawURLEncoding.Strict()

// kidShape accepts what derivedKid makes: 8 bytes in base64url.
func kidShape(kid string) bool {
	raw, err := strict.DecodeString(kid)
	return err == nil && len(raw) == 8
}

// SecretJWKS returns the whole ring, secrets included, as the file that [ParseSet] reads. Handle it as a secret.
func (s *Set) SecretJWKS() []byte { return s.jwks(true) }

// PublicJWKS returns the public halves of the EdDSA keys as a JWK Set: what another domain, a gateway or an edge needs to
// verify public waybills. It is itself a ring that [ParseSet] reads, and it cannot issue.
//
// A set without EdDSA keys has nothing public: the result is a JWK Set of no keys, the true answer for whoever asks for
// them, but no ring. ParseSet refuses it, so that a node which is given one by mistake keeps the keys that it has.
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
