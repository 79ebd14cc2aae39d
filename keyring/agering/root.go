package agering

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/internal/secretfile"
)

// Root is the operator's key that signs rosters. It stays offline: no service needs it. It never
// prints its secret. The zero Root and a nil Root have no key; they can be neither saved nor used.
type Root struct{ key ed25519.PrivateKey }

// PublicRoot is the public half of a [Root], which is in the configuration of every service. The
// zero PublicRoot is not valid.
type PublicRoot struct{ key [ed25519.PublicKeySize]byte }

// MaxRoots is the maximum number of roots in a configuration: one in use, and others to replace it.
const MaxRoots = 3

const (
	rootField       = "waybill-root-key:"
	publicRootField = "waybill-root:"
)

// NewRoot makes a root.
func NewRoot() *Root {
	return &Root{ed25519.NewKeyFromSeed(newSeed())}
}

// ParseRoot reads the text that [Root.Text] returns. It skips empty lines and lines that begin with
// #.
func ParseRoot(text []byte) (*Root, error) {
	lines, err := dataLines(text)
	if err == nil && len(lines) == 1 {
		field, ok := strings.CutPrefix(lines[0], rootField)
		if seed, good := keyOf(field); ok && good {
			return &Root{ed25519.NewKeyFromSeed(seed)}, nil
		}
	}
	return nil, errors.New("agering: not a root: it must have the line waybill-root-key:…")
}

// LoadRoot reads a root file. It rejects a file that every user of the machine can read.
func LoadRoot(path string) (*Root, error) {
	text, err := secretfile.Read(path, maxSecretFile)
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	r, err := ParseRoot(text)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return r, nil
}

// Save writes the root to a new file with mode 0600. It returns fs.ErrExist if the file exists.
func (r *Root) Save(path string) error {
	if !r.usable() {
		return errNoRoot
	}
	head := fmt.Sprintf("# secret: anyone who reads this file decides who is a member; keep it offline\n"+
		"# created: %s\n# public: %s\n", time.Now().UTC().Format(time.RFC3339), r.Public())
	if err := secretfile.Create(path, append([]byte(head), r.Text()...)); err != nil {
		return fmt.Errorf("agering: %w", err)
	}
	return nil
}

// usable reports whether the root has a key.
func (r *Root) usable() bool { return r != nil && r.key != nil }

// Text returns the root, secret included, as [ParseRoot] reads it, or nil if it has no key. Handle
// it as a secret.
func (r *Root) Text() []byte {
	if !r.usable() {
		return nil
	}
	return fmt.Appendf(nil, "%s%s\n", rootField, url.EncodeToString(r.key.Seed()))
}

// Public returns the public half; without a key it is the zero PublicRoot, which no configuration
// accepts.
func (r *Root) Public() PublicRoot {
	if !r.usable() {
		return PublicRoot{}
	}
	return PublicRoot{[ed25519.PublicKeySize]byte(r.key.Public().(ed25519.PublicKey))}
}

// String returns the line of the public half.
func (r *Root) String() string { return r.Public().String() }

// Format prints what [Root.String] returns, whatever the verb.
func (r *Root) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// LogValue returns what String returns, for a structured log.
func (r *Root) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String returns the line for configurations.
func (p PublicRoot) String() string { return publicRootField + url.EncodeToString(p.key[:]) }

// ParseRoots reads one to three lines that [PublicRoot.String] returned.
func ParseRoots(lines ...string) ([]PublicRoot, error) {
	var roots []PublicRoot
	for _, line := range lines {
		field, ok := strings.CutPrefix(line, publicRootField)
		key, good := keyOf(field)
		if !ok || !good {
			return nil, errors.New("agering: not the public half of a root: it must be the line waybill-root:…")
		}
		roots = append(roots, PublicRoot{[ed25519.PublicKeySize]byte(key)})
	}
	return roots, checkRoots(roots)
}

func checkRoots(roots []PublicRoot) error {
	if len(roots) == 0 || len(roots) > MaxRoots {
		return fmt.Errorf("agering: %d roots: pass 1 to %d", len(roots), MaxRoots)
	}
	for i, r := range roots {
		if r == (PublicRoot{}) || slices.Contains(roots[:i], r) {
			return errors.New("agering: a root is empty or listed twice")
		}
	}
	return nil
}

// signedByOne reports whether one of the roots made the signature.
func signedByOne(roots []PublicRoot, message, sig []byte) bool {
	return slices.ContainsFunc(roots, func(r PublicRoot) bool {
		return ed25519.Verify(r.key[:], message, sig)
	})
}
