package agering

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waybill-go/waybill/keyring"
)

// maxEndorsements bounds the revocations of a ring.
const maxEndorsements = 1024

// envelope is the written form of a sealed ring: one line of JSON with the members in this order.
// It contains everything that a member with a root needs, so the same bytes work in a bucket, a
// Secret, a git repository and a cache.
type envelope struct {
	Version    int             `json:"v"`
	Domain     string          `json:"domain"`
	Generation uint64          `json:"gen"`
	Epoch      uint64          `json:"epoch"`
	By         string          `json:"by"`
	Roster     json.RawMessage `json:"roster"`
	Revoked    []endorsement   `json:"revoked,omitempty"`
	Sealed     []byte          `json:"ct"` // an age file with the JWK Set
	Sig        []byte          `json:"sig"`
}

// endorsement is the signature of a revoker that a key is revoked. It belongs to the revocation and
// not to the envelope, so that members that may not revoke can copy it when they write. It does not
// cover when and why the key was revoked, because these may be merged with another revocation of
// the same key.
type endorsement struct {
	Kid string `json:"kid"`
	By  string `json:"by"`
	Sig []byte `json:"sig"`
}

func parseEnvelope(line []byte) (*envelope, error) {
	if len(line) > keyring.MaxSealed {
		return nil, fmt.Errorf("agering: the sealed ring has %d bytes, the limit is %d", len(line), keyring.MaxSealed)
	}
	var e envelope
	if !decode(line, &e) {
		return nil, errors.New("agering: not a sealed ring, or truncated")
	}
	if e.Version != 1 {
		return nil, fmt.Errorf("agering: unknown version %d of a sealed ring: update this program", e.Version)
	}
	if err := keyring.CheckDomain(e.Domain); err != nil {
		return nil, fmt.Errorf("agering: sealed ring: %w", err)
	}
	if err := checkName(e.By); err != nil {
		return nil, fmt.Errorf("agering: sealed ring: %w", err)
	}
	if len(e.Revoked) > maxEndorsements {
		return nil, fmt.Errorf("agering: the ring has %d revocations, the limit is %d", len(e.Revoked), maxEndorsements)
	}
	for i, r := range e.Revoked {
		if i > 0 && r.Kid <= e.Revoked[i-1].Kid {
			return nil, errors.New("agering: the revocations are not in order, or one is repeated")
		}
	}
	return &e, nil
}

// statement returns the bytes that the writer signs: the whole envelope.
func (e *envelope) statement() []byte {
	roster, revoked, sealed := sha256.Sum256(e.Roster), sha256.Sum256(encode(e.Revoked)), sha256.Sum256(e.Sealed)
	return statement([]byte("waybill/ring/v1"), []byte(e.Domain), number(e.Generation), number(e.Epoch), []byte(e.By),
		roster[:], revoked[:], sealed[:])
}

// judge returns an error unless the roster accepts the envelope.
func (e *envelope) judge(r *signedRoster) error {
	if e.Epoch != r.Epoch {
		return fmt.Errorf("%w: the ring is of epoch %d, roster %d of epoch %d", ErrOldEpoch, e.Epoch, r.Seq, r.Epoch)
	}
	by := r.Member(e.By)
	if by == nil || !by.MayPropose {
		return fmt.Errorf("%w: the ring was written by %s, see roster %d", ErrNotProposer, e.By, r.Seq)
	}
	if !ed25519.Verify(by.Sign, e.statement(), e.Sig) {
		return fmt.Errorf("%w: %s did not write this ring", ErrSignature, e.By)
	}
	for _, end := range e.Revoked {
		if err := end.judge(e.Domain, r); err != nil {
			return err
		}
	}
	return nil
}

func (n *endorsement) statement(domain string) []byte {
	return statement([]byte("waybill/revocation/v1"), []byte(domain), []byte(n.Kid))
}

// judge returns an error unless the roster accepts the revocation.
func (n *endorsement) judge(domain string, r *signedRoster) error {
	by := r.Member(n.By)
	if by == nil || !by.MayRevoke {
		return fmt.Errorf("%w: key %.64q was revoked by %.64q, see roster %d", ErrNotRevoker, n.Kid, n.By, r.Seq)
	}
	if !ed25519.Verify(by.Sign, n.statement(domain), n.Sig) {
		return fmt.Errorf("%w: %s did not revoke key %.64q", ErrSignature, by.Name, n.Kid)
	}
	return nil
}

// line returns the written form of the envelope.
func (e *envelope) line() []byte { return encode(e) }

// rosterLine returns the embedded roster as a separate line.
func (e *envelope) rosterLine() []byte { return append(bytes.Clone(e.Roster), '\n') }
