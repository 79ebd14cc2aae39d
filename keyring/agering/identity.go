package agering

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/waybill-go/waybill/internal/secretfile"
)

// Identity is the identity of a service: a name, an age identity that unseals rings, and a key that
// signs them. It is immutable, safe for concurrent use, and never prints its keys. The zero
// Identity and a nil Identity have no name and no keys; they can be neither saved nor used.
type Identity struct {
	public Member
	age    age.Identity
	secret string // the age identity as text
	sign   ed25519.PrivateKey
}

// maxSecretFile bounds an identity or root file: a hybrid identity has some 200 bytes and its
// public half 2 kB.
const maxSecretFile = 16 << 10

const (
	nameField = "waybill-identity:"
	signField = "waybill-sign-key:"
)

// NewIdentity makes the identity of a service with X25519 keys.
func NewIdentity(name string) (*Identity, error) {
	x, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	return newIdentity(name, x.String(), newSeed())
}

// NewHybridIdentity makes an identity with ML-KEM-768 and X25519 keys. Its rings stay secret even
// if somebody records them now and has a quantum computer later. Its recipient has 2 kB, and all
// members of a roster must be of the same kind.
func NewHybridIdentity(name string) (*Identity, error) {
	h, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	return newIdentity(name, h.String(), newSeed())
}

func newSeed() []byte {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return seed
}

// newIdentity makes an identity from the keys in the form of an identity file.
func newIdentity(name, secret string, seed []byte) (*Identity, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("agering: identity: %w", err)
	}
	id := &Identity{secret: secret, sign: ed25519.NewKeyFromSeed(seed), public: Member{Name: name}}
	// The errors of age can contain the text that they could not parse.
	if x, err := age.ParseX25519Identity(secret); err == nil && x.String() == secret {
		id.age, id.public.Recipient = x, x.Recipient().String()
	} else if h, err := age.ParseHybridIdentity(secret); err == nil && h.String() == secret {
		id.age, id.public.Recipient = h, h.Recipient().String()
	} else {
		return nil, errors.New("agering: identity: not an age identity with X25519 or hybrid keys")
	}
	id.public.Sign = id.sign.Public().(ed25519.PublicKey)
	return id, nil
}

// ParseIdentity reads the text that [Identity.Text] returns. It skips empty lines and lines that
// begin with #.
func ParseIdentity(text []byte) (*Identity, error) {
	lines, err := dataLines(text)
	if err != nil || len(lines) != 3 || !strings.HasPrefix(lines[0], nameField) || !strings.HasPrefix(lines[2], signField) {
		return nil, errors.New("agering: not an identity: it must have the lines waybill-identity:NAME, AGE-SECRET-KEY-…, " +
			"waybill-sign-key:…")
	}
	seed, ok := keyOf(strings.TrimPrefix(lines[2], signField))
	if !ok {
		return nil, errors.New("agering: identity: the signing key is not 32 bytes in base64url")
	}
	return newIdentity(strings.TrimPrefix(lines[0], nameField), lines[1], seed)
}

// dataLines returns the lines of a text without empty lines and comments.
func dataLines(text []byte) ([]string, error) {
	if len(text) > maxSecretFile {
		return nil, errors.New("too long")
	}
	var out []string
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 && line[0] != '#' {
			out = append(out, string(line))
		}
	}
	return out, nil
}

// LoadIdentity reads an identity file. It rejects a file that every user of the machine can read.
func LoadIdentity(path string) (*Identity, error) {
	text, err := secretfile.Read(path, maxSecretFile)
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	id, err := ParseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return id, nil
}

// Save writes the identity to a new file with mode 0600. It returns fs.ErrExist if the file exists.
func (id *Identity) Save(path string) error {
	if !id.usable() {
		return errNoIdentity
	}
	head := fmt.Sprintf("# secret: anyone who reads this file can act as %s\n# created: %s\n# public: %s\n",
		id.Name(), time.Now().UTC().Format(time.RFC3339), id.public)
	if err := secretfile.Create(path, append([]byte(head), id.Text()...)); err != nil {
		return fmt.Errorf("agering: %w", err)
	}
	return nil
}

// usable reports whether the identity has keys.
func (id *Identity) usable() bool { return id != nil && id.age != nil }

// Text returns the identity, secrets included, as [ParseIdentity] reads it, or nil if it has no
// keys. Handle it as a secret.
func (id *Identity) Text() []byte {
	if !id.usable() {
		return nil
	}
	sign := url.EncodeToString(id.sign.Seed())
	return fmt.Appendf(nil, "%s%s\n%s\n%s%s\n", nameField, id.public.Name, id.secret, signField, sign)
}

// Name returns the name of the service.
func (id *Identity) Name() string {
	if id == nil {
		return ""
	}
	return id.public.Name
}

// Public returns the entry for a roster, without roles. Its String is the line for the operator.
func (id *Identity) Public() Member {
	if id == nil {
		return Member{}
	}
	m := id.public
	m.Sign = bytes.Clone(m.Sign)
	return m
}

// String returns "identity " and the name.
func (id *Identity) String() string { return "identity " + id.Name() }

// Format prints what [Identity.String] returns, whatever the verb.
func (id *Identity) Format(f fmt.State, _ rune) { fmt.Fprint(f, id.String()) }

// LogValue returns what String returns, for a structured log.
func (id *Identity) LogValue() slog.Value { return slog.StringValue(id.String()) }
