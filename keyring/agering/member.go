package agering

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Member is one service of a trust domain: the public half of its [Identity], and its roles. Every
// member can unseal rings. An operator is also a member.
type Member struct {
	Name string

	// Recipient is the age recipient, "age1…". In a roster over 64 kB that was stored with a ring
	// it is a digest of the recipient, "sha256:…", which identifies the member but cannot be sealed
	// to.
	Recipient string

	Sign       ed25519.PublicKey
	MayPropose bool // may write rings: add keys, and copy what others wrote
	MayRevoke  bool // may add revocations
}

const (
	memberLine = "waybill-member"
	digestMark = "sha256:"
)

// String returns the line for the operator: the name and the public keys, without roles.
func (m Member) String() string {
	return strings.Join([]string{memberLine, m.Name, m.Recipient, url.EncodeToString(m.Sign)}, ":")
}

// ParseMember reads the line that [Member.String] returns. The result has no roles: the operator
// adds them.
func ParseMember(line string) (Member, error) {
	f := strings.Split(line, ":")
	if len(line) > maxSecretFile || len(f) != 4 || f[0] != memberLine {
		return Member{}, errors.New("agering: not a member: it must be one line waybill-member:NAME:age1…:KEY")
	}
	sign, ok := keyOf(f[3])
	if !ok {
		return Member{}, errors.New("agering: member: the signing key is not 32 bytes in base64url")
	}
	m := Member{Name: f[1], Recipient: f[2], Sign: sign}
	if _, _, err := parseRecipient(m.Recipient); err != nil {
		return Member{}, fmt.Errorf("agering: member: %w", err)
	}
	if err := m.check(); err != nil {
		return Member{}, fmt.Errorf("agering: member: %w", err)
	}
	return m, nil
}

// check checks everything except the content of the recipient.
func (m *Member) check() error {
	if err := checkName(m.Name); err != nil {
		return err
	}
	if len(m.Sign) != ed25519.PublicKeySize {
		return fmt.Errorf("%s: the signing key is not 32 bytes", m.Name)
	}
	return nil
}

// checkName accepts names that are safe in a line, a file name and a log.
func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= 64
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("name %.64q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", name)
	}
	return nil
}

// parseRecipient accepts the two native kinds of age recipients, in their only spelling.
func parseRecipient(s string) (r age.Recipient, hybrid bool, err error) {
	if x, err := age.ParseX25519Recipient(s); err == nil && x.String() == s {
		return x, false, nil
	}
	if h, err := age.ParseHybridRecipient(s); err == nil && h.String() == s {
		return h, true, nil
	}
	return nil, false, fmt.Errorf("%.64q is not an age recipient (age1…)", s)
}

// digestOf returns the SHA-256 digest of a recipient, or recipient itself if it is a digest.
func digestOf(recipient string) string {
	if isDigest(recipient) {
		return recipient
	}
	sum := sha256.Sum256([]byte(recipient))
	return digestMark + url.EncodeToString(sum[:])
}

func isDigest(recipient string) bool {
	text, ok := strings.CutPrefix(recipient, digestMark)
	_, sum := keyOf(text)
	return ok && sum
}
