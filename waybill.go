package waybill

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
	"github.com/waybill-go/waybill/keyring"
)

// Waybill is a verified token: its claims, and the exact bytes that contain them. Only an [Authority]
// makes one. It is immutable and safe for concurrent use. A nil Waybill, and new(Waybill), have no
// claims and an empty token. A Waybill never prints its token.
type Waybill struct {
	// Package fmt prints the unexported fields of a struct without calling their methods, but does not
	// follow a pointer in one.
	b *body
}

type body struct {
	claims     jose.Claims
	domain     string
	kid        string
	protection Protection

	once  sync.Once
	token string
	key   *keyring.Key // of a waybill whose token is not made yet; else nil
}

// newWaybill makes a waybill and its body in one allocation.
func newWaybill(domain string, key *keyring.Key, p Protection) *Waybill {
	w := new(struct {
		waybill Waybill
		body    body
	})
	w.waybill.b = &w.body
	w.body.domain, w.body.kid, w.body.protection = domain, key.ID(), p
	return &w.waybill
}

// none is the body of a waybill that no Authority made.
var none body

func (w *Waybill) body() *body {
	if w == nil || w.b == nil {
		return &none
	}
	return w.b
}

// Token returns the token as it is sent. Handle it as a credential.
func (w *Waybill) Token() string {
	b := w.body()
	if b.key == nil {
		return b.token
	}
	b.once.Do(func() { b.token = b.key.Codec().Issue(b.claims.Payload(), b.domain) })
	return b.token
}

// ID returns the "sid", which identifies the journey in logs: its begin and 96 random bits. It never
// changes, with one exception: an edge corrects the begin, the first 4 bytes, if the clock that wrote it was
// ahead by more than the leeway.
func (w *Waybill) ID() string { return w.text(jose.Sid) }

// Domain returns the "aud": the trust domain.
func (w *Waybill) Domain() string { return w.body().domain }

// Issuer returns the "iss", if any.
func (w *Waybill) Issuer() string { return w.text(jose.Iss) }

// Subject returns the "sub", if any.
func (w *Waybill) Subject() string { return w.text(jose.Sub) }

// KeyID returns the kid of the ring key that protects the token.
func (w *Waybill) KeyID() string { return w.body().kid }

// Protection returns how the token is protected.
func (w *Waybill) Protection() Protection { return w.body().protection }

// Issued returns the "iat".
func (w *Waybill) Issued() time.Time { return w.time(func(c *jose.Claims) int64 { return c.Iat }) }

// Expires returns the "exp": when this token expires.
func (w *Waybill) Expires() time.Time { return w.time(func(c *jose.Claims) int64 { return c.Exp }) }

// Began returns when the journey began, from the sid.
func (w *Waybill) Began() time.Time { return w.time(func(c *jose.Claims) int64 { return c.Began }) }

// Ends returns the "end": the absolute end of the journey. No renewal exceeds it.
func (w *Waybill) Ends() time.Time { return w.time(func(c *jose.Claims) int64 { return c.End }) }

// Has reports whether the claim is present, with a value of any type.
func (w *Waybill) Has(name string) bool { return w.raw(name) != nil }

// Check returns nil if the waybill has all of these claims with values of their types, and otherwise an
// error that wraps [ErrMissingClaim] and names the claim.
func (w *Waybill) Check(claims ...Declaration) error {
	for _, c := range claims {
		def := c.declare()
		raw := w.raw(def.name)
		if raw == nil {
			return fmt.Errorf("%w: %s", ErrMissingClaim, def.name)
		}
		if err := def.check(raw); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrMissingClaim, def.name, err)
		}
	}
	return nil
}

// Payload returns a copy of the JSON object with all claims, as the token contains it.
func (w *Waybill) Payload() []byte { return append([]byte(nil), w.body().claims.Payload()...) }

func (w *Waybill) raw(name string) []byte { return w.body().claims.Raw(name) }

func (w *Waybill) text(name string) string { return w.body().claims.Text(name) }

func (w *Waybill) time(of func(*jose.Claims) int64) time.Time {
	if w.body() == &none {
		return time.Time{}
	}
	return time.Unix(of(&w.body().claims), 0).UTC()
}

// base returns the "bas" of a token made from this one: the first 16 bytes of SHA-256 of the exact
// token.
func (w *Waybill) base() string {
	sum := sha256.Sum256([]byte(w.Token()))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// String describes the waybill without its token and claims.
func (w *Waybill) String() string {
	if w.body() == &none {
		return "no waybill"
	}
	return fmt.Sprintf("%s waybill %s of %s, key %s, %d bytes of claims",
		w.Protection(), w.ID(), w.Domain(), w.KeyID(), len(w.body().claims.Payload()))
}

// Format prints what [Waybill.String] returns, whatever the verb.
func (w *Waybill) Format(f fmt.State, _ rune) { fmt.Fprint(f, w.String()) }

// LogValue describes the waybill in a structured log.
func (w *Waybill) LogValue() slog.Value {
	if w.body() == &none {
		return slog.StringValue("no waybill")
	}
	return slog.GroupValue(
		slog.String("sid", w.ID()), slog.String("kid", w.KeyID()), slog.Int("bytes", len(w.body().claims.Payload())))
}
