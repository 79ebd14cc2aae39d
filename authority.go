package waybill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
	"github.com/waybill-go/waybill/keyring"
)

// Authority opens and issues the waybills of one trust domain, with the keys of one ring and the
// claims declared to it. It does no I/O and is safe for concurrent use.
type Authority struct {
	config
	domain   string
	ring     *keyring.Ring
	declared map[string]*declaration
	accepts  [Public + 1]bool
	fixed    []string // the names of the fixed claims, sorted
}

// New returns the Authority of a trust domain. The domain is the "aud" of every token, and must be
// the domain of the ring.
//
// New returns [ErrNoKey] if the ring has keys, and none of the protection to issue. A ring that is not
// loaded, or whose keys have all been revoked, is accepted. An Authority whose ring has only the public
// halves of [Public] keys is read-only.
func New(domain string, ring *keyring.Ring, opts ...Option) (*Authority, error) {
	if err := keyring.CheckDomain(domain); err != nil {
		return nil, err
	}
	if ring == nil {
		return nil, fmt.Errorf("waybill: no key ring for %s: load one with keyring.LoadFile", domain)
	}
	if set := ring.Set(); set != nil && set.Domain() != domain {
		return nil, fmt.Errorf("%w: the ring belongs to %s, not to %s", keyring.ErrDomain, set.Domain(), domain)
	}
	return newAuthority(domain, ring, defaults(), opts)
}

// Derive returns an Authority for tokens with another purpose, whose "aud" is the domain, "#" and
// the purpose: neither of the two Authorities accepts tokens of the other. The purpose is 1 to 64
// characters of a-z, 0-9 and "-". The derived Authority has the same ring, clock and leeway; claims
// and everything else come from opts.
func (a *Authority) Derive(purpose string, opts ...Option) (*Authority, error) {
	if strings.Contains(a.domain, "#") {
		return nil, fmt.Errorf("waybill: %s is derived already: derive %q from the Authority of the domain", a.domain, purpose)
	}
	if err := checkPurpose(purpose); err != nil {
		return nil, err
	}
	c := defaults()
	c.now, c.leeway = a.now, a.leeway
	return newAuthority(a.domain+"#"+purpose, a.ring, c, opts)
}

func checkPurpose(purpose string) error {
	ok := len(purpose) > 0 && len(purpose) <= 64
	for _, c := range []byte(purpose) {
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("waybill: purpose %q is not 1 to 64 characters of a-z, 0-9 and -", purpose)
	}
	return nil
}

func newAuthority(aud string, ring *keyring.Ring, c config, opts []Option) (*Authority, error) {
	if err := c.apply(opts); err != nil {
		return nil, err
	}
	a := &Authority{config: c, domain: aud, ring: ring}
	for _, p := range c.opens {
		a.accepts[p] = true
	}
	var err error
	if a.declared, err = c.declared(); err != nil {
		return nil, err
	}
	for name, def := range a.declared {
		if def.fixed {
			a.fixed = append(a.fixed, name)
		}
	}
	slices.Sort(a.fixed)
	if err := a.checkRing(); err != nil {
		return nil, err
	}
	return a, nil
}

// checkRing reports a ring that was made for other protections.
func (a *Authority) checkRing() error {
	set := a.ring.Set()
	if set == nil || len(set.Keys()) == 0 {
		return nil
	}
	for _, k := range set.Keys() {
		if k.Protection() == a.issues {
			return nil
		}
	}
	return fmt.Errorf("%w: the ring of %s has no %s key; add one with waybill keys new --add --protection %s, "+
		"or choose another protection with waybill.Protect", ErrNoKey, set.Domain(), a.issues, a.issues)
}

// Domain returns the "aud" of the Authority's tokens: the trust domain, and "#" and the purpose if
// [Authority.Derive] made it.
func (a *Authority) Domain() string { return a.domain }

// Lifetime returns how long an issued token is valid, and how long a journey can be.
func (a *Authority) Lifetime() (token, journey time.Duration) { return a.life, a.journey }

// AcceptsUpTo returns the size of the largest token that is opened, in bytes.
func (a *Authority) AcceptsUpTo() int { return a.acceptLimit }

// Now returns the current time of the Authority's clock.
func (a *Authority) Now() time.Time { return a.now() }

// KeysConfirmedSince reports whether the key ring has been confirmed by its source since t. A key
// that is unknown then was not in the ring at t.
func (a *Authority) KeysConfirmedSince(t time.Time) bool { return a.ring.ConfirmedSince(t) }

// CanIssue reports whether the ring has a key that can issue tokens of the Authority's protection,
// or is not loaded yet.
func (a *Authority) CanIssue() bool {
	set := a.ring.Set()
	return set == nil || canIssue(set, a.issues)
}

// Open verifies a token and returns its waybill, or nil and the reason why it is not accepted. The
// length of the token is checked before anything is parsed.
func (a *Authority) Open(token string) (*Waybill, error) { return a.OpenAt(token, a.now()) }

// OpenAt is [Authority.Open] at another time, such as when a queue received the token. Revocation
// is always judged at the current time.
func (a *Authority) OpenAt(token string, at time.Time) (*Waybill, error) {
	w, err := a.verify(token, at, false)
	if err != nil {
		return nil, err
	}
	if err := a.judge(&w.body().claims, at.Unix()); err != nil {
		return nil, err
	}
	return w, nil
}

// verify is OpenAt without the judgement of times. If ended is set, it verifies tokens of every protection.
func (a *Authority) verify(token string, at time.Time, ended bool) (*Waybill, error) {
	if len(token) == 0 {
		return nil, ErrNoWaybill
	}
	if len(token) > a.acceptLimit {
		return nil, ErrTooLarge
	}
	set := a.ring.Set()
	if set == nil {
		return nil, ErrNoKey
	}
	t, err := jose.Split(token)
	if err != nil {
		return nil, translate(err)
	}
	var buf jose.HeaderBuffer
	key := set.LookupHead(t.Head())
	if key != nil {
		t, err = t.Named(key.Codec())
	} else if t, err = t.ReadHeader(&buf); err == nil {
		key = set.Lookup(t.Kid)
	}
	if err != nil {
		return nil, translate(err)
	}
	if key == nil && a.ring.Unknown(t.Kid) {
		set = a.ring.Set()
		key = set.Lookup(t.Kid)
	}
	if key == nil || key.Gone(at.Add(-a.leeway)) {
		return nil, a.noKey(set, t.Kid)
	}
	p := key.Protection()
	if !a.accepts[p] && !ended {
		return nil, ErrProtection
	}
	payload, err := key.Codec().Open(&t, a.domain)
	if err != nil {
		return nil, translate(err)
	}
	w := newWaybill(a.domain, key, p)
	w.body().token = token
	if err := jose.ParseClaims(&w.body().claims, payload, a.domain); err != nil {
		return nil, translate(err)
	}
	return w, nil
}

func (a *Authority) noKey(set *keyring.Set, kid []byte) error {
	switch {
	case set.Revoked(kid):
		return ErrRevokedKey
	case a.ring.Excludes(kid):
		return ErrUnknownKey
	default:
		return errUnknownKeyYet
	}
}

// judge checks the times of a verified token.
func (a *Authority) judge(c *jose.Claims, now int64) error {
	leeway := int64(a.leeway / time.Second)
	switch {
	case c.Exp > c.End:
		return fmt.Errorf("%w: exp is after end", ErrLifetime)
	case c.Exp <= c.Iat || c.Exp-c.Iat > int64(a.maxLife/time.Second):
		return ErrLifetime
	case c.Began > c.Iat+leeway:
		return fmt.Errorf("%w: the journey begins after iat", ErrLifetime)
	case c.End-c.Began > int64(a.maxJourney/time.Second):
		return fmt.Errorf("%w: end is more than %v after the begin of the journey", ErrLifetime, a.maxJourney)
	case c.Iat > now+leeway || c.Nbf > now+leeway:
		return ErrNotYetValid
	case now >= c.Exp+leeway:
		return ErrExpired
	}
	return nil
}

// Issue makes the first waybill of a journey, without a context. See [Authority.Start].
func (a *Authority) Issue(changes ...Change) (*Waybill, error) {
	now := a.now()
	end := now.Add(a.journey)
	exp := now.Add(a.life)
	var edits edits
	if err := edits.apply(a, nil, changes); err != nil {
		return nil, err
	}
	var p jose.Builder
	p.Grow(128 + len(a.domain) + edits.size())
	p.Plain(jose.Aud, a.domain)
	p.Plain(jose.Sid, newSID(now))
	p.Seconds(jose.Iat, now.Unix())
	p.Seconds(jose.Exp, exp.Unix())
	p.Seconds(jose.End, end.Unix())
	edits.appendNew(&p)
	return a.protect(a.issues, p.Payload(), exp, basRoom)
}

// basRoom is the size of a "bas" member in a payload.
const basRoom = len(`"bas":"0123456789012345678901",`)

// protect makes a waybill from a payload. Its token is made on first use, with the key that is
// active now. All errors occur here, where a handler sees them.
//
// A token that names no base leaves room for it, because every later change adds one.
func (a *Authority) protect(p Protection, payload []byte, exp time.Time, reserve int) (*Waybill, error) {
	set := a.ring.Set()
	if set == nil {
		return nil, fmt.Errorf("%w: the ring is not loaded", ErrNoKey)
	}
	key := a.ring.Active(p, a.now(), exp)
	if key == nil {
		if p == Public && !canIssue(set, p) {
			return nil, ErrReadOnly
		}
		return nil, fmt.Errorf("%w: the ring has no %s key that is active and outlives the token; see waybill keys list",
			ErrNoKey, p)
	}
	if n := key.Codec().Len(len(payload) + reserve); n > a.issueLimit {
		return nil, fmt.Errorf("%w: with room for later changes it would have %d bytes, the limit is %d",
			ErrTooLarge, n, a.issueLimit)
	}
	w := newWaybill(a.domain, key, p)
	w.body().key = key
	if err := jose.ParseClaims(&w.body().claims, payload, a.domain); err != nil {
		return nil, fmt.Errorf("%w: it has more than %d claims, or claims nested too deeply: %w",
			ErrTooLarge, jose.MaxClaims, err)
	}
	if reserve > 0 && w.body().claims.Len() == jose.MaxClaims {
		return nil, fmt.Errorf("%w: it has %d claims, which leaves no room for later changes", ErrTooLarge, jose.MaxClaims)
	}
	return w, nil
}

// canIssue reports whether the set has a key that can issue tokens of protection p.
func canIssue(set *keyring.Set, p Protection) bool {
	for _, k := range set.Keys() {
		if k.Protection() == p && k.CanIssue() {
			return true
		}
	}
	return false
}

// Start begins a journey in ctx, as an edge does on a client's first visit. If ctx belongs to a
// request that has no waybill, the new one goes back with the response. If ctx already has a
// waybill, Start returns [ErrStarted]; the empty journey that [End] left counts as none.
func (a *Authority) Start(ctx context.Context, changes ...Change) (context.Context, error) {
	s := scopeOf(ctx)
	if s != nil && s.auth == a {
		return ctx, s.start(changes)
	}
	w, err := a.Issue(changes...)
	if err != nil {
		return ctx, err
	}
	return newLocal(ctx, a, w), nil
}
