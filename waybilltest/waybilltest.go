// Package waybilltest helps to test code that reads and changes waybills.
//
// The ordinary path: an Authority with keys of its own, and the context that a handler would get.
//
//	auth := waybilltest.Authority(t, waybill.Claims(Cell))
//	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
//	got := route(ctx)
//
// All Authorities of one test binary share their keys, so two of them stand for two services of one domain. The keys are
// random and never leave the process.
//
// [CheckRule] checks that a merge rule does not depend on the order in which answers arrive, [Store] a key store of one's
// own, and [CheckCarrier] a carrier.
package waybilltest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// Domain is the trust domain of [Authority].
const Domain = "test"

// keys has one key of each algorithm. They fit every clock that a test may set: the times of a fake one as well as today.
var keys = func() *keyring.Set {
	times := keyring.Times{
		Created:   time.Unix(1, 0),
		NotBefore: time.Unix(1, 0),
		Expires:   time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	var made []*keyring.Key
	for _, alg := range []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public} {
		k, err := keyring.Generate(alg, times)
		if err != nil {
			panic(fmt.Sprintf("waybilltest: %v", err))
		}
		made = append(made, k)
	}
	set, err := keyring.NewSet(Domain, made...)
	if err != nil {
		panic(fmt.Sprintf("waybilltest: %v", err))
	}
	return set
}()

// Authority returns an Authority of [Domain] that can issue and open every protection that opts ask for. It fails the
// test if the options do not fit together.
func Authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	auth, err := waybill.New(Domain, keyring.NewRing(keys), opts...)
	if err != nil {
		t.Fatalf("waybilltest: %v", err)
	}
	return auth
}

// Context returns the context of a handler that received a waybill with these claims: as after a transport's middleware,
// so that changes are judged as they would be there. It ends with the test.
func Context(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) context.Context {
	t.Helper()
	wb, err := auth.Issue(changes...)
	if err != nil {
		t.Fatalf("waybilltest: %v", err)
	}
	ctx, hop := auth.Receive(t.Context(), []string{wb.Token()}, nil)
	if err := hop.Err(); err != nil {
		t.Fatalf("waybilltest: the waybill was issued, but not opened: %v", err)
	}
	return ctx
}
