package waybill

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill/internal/jose"
	"github.com/waybill-go/waybill/keyring"
)

// Waybill is a verified token: its claims, and the exact bytes that they came from. Only an [Authority] makes one. It is
// immutable and safe for concurrent use; the nil Waybill has no claims. It never prints its token.
type Waybill struct {
	hidden atomic.Pointer[body] // set once
}

// body is behind a pointer that package fmt does not follow: fmt calls no method of a value in somebody's unexported field,
// and prints what is in it.
type body struct {
	claims     jose.Claims
	domain     string
	kid        string
	protection Protection

	once  sync.Once
	token string
	key   *keyring.Key // of a waybill that is still to be protected; else nil
}

// newWaybill makes a waybill and its body in one allocation.
func newWaybill(domain string, key *keyring.Key, p Protection) *Waybill {
	w := new(struct {
		waybill Waybill
		body    body
	})
	w.waybill.hidden.Store(&w.body)
	w.body.domain, w.body.kid, w.body.protection = domain, key.ID(), p
	return &w.waybill
}

func (w *Waybill) body() *body { return w.hidden.Load() }

// Token returns the token as it goes on the wire. Handle it as a credential.
func (w *Waybill) Token() string {
	if w == nil {
		return ""
	}
	b := w.body()
	b.once.Do(func() {
		if b.token == "" {
			b.token = b.key.Codec().Issue(b.claims.Payload(), b.domain)
		}
	})
	return b.token
}

// ID returns the "sid": 128 random bits that name the journey in logs, constant as long as it lasts.
func (w *Waybill) ID() string { return w.text(jose.Sid) }

// Domain returns the "aud": the trust domain.
func (w *Waybill) Domain() string {
	if w == nil {
		return ""
	}
	return w.body().domain
}

// Issuer returns the "iss", if any.
func (w *Waybill) Issuer() string { return w.text(jose.Iss) }

// Subject returns the "sub", if any.
func (w *Waybill) Subject() string { return w.text(jose.Sub) }

// KeyID returns the kid of the ring key that the token is protected with.
func (w *Waybill) KeyID() string {
	if w == nil {
		return ""
	}
	return w.body().kid
}

// Protection returns how the token is protected.
func (w *Waybill) Protection() Protection {
	if w == nil {
		return 0
	}
	return w.body().protection
}

// Issued returns the "iat".
func (w *Waybill) Issued() time.Time { return w.time(func(c *jose.Claims) int64 { return c.Iat }) }

// Expires returns the "exp": the end of this token.
func (w *Waybill) Expires() time.Time { return w.time(func(c *jose.Claims) int64 { return c.Exp }) }

// Ends returns the "end": the absolute end of the journey, which no renewal passes.
func (w *Waybill) Ends() time.Time { return w.time(func(c *jose.Claims) int64 { return c.End }) }

// Has reports whether the claim is there, of whatever type.
func (w *Waybill) Has(name string) bool { return w.raw(name) != nil }

// Payload returns a copy of all claims, as the JSON object that the token holds.
func (w *Waybill) Payload() []byte {
	if w == nil {
		return nil
	}
	return append([]byte(nil), w.body().claims.Payload()...)
}

func (w *Waybill) raw(name string) []byte {
	if w == nil {
		return nil
	}
	return w.body().claims.Raw(name)
}

func (w *Waybill) text(name string) string {
	if w == nil {
		return ""
	}
	return w.body().claims.Text(name)
}

func (w *Waybill) time(of func(*jose.Claims) int64) time.Time {
	if w == nil {
		return time.Time{}
	}
	return time.Unix(of(&w.body().claims), 0).UTC()
}

// base is what an update names in its "bas": the first 16 bytes of SHA-256 of the exact token.
func (w *Waybill) base() string {
	sum := sha256.Sum256([]byte(w.Token()))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// String names the waybill without its token and claims.
func (w *Waybill) String() string {
	if w == nil {
		return "no waybill"
	}
	return fmt.Sprintf("%s waybill %s of %s, key %s, %d bytes of claims",
		w.Protection(), w.ID(), w.Domain(), w.KeyID(), len(w.body().claims.Payload()))
}

// Format prints what [Waybill.String] returns, whatever the verb.
func (w *Waybill) Format(f fmt.State, _ rune) { fmt.Fprint(f, w.String()) }

// LogValue names the waybill in a structured log.
func (w *Waybill) LogValue() slog.Value {
	if w == nil {
		return slog.StringValue("no waybill")
	}
	return slog.GroupValue(
		slog.String("sid", w.ID()), slog.String("kid", w.KeyID()), slog.Int("bytes", len(w.body().claims.Payload())))
}
