package carriers

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell   = waybill.NewClaim[string]("cell")
	Seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	Tenant = waybill.NewClaim[string]("tenant")
)

func authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, append(opts, waybill.Claims(Cell, Seats, Tenant))...)
}

func token(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) string {
	t.Helper()
	wb, err := auth.Issue(changes...)
	check(t, err)
	return wb.Token()
}

// refusal is one reason to refuse, and how it comes about.
type refusal struct {
	name   string
	reason string
	class  waybill.Class
	auth   *waybill.Authority // which refuses
	values []string
}

func refusals(t *testing.T) []refusal {
	auth := authority(t)
	full := []waybill.Change{Cell.To("secret-cell"), Tenant.To("acme")}
	good := token(t, auth, full...)
	at := func(d time.Duration) waybill.Option {
		return waybill.Clock(func() time.Time { return time.Now().Add(d) })
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k","typ":"waybill+jwt"}`)) + good[strings.IndexByte(good, '.'):]
	strange := newKey(t)
	stranger := token(t, on(t, waybilltest.Domain, strange), full...)
	return []refusal{
		{"absent", "absent", waybill.Unauthenticated, auth, nil},
		{"malformed", "malformed", waybill.Invalid, auth, []string{"garbage-of-some-length"}},
		{"two tokens", "ambiguous", waybill.Invalid, auth, []string{good, good}},
		{"too large", "too_large", waybill.TooLarge, auth, []string{strings.Repeat("a", waybill.DefaultAcceptLimit+1)}},
		{"another algorithm", "algorithm", waybill.Unauthenticated, auth, []string{none}},
		{"forged", "forged", waybill.Unauthenticated, auth, []string{forged(good)}},
		{"unknown key", "unknown_key", waybill.Unauthenticated, auth, []string{stranger}},
		{"unknown key, ring out of touch", "unknown_key", waybill.Unavailable, over(t, outOfTouch(t)), []string{stranger}},
		{"revoked key", "revoked", waybill.Unauthenticated, over(t, revoking(t, strange)), []string{stranger}},
		{"another protection", "protection", waybill.Unauthenticated, auth, []string{token(t, authority(t, waybill.Protect(waybill.Sealed)), full...)}},
		{"another domain", "audience", waybill.Unauthenticated, on(t, "bank", waybilltest.Ring().Set().Keys()...), []string{good}},
		{"expired", "expired", waybill.Unauthenticated, auth, []string{token(t, authority(t, at(-time.Hour)), full...)}},
		{"of the future", "not_yet_valid", waybill.Unauthenticated, auth, []string{token(t, authority(t, at(time.Hour)), full...)}},
		{"too long a life", "lifetime", waybill.Unauthenticated, auth, []string{token(t, authority(t, waybill.Life(2*time.Hour)), full...)}},
		{"a claim of another type", "missing_claim", waybill.Denied, auth, []string{illTyped(t)}},
		{"lacks a claim", "missing_claim", waybill.Denied, auth, []string{token(t, auth, Cell.To("secret-cell"))}},
		{"keys not loaded", "no_key", waybill.Unavailable, over(t, keyring.NewRing(nil)), []string{good}},
	}
}

// illTyped returns a token whose tenant is a number.
func illTyped(t *testing.T) string {
	number := waybill.NewClaim[int]("tenant")
	return token(t, waybilltest.Authority(t, waybill.Claims(Cell, number)), Cell.To("secret-cell"), number.To(7))
}

// forged changes one letter of the signature.
func forged(token string) string {
	i := strings.LastIndexByte(token, '.') + 5
	c := "A"
	if token[i] == 'A' {
		c = "B"
	}
	return token[:i] + c + token[i+1:]
}

func newKey(t testing.TB) *keyring.Key {
	t.Helper()
	from := time.Now().Add(-time.Minute)
	k, err := keyring.Generate(keyring.Signed, keyring.Times{Created: from, NotBefore: from, Expires: from.Add(24 * time.Hour)})
	check(t, err)
	return k
}

// on is an Authority of a domain with these keys.
func on(t testing.TB, domain string, keys ...*keyring.Key) *waybill.Authority {
	t.Helper()
	set, err := keyring.NewSet(domain, keys...)
	check(t, err)
	auth, err := waybill.New(domain, keyring.NewRing(set), waybill.Claims(Cell, Seats, Tenant))
	check(t, err)
	return auth
}

// over is an Authority with a ring of its own.
func over(t testing.TB, ring *keyring.Ring) *waybill.Authority {
	t.Helper()
	auth, err := waybill.New(waybilltest.Domain, ring, waybill.Claims(Cell, Seats, Tenant))
	check(t, err)
	return auth
}

// revoking is a ring in which a key was revoked.
func revoking(t testing.TB, k *keyring.Key) *keyring.Ring {
	t.Helper()
	set, err := keyring.ParseSet(fmt.Appendf(nil, `{"ring":%q,"gen":2,"keys":[{"kid":%q,"revoked":{"revoked_at":1}}]}`, waybilltest.Domain, k.ID()))
	check(t, err)
	return keyring.NewRing(set)
}

// outOfTouch is a ring whose source was read once, and fails since.
func outOfTouch(t testing.TB) *keyring.Ring {
	t.Helper()
	set, err := keyring.NewSet(waybilltest.Domain, newKey(t))
	check(t, err)
	ring, err := keyring.Follow(t.Context(), &once{data: set.SecretJWKS()}, keyring.Poll(time.Millisecond),
		keyring.Logger(slog.New(slog.DiscardHandler)))
	check(t, err)
	t.Cleanup(func() { ring.Close() })
	for late := time.Now().Add(patience); ring.Fresh(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("a ring without a source is still fresh")
		}
	}
	return ring
}

type once struct {
	data []byte
	read atomic.Bool
}

func (o *once) Load(context.Context) (keyring.Blob, error) {
	if o.read.Swap(true) {
		return keyring.Blob{}, errors.New("the source is gone")
	}
	return keyring.Blob{Data: o.data, Revision: 1}, nil
}

func (o *once) Nudges(context.Context) <-chan struct{} { return nil }
