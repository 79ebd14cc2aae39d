package waybill_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

// The claims of the tests: one for each rule.
var (
	Cell    = waybill.NewClaim[string]("cell")                             // last writer
	Seats   = waybill.NewClaim[int]("seats").Merge(waybill.Max)            // greatest
	Price   = waybill.NewClaim[int]("price").Merge(waybill.Min)            // least
	Tags    = waybill.NewClaim[[]string]("tags").Merge(waybill.Union)      // set
	Tenant  = waybill.NewClaim[string]("tenant").Fixed()                   // set at the start
	Receipt = waybill.NewClaim[string]("receipt").OnSuccess()              // only from calls that succeeded
	Stamp   = waybill.NewClaim[string]("stamp").Merge(longest).OnSuccess() // both
)

func longest(_, mine, theirs string) string {
	if len(mine) > len(theirs) || len(mine) == len(theirs) && mine > theirs {
		return mine
	}
	return theirs
}

func declareAll() waybill.Option {
	return waybill.Claims(Cell, Seats, Price, Tags, Tenant, Receipt, Stamp)
}

// authority declares all claims of the tests. Two of them have the same keys, as two services have.
func authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	return waybilltest.Authority(t, append([]waybill.Option{declareAll()}, opts...)...)
}

// must returns v, or ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func issue(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) *waybill.Waybill {
	t.Helper()
	return must(auth.Issue(changes...))(t)
}

// receive acts as a service that received a token.
func receive(t testing.TB, auth *waybill.Authority, token string) (context.Context, waybill.Hop) {
	t.Helper()
	ctx, hop := auth.Receive(context.Background(), []string{token}, nil)
	if hop.Err() != nil {
		t.Fatal(hop.Err())
	}
	return ctx, hop
}

func send(t testing.TB, auth *waybill.Authority, ctx context.Context) *waybill.Call {
	t.Helper()
	return must(auth.Send(ctx))(t)
}

func change(t testing.TB, ctx context.Context, changes ...waybill.Change) {
	t.Helper()
	if err := waybill.Update(ctx, changes...); err != nil {
		t.Fatal(err)
	}
}

// answer returns the token that a service sends back after it received token and made changes.
func answer(t testing.TB, auth *waybill.Authority, token string, changes ...waybill.Change) string {
	t.Helper()
	ctx, hop := receive(t, auth, token)
	change(t, ctx, changes...)
	returned := single(hop.Commit(waybill.Succeeded))
	if returned == "" {
		t.Fatal("the service returned no token")
	}
	return returned
}

// now returns the waybill in ctx.
func now(t testing.TB, ctx context.Context) *waybill.Waybill {
	t.Helper()
	return must(waybill.FromContext(ctx))(t)
}

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func wantClaim[T comparable](t testing.TB, ctx context.Context, c waybill.Claim[T], want T) {
	t.Helper()
	if got, err := c.Lookup(ctx); err != nil || got != want {
		t.Errorf("%s: got %v, %v, want %v", c.Name(), got, err, want)
	}
}

func wantNoClaim[T any](t testing.TB, ctx context.Context, c waybill.Claim[T]) {
	t.Helper()
	if got, err := c.Lookup(ctx); !errors.Is(err, waybill.ErrNoClaim) {
		t.Errorf("%s: got %v, %v, want ErrNoClaim", c.Name(), got, err)
	}
}

// wantClaims compares the application claims, in their order.
func wantClaims(t testing.TB, wb *waybill.Waybill, want string) {
	t.Helper()
	got := string(wb.Payload())
	_, got, _ = strings.Cut(got, `"end":`)
	_, got, _ = strings.Cut(got, ",")
	if got = strings.TrimSuffix(got, "}"); got != want {
		t.Errorf("claims: got %s, want %s", got, want)
	}
}

func newKey(t testing.TB, alg keyring.Protection, notBefore, expires time.Time) *keyring.Key {
	t.Helper()
	return must(keyring.Generate(alg, keyring.Times{Created: notBefore.Add(-time.Hour), NotBefore: notBefore, Expires: expires}))(t)
}

// lasting returns a key that can issue now and for a long time.
func lasting(t testing.TB, alg keyring.Protection) *keyring.Key {
	t.Helper()
	return newKey(t, alg, time.Now().Add(-time.Minute), time.Now().Add(1000*time.Hour))
}

func ringOf(t testing.TB, domain string, keys ...*keyring.Key) *keyring.Ring {
	t.Helper()
	return keyring.NewRing(must(keyring.NewSet(domain, keys...))(t))
}

// basOf returns the "bas" of a token made from token.
func basOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// ended returns the result of a hop or call.
func ended(ok bool) waybill.Result {
	if ok {
		return waybill.Succeeded
	}
	return waybill.Failed
}

// single is the token that a hop returns, or "". Only a hop without a private key returns several.
func single(tokens []string) string {
	switch len(tokens) {
	case 0:
		return ""
	case 1:
		return tokens[0]
	}
	panic("several returned tokens")
}

// list is what an answer with one returned token brings, or with none.
func list(token string) []string {
	if token == "" {
		return nil
	}
	return []string{token}
}
