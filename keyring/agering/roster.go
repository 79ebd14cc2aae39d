package agering

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

const (
	// MaxMembers is the maximum number of members of a roster. Members are services, not processes.
	MaxMembers = 256

	// MaxRoster is the maximum size of a roster in bytes: that of MaxMembers hybrid members.
	MaxRoster = 768 << 10

	// maxEmbedded is the maximum size of a roster that is stored with its recipients in every
	// envelope. A hundred members with X25519 keys have 20 kB, thirty hybrid members 64 kB.
	maxEmbedded = 64 << 10
)

// Roster lists the members of a trust domain. The operator signs it with a [Root]. The zero Roster
// has no members and has ended; it cannot be signed.
type Roster struct {
	Domain string

	// Seq is the number of the roster. Every change raises it, and no service accepts a lower one
	// again.
	Seq uint64

	// Epoch is the current epoch. Each key belongs to the epoch in which it was made. Raising the
	// epoch burns all keys of earlier epochs, including keys that the operator never saw. It never
	// falls.
	Epoch uint64

	// EpochStart is when the epoch began, in whole seconds: no key made before it belongs to this
	// epoch. It is constant within an epoch. In the first epoch it may be zero, so that the epoch
	// includes older keys.
	EpochStart time.Time

	// Expires is when the roster expires, in whole seconds. From then on services reject it and all
	// rings under it, so that a forgotten roster does not live for ever. Rings that are open by
	// then stay open.
	Expires time.Time

	Members []Member
}

// rosterText is the written form of a roster: one line of JSON with the members in this order.
type rosterText struct {
	Version    int          `json:"v"`
	Domain     string       `json:"domain"`
	Seq        uint64       `json:"seq"`
	Epoch      uint64       `json:"epoch"`
	EpochStart int64        `json:"epoch_start"`
	Expires    int64        `json:"exp"`
	Members    []memberText `json:"members"`
	Sig        []byte       `json:"sig"`
}

type memberText struct {
	Name       string `json:"name"`
	Recipient  string `json:"recipient"`
	Sign       []byte `json:"sign"`
	MayPropose bool   `json:"may_propose"`
	MayRevoke  bool   `json:"may_revoke"`
}

// signedRoster is a roster that a root has signed.
type signedRoster struct {
	Roster
	text   rosterText
	digest [sha256.Size]byte // of the signed bytes: the same for both forms of a roster
	full   bool              // with the recipients, not their digests

	embedded []byte // in the form that is stored in an envelope
}

// Sign returns the signed roster as one line, with its line feed. It sorts the members by name.
func (r *Roster) Sign(root *Root) ([]byte, error) {
	switch {
	case r == nil:
		return nil, errNoRoster
	case !root.usable():
		return nil, errNoRoot
	}
	t := r.unsigned()
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("agering: roster: %w", err)
	}
	kinds := map[bool]string{}
	for _, m := range t.Members {
		_, hybrid, err := parseRecipient(m.Recipient)
		if err != nil {
			return nil, fmt.Errorf("agering: roster: %s: %w", m.Name, err)
		}
		kinds[hybrid] = m.Name
	}
	if len(kinds) > 1 {
		return nil, fmt.Errorf("agering: roster: %s is hybrid and %s is not: a ring sealed to both would not be safe from "+
			"quantum computers: make all members of one kind", kinds[true], kinds[false])
	}
	t.Sig = ed25519.Sign(root.key, t.statement())
	out := encode(t)
	if len(out) > MaxRoster {
		return nil, fmt.Errorf("agering: the roster has %d bytes, the limit is %d", len(out), MaxRoster)
	}
	return out, nil
}

// VerifyRoster reads a roster that [Roster.Sign] returned, and verifies that one of the roots
// signed it. It does not check whether the roster has expired: see [Roster.Valid].
func VerifyRoster(signed []byte, roots ...PublicRoot) (*Roster, error) {
	s, err := parseRoster(signed, roots)
	if err != nil {
		return nil, err
	}
	return &s.Roster, nil
}

// Valid returns [ErrExpired] if the roster has expired at now.
func (r *Roster) Valid(now time.Time) error {
	if r == nil {
		return errNoRoster
	}
	if now.Before(r.Expires) {
		return nil
	}
	return fmt.Errorf("%w: number %d on %s; the operator must sign the next one", ErrExpired, r.Seq,
		r.Expires.UTC().Format(time.RFC3339))
}

// Member returns the member with a name, or nil.
func (r *Roster) Member(name string) *Member {
	if r == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(r.Members, name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
	if !ok {
		return nil
	}
	return &r.Members[i]
}

// unsigned returns the written form of the roster without a signature.
func (r *Roster) unsigned() rosterText {
	t := rosterText{Version: 1, Domain: r.Domain, Seq: r.Seq, Epoch: r.Epoch, Expires: r.Expires.Unix()}
	if !r.EpochStart.IsZero() {
		t.EpochStart = r.EpochStart.Unix()
	}
	for _, m := range r.Members {
		t.Members = append(t.Members, memberText{m.Name, m.Recipient, m.Sign, m.MayPropose, m.MayRevoke})
	}
	slices.SortFunc(t.Members, func(a, b memberText) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// statement returns the bytes that the root signs: the roster with digests instead of recipients,
// so that both forms have the same signature.
func (t *rosterText) statement() []byte {
	brief := t.brief()
	brief.Sig = nil
	return statement([]byte("waybill/roster/v1"), encode(brief))
}

func (t *rosterText) brief() rosterText {
	out := *t
	out.Members = slices.Clone(t.Members)
	for i := range out.Members {
		out.Members[i].Recipient = digestOf(out.Members[i].Recipient)
	}
	return out
}

// check checks everything except the signature and the content of the recipients.
func (t *rosterText) check() error {
	if t.Version != 1 {
		return fmt.Errorf("unknown version %d: update this program", t.Version)
	}
	if err := keyring.CheckDomain(t.Domain); err != nil {
		return err
	}
	if t.Seq == 0 || t.Epoch == 0 {
		return errors.New("seq and epoch must be at least 1")
	}
	if t.EpochStart < 0 || t.EpochStart == 0 && t.Epoch > 1 {
		return errors.New("an epoch after the first must have a start")
	}
	if t.Expires <= t.EpochStart {
		return errors.New("it expires before its epoch starts")
	}
	if len(t.Members) == 0 || len(t.Members) > MaxMembers {
		return fmt.Errorf("%d members: a roster must have 1 to %d", len(t.Members), MaxMembers)
	}
	seen := map[string]string{} // names by key
	proposers := 0
	for i, m := range t.Members {
		member := Member{Name: m.Name, Sign: m.Sign}
		if err := member.check(); err != nil {
			return err
		}
		if i > 0 && m.Name <= t.Members[i-1].Name {
			return fmt.Errorf("%s is listed twice or not in order", m.Name)
		}
		for _, key := range []string{digestOf(m.Recipient), string(m.Sign)} {
			if other, ok := seen[key]; ok {
				return fmt.Errorf("%s and %s have the same key", other, m.Name)
			}
			seen[key] = m.Name
		}
		if m.MayPropose {
			proposers++
		}
	}
	if proposers == 0 {
		return errors.New("no member may propose")
	}
	return nil
}

// parseRoster reads a line with one of the two forms of a signed roster.
func parseRoster(line []byte, roots []PublicRoot) (*signedRoster, error) {
	if len(line) > MaxRoster {
		return nil, fmt.Errorf("agering: the roster has %d bytes, the limit is %d", len(line), MaxRoster)
	}
	var s signedRoster
	if !decode(line, &s.text) {
		return nil, errors.New("agering: not a signed roster")
	}
	if err := s.text.check(); err != nil {
		return nil, fmt.Errorf("agering: roster: %w", err)
	}
	message := s.text.statement()
	if !signedByOne(roots, message, s.text.Sig) {
		return nil, fmt.Errorf("%w: none of the %d configured roots signed this roster", ErrSignature, len(roots))
	}
	s.digest = sha256.Sum256(message)
	s.Roster = s.text.roster()
	digests := 0
	for _, m := range s.Members {
		if isDigest(m.Recipient) {
			digests++
		}
	}
	if s.full = digests == 0; !s.full && digests != len(s.Members) {
		return nil, errors.New("agering: roster: it mixes recipients and digests")
	}
	if len(line) > maxEmbedded {
		line = encode(s.text.brief())
	}
	s.embedded = bytes.Clone(line[:len(line)-1])
	return &s, nil
}

func (t *rosterText) roster() Roster {
	r := Roster{Domain: t.Domain, Seq: t.Seq, Epoch: t.Epoch, Expires: time.Unix(t.Expires, 0).UTC()}
	if t.EpochStart != 0 {
		r.EpochStart = time.Unix(t.EpochStart, 0).UTC()
	}
	for _, m := range t.Members {
		r.Members = append(r.Members, Member{m.Name, m.Recipient, m.Sign, m.MayPropose, m.MayRevoke})
	}
	return r
}
