package waybill

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
	"github.com/waybill-go/waybill/keyring"
)

// Authority opens and issues the waybills of one trust domain, with the keys of one ring. It knows the claims that were
// declared to it. It does no I/O and is safe for concurrent use.
type Authority struct {
	config
	domain   string
	ring     *keyring.Ring
	declared map[string]*declaration
	accepts  [Public + 1]bool
}

// New returns the Authority of a trust domain. The domain stands in the "aud" of every token; the ring must be of the
// same domain.
func New(domain string, ring *keyring.Ring, opts ...Option) (*Authority, error) {
	if err := keyring.CheckDomain(domain); err != nil {
		return nil, err
	}
	if ring == nil {
		return nil, fmt.Errorf("waybill: no key ring for %s", domain)
	}
	if set := ring.Set(); set != nil && set.Domain() != domain {
		return nil, fmt.Errorf("%w: the ring is of %s, not %s", keyring.ErrDomain, set.Domain(), domain)
	}
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	a := &Authority{config: c, domain: domain, ring: ring}
	for _, p := range c.opens {
		a.accepts[p] = true
	}
	if a.declared, err = c.declared(); err != nil {
		return nil, err
	}
	return a, nil
}

// Domain returns the trust domain.
func (a *Authority) Domain() string { return a.domain }

// Now returns the time by the Authority's clock.
func (a *Authority) Now() time.Time { return a.now() }

// Ring returns the key ring.
func (a *Authority) Ring() *keyring.Ring { return a.ring }

// Open verifies a token and returns its waybill, or nil and the reason for which it is refused. Before anything is
// parsed, the token's length is checked.
func (a *Authority) Open(token string) (*Waybill, error) { return a.OpenAt(token, a.now()) }

// OpenAt is [Authority.Open] as of another time: that at which a queue received the token. Revocation is judged now.
func (a *Authority) OpenAt(token string, at time.Time) (*Waybill, error) {
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
	if !a.accepts[p] {
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
	if err := a.judge(&w.body().claims, at.Unix()); err != nil {
		return nil, err
	}
	return w, nil
}

func (a *Authority) noKey(set *keyring.Set, kid []byte) error {
	switch {
	case set.Revoked(kid):
		return ErrRevokedKey
	case a.ring.Fresh():
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
		return fmt.Errorf("%w: exp is behind end", ErrLifetime)
	case c.Exp <= c.Iat || c.Exp-c.Iat > int64(a.maxLife/time.Second):
		return ErrLifetime
	case c.Iat > now+leeway || c.Nbf > now+leeway:
		return ErrNotYetValid
	case now >= c.Exp+leeway:
		return ErrExpired
	}
	return nil
}

// Issue makes the first waybill of a journey, outside of any context. See [Authority.Start].
func (a *Authority) Issue(changes ...Change) (*Waybill, error) {
	now := a.now()
	end := now.Add(a.journey)
	exp := now.Add(a.life)
	var edits edits
	if err := edits.apply(a, nil, changes); err != nil {
		return nil, err
	}
	var sid [16]byte
	rand.Read(sid[:])
	var p jose.Builder
	p.Grow(128 + len(a.domain) + edits.size())
	p.Plain(jose.Aud, a.domain)
	p.Plain(jose.Sid, base64.RawURLEncoding.EncodeToString(sid[:]))
	p.Seconds(jose.Iat, now.Unix())
	p.Seconds(jose.Exp, exp.Unix())
	p.Seconds(jose.End, end.Unix())
	edits.appendNew(&p)
	return a.protect(a.issues, p.Payload(), exp)
}

// protect makes a waybill of a payload, to be issued under the ring's active key on first use. Everything that can
// go wrong goes wrong here, where a handler sees it.
func (a *Authority) protect(p Protection, payload []byte, exp time.Time) (*Waybill, error) {
	set := a.ring.Set()
	if set == nil {
		return nil, fmt.Errorf("%w: the ring is not loaded", ErrNoKey)
	}
	key := a.ring.Active(p, a.now(), exp)
	if key == nil {
		if p == Public && !holdsPrivate(set) {
			return nil, ErrReadOnly
		}
		return nil, fmt.Errorf("%w: the ring has no %s key that is active and outlives the token; see waybill keys list",
			ErrNoKey, p)
	}
	if n := key.Codec().Len(len(payload)); n > a.issueLimit {
		return nil, fmt.Errorf("%w: it would have %d bytes, the limit is %d", ErrTooLarge, n, a.issueLimit)
	}
	w := newWaybill(a.domain, key, p)
	w.body().key = key
	if err := jose.ParseClaims(&w.body().claims, payload, a.domain); err != nil {
		return nil, translate(err)
	}
	return w, nil
}

func holdsPrivate(set *keyring.Set) bool {
	for _, k := range set.Keys() {
		if k.Protection() == keyring.Public && k.CanIssue() {
			return true
		}
	}
	return false
}

// Start begins a journey in ctx: the edge does so on a client's first visit. In the context of a request that came
// without a waybill, the new one goes back with the response. A context that is on a journey already gives [ErrStarted].
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
