package agering

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/waybill-go/waybill/keyring"
)

// Wrapper seals and unseals the rings of one domain for one member. It is a [keyring.Wrapper] and
// safe for concurrent use. The zero Wrapper and a nil Wrapper have no identity: they return an
// error from Learn, Wrap and Unwrap.
type Wrapper struct {
	domain string
	id     *Identity
	roots  []PublicRoot
	guard  *SeqGuard
	now    func() time.Time

	mu       sync.Mutex
	roster   *signedRoster          // the newest one; nil before the first
	endorsed map[string]endorsement // of revoked and ambiguous keys, by kid
}

var _ keyring.Wrapper = (*Wrapper)(nil)

// Option configures [New].
type Option interface{ apply(*Wrapper) }

type option func(*Wrapper)

func (o option) apply(w *Wrapper) { o(w) }

// Remember sets the guard that remembers the newest roster; by default one of [NewSeqGuard], which
// forgets when the process ends.
func Remember(g *SeqGuard) Option { return option(func(w *Wrapper) { w.guard = g }) }

// Clock sets the clock; time.Now by default. It is for tests.
func Clock(now func() time.Time) Option { return option(func(w *Wrapper) { w.now = now }) }

// New returns the wrapper of a domain for a member. Each of the roots may sign rosters. The wrapper
// learns the roster from the first ring that it unseals; to create a ring, pass the roster to
// [Wrapper.Learn].
func New(domain string, id *Identity, roots []PublicRoot, opts ...Option) (*Wrapper, error) {
	if err := keyring.CheckDomain(domain); err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	if !id.usable() {
		return nil, errNoIdentity
	}
	if err := checkRoots(roots); err != nil {
		return nil, err
	}
	w := &Wrapper{domain: domain, id: id, roots: slices.Clone(roots), guard: NewSeqGuard(), now: time.Now,
		endorsed: map[string]endorsement{}}
	for _, o := range opts {
		if o == nil {
			return nil, errors.New("agering: an option is nil")
		}
		o.apply(w)
	}
	switch {
	case w.guard == nil:
		return nil, errors.New("agering: the guard is nil: leave out the option Remember, or use NewSeqGuard")
	case w.now == nil:
		return nil, errors.New("agering: the clock is nil: leave out the option Clock for time.Now")
	}
	return w, nil
}

// Learn passes a signed roster, as [Roster.Sign] returned it, to the wrapper. It rejects a roster
// older than the newest known one. Every ring contains its roster; Learn is for creating a ring,
// for changing its members, and for writing rings whose roster is over 64 kB, because such a roster
// is stored without its recipients.
func (w *Wrapper) Learn(signed []byte) error {
	if !w.usable() {
		return errNoWrapper
	}
	r, err := parseRoster(signed, w.roots)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.adopt(r)
}

// usable reports whether New made the wrapper.
func (w *Wrapper) usable() bool { return w != nil && w.id != nil }

// Roster returns the newest roster, or nil if none is known. The roster is shared and must not be
// changed.
func (w *Wrapper) Roster() *Roster {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.roster == nil {
		return nil
	}
	return &w.roster.Roster
}

// adopt makes r the newest roster unless it is older.
func (w *Wrapper) adopt(r *signedRoster) error {
	if r.Domain != w.domain {
		return fmt.Errorf("%w: the roster is of %s, not %s", keyring.ErrDomain, r.Domain, w.domain)
	}
	if err := r.Valid(w.now()); err != nil {
		return err
	}
	if err := w.guard.accept(r); err != nil {
		return err
	}
	// The form with the recipients is never replaced by the form without.
	if w.roster == nil || w.roster.digest != r.digest || r.full {
		w.roster = r
	}
	return nil
}

// Wrap seals a ring to all members of the newest roster and signs it. It returns [ErrNotProposer]
// if this member may not propose, [ErrNotRevoker] if the ring has a revocation that no revoker has
// signed and this member may not revoke, and [ErrOldEpoch] if the ring has a key of a burnt epoch.
func (w *Wrapper) Wrap(domain string, generation uint64, plain []byte) ([]byte, error) {
	if !w.usable() {
		return nil, errNoWrapper
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	set, err := w.read(domain, generation, plain)
	if err != nil {
		return nil, err
	}
	r := w.roster
	if r == nil {
		return nil, errors.New("agering: no roster is known: unseal the ring first, or pass the roster to Learn")
	}
	if err := r.Valid(w.now()); err != nil {
		return nil, err
	}
	me, err := w.self(r)
	if err != nil {
		return nil, err
	}
	if !me.MayPropose {
		return nil, fmt.Errorf("%w: %s, see roster %d", ErrNotProposer, me.Name, r.Seq)
	}
	if err := ofEpoch(set, r); err != nil {
		return nil, err
	}
	e := envelope{Version: 1, Domain: domain, Generation: generation, Epoch: r.Epoch, By: me.Name, Roster: r.embedded}
	if e.Revoked, err = w.endorse(marks(plain), r, me); err != nil {
		return nil, err
	}
	if e.Sealed, err = seal(plain, r); err != nil {
		return nil, err
	}
	e.Sig = ed25519.Sign(w.id.sign, e.statement())
	out := e.line()
	if len(out) > keyring.MaxSealed {
		return nil, fmt.Errorf("agering: the sealed ring has %d bytes, the limit is %d", len(out), keyring.MaxSealed)
	}
	return out, nil
}

// Unwrap unseals a ring that Wrap sealed for this domain.
//
// A root must have signed the roster in the ring, and the wrapper learns it if it is the newest.
// The ring is always judged by the newest roster that this wrapper knows, and not by the roster
// that it contains: an old ring with its old roster is accepted only if its writer may still
// propose and its epoch is the current one. Such a ring does no harm, because nodes unite rings and
// lose nothing. It also means that a roster can be published before the ring is sealed again.
func (w *Wrapper) Unwrap(domain string, sealed []byte) (u keyring.Unwrapped, err error) {
	if !w.usable() {
		return u, errNoWrapper
	}
	e, err := parseEnvelope(sealed)
	if err != nil {
		return u, err
	}
	if domain != w.domain || e.Domain != domain {
		return u, fmt.Errorf("%w: the ring is of %s, not %.64q", keyring.ErrDomain, e.Domain, domain)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	own, err := w.embedded(e)
	if err != nil {
		return u, err
	}
	r, err := w.rosterFor(e, own)
	if err != nil {
		return u, err
	}
	plain, err := w.open(e.Sealed)
	if err != nil {
		return u, err
	}
	set, err := w.read(domain, e.Generation, plain)
	if err != nil {
		return u, err
	}
	if err := ofEpoch(set, r); err != nil {
		return u, err
	}
	if !slices.EqualFunc(marks(plain), e.Revoked, func(kid string, n endorsement) bool { return kid == n.Kid }) {
		return u, fmt.Errorf("%w: the ring that %s wrote has revocations without a signature, or signatures without a revocation", ErrNotRevoker, e.By)
	}
	for _, n := range e.Revoked {
		w.endorsed[n.Kid] = n
	}
	stale := own.digest != r.digest && w.mayWrite(r)
	return keyring.Unwrapped{Plain: plain, Generation: e.Generation, Epoch: r.Epoch, By: e.By, Stale: stale}, nil
}

// rosterFor returns the newest roster, including the envelope's, if that accepts the envelope.
func (w *Wrapper) rosterFor(e *envelope, own *signedRoster) (*signedRoster, error) {
	if w.roster == nil || own.Seq >= w.roster.Seq {
		if err := w.adopt(own); err != nil {
			if errors.Is(err, ErrOldRoster) && e.judge(own) == nil {
				err = outdated{err}
			}
			return nil, err
		}
	}
	if err := w.roster.Valid(w.now()); err != nil {
		return nil, err
	}
	if err := e.judge(w.roster); err != nil {
		if own.digest != w.roster.digest && e.judge(own) == nil {
			err = outdated{err}
		}
		return nil, err
	}
	return w.roster, nil
}

// embedded returns the roster in an envelope. The newest roster is in every ring and is parsed
// once.
func (w *Wrapper) embedded(e *envelope) (*signedRoster, error) {
	if w.roster != nil && bytes.Equal(e.Roster, w.roster.embedded) {
		return w.roster, nil
	}
	r, err := parseRoster(e.rosterLine(), w.roots)
	if err != nil {
		return nil, err
	}
	if r.Domain != e.Domain {
		return nil, fmt.Errorf("%w: the roster is of %s, not %s", keyring.ErrDomain, r.Domain, e.Domain)
	}
	return r, nil
}

// read parses a ring and returns an error unless it is of this domain and generation.
func (w *Wrapper) read(domain string, generation uint64, plain []byte) (*keyring.Set, error) {
	set, err := keyring.ParseSet(plain)
	if err != nil {
		return nil, err
	}
	if domain != w.domain || set.Domain() != domain {
		return nil, fmt.Errorf("%w: %s, not %s", keyring.ErrDomain, set.Domain(), w.domain)
	}
	if set.Generation() != generation {
		return nil, fmt.Errorf("agering: the ring is of generation %d, not %d", set.Generation(), generation)
	}
	return set, nil
}

// mayWrite reports whether this member can seal a ring under r.
func (w *Wrapper) mayWrite(r *signedRoster) bool {
	me, err := w.self(r)
	return err == nil && me.MayPropose && r.full
}

// self returns this member's entry.
func (w *Wrapper) self(r *signedRoster) (*Member, error) {
	me := r.Member(w.id.public.Name)
	if me == nil || digestOf(me.Recipient) != digestOf(w.id.public.Recipient) || !me.Sign.Equal(w.id.public.Sign) {
		return nil, fmt.Errorf("%w: roster %d has no member %s with these keys", ErrNotMember, r.Seq, w.id.public.Name)
	}
	return me, nil
}

// ofEpoch returns an error unless the ring is of the roster's epoch.
//
// A key belongs to the epoch that its ring states, and rings of different epochs are never united.
// A node that reads a later epoch drops all its keys, including a key that no other node ever saw,
// and its earlier rings are rejected as rings of the earlier epoch. Times alone could not achieve
// that, because clocks differ and a thief's key can have a false time. The check that no key was
// made before the epoch began catches an operator who burns a ring and includes an old key.
func ofEpoch(set *keyring.Set, r *signedRoster) error {
	// A ring that states no epoch was made before there was a roster, and is of the first.
	if stated := max(1, set.Epoch()); stated != r.Epoch {
		return fmt.Errorf("%w: the ring is of epoch %d, roster %d of epoch %d", ErrOldEpoch, stated, r.Seq, r.Epoch)
	}
	for _, k := range set.Keys() {
		if k.Times().Created.Before(r.EpochStart) {
			return fmt.Errorf("%w: key %s was made before epoch %d began on %s", ErrOldEpoch, k.ID(), r.Epoch,
				r.EpochStart.Format(time.RFC3339))
		}
	}
	return nil
}

// marks returns the kids, in order, of the keys that a ring marks as revoked or as ambiguous.
// Either mark makes a key unusable, so a revoker must sign it.
func marks(plain []byte) []string {
	var ring struct {
		Keys []struct {
			Kid       string          `json:"kid"`
			Revoked   json.RawMessage `json:"revoked"`
			Ambiguous bool            `json:"ambiguous"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(plain, &ring); err != nil {
		panic(err) // package keyring has read it
	}
	var kids []string
	for _, k := range ring.Keys {
		if k.Ambiguous || len(k.Revoked) > 0 && string(k.Revoked) != "null" {
			kids = append(kids, k.Kid)
		}
	}
	slices.Sort(kids)
	return kids
}

// endorse returns the signatures for the marks of a ring: a known signature if the roster still
// accepts it, otherwise a new one of this member.
func (w *Wrapper) endorse(kids []string, r *signedRoster, me *Member) ([]endorsement, error) {
	var out []endorsement
	for _, kid := range kids {
		n, ok := w.endorsed[kid]
		if !ok || n.judge(w.domain, r) != nil {
			if !me.MayRevoke {
				return nil, fmt.Errorf("%w: the ring revokes key %s, no revoker has signed that, and %s may not revoke",
					ErrNotRevoker, kid, me.Name)
			}
			n = endorsement{Kid: kid, By: me.Name}
			n.Sig = ed25519.Sign(w.id.sign, n.statement(w.domain))
		}
		out = append(out, n)
	}
	if len(out) > maxEndorsements {
		return nil, fmt.Errorf("agering: the ring has %d revocations, the limit is %d", len(out), maxEndorsements)
	}
	return out, nil
}

// seal encrypts a ring to the members.
func seal(plain []byte, r *signedRoster) ([]byte, error) {
	if !r.full {
		return nil, fmt.Errorf("agering: roster %d is over %d bytes and was stored without its recipients: pass it to Learn",
			r.Seq, maxEmbedded)
	}
	var to []age.Recipient
	for _, m := range r.Members {
		recipient, _, err := parseRecipient(m.Recipient)
		if err != nil {
			return nil, fmt.Errorf("agering: %s: %w", m.Name, err)
		}
		to = append(to, recipient)
	}
	var out bytes.Buffer
	in, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	if _, err := in.Write(plain); err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	return out.Bytes(), nil
}

// open decrypts a ring.
func (w *Wrapper) open(sealed []byte) ([]byte, error) {
	in, err := age.Decrypt(bytes.NewReader(sealed), w.id.age)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, fmt.Errorf("%w: the ring is not sealed to %s", ErrNotMember, w.id.public.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(in, keyring.MaxBytes+1)) // one more than the limit, which ParseSet rejects
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	return plain, nil
}

// String returns the domain and the member of the wrapper.
func (w *Wrapper) String() string {
	if !w.usable() {
		return "rings of no domain"
	}
	return "rings of " + w.domain + " for " + w.id.String()
}

// Format prints what [Wrapper.String] returns, whatever the verb.
func (w *Wrapper) Format(f fmt.State, _ rune) { fmt.Fprint(f, w.String()) }

// LogValue returns what String returns, for a structured log.
func (w *Wrapper) LogValue() slog.Value { return slog.StringValue(w.String()) }
