// Package waybilltest helps to test code that reads and changes waybills.
//
// Make an Authority with test keys, and the context that a handler would get:
//
//	auth := waybilltest.Authority(t, waybill.Claims(Cell))
//	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
//	got := route(ctx)
//
// All Authorities of one test binary share their keys, so two Authorities can act as two services
// of one domain. The keys are random and never leave the process.
//
// [CheckRule] checks that a merge rule does not depend on the order in which responses arrive,
// [Store] checks a key store, and [CheckCarrier] checks a transport.
//
// Integration tests: internal/integration/carriers.
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

// keys has one key of each protection. The keys are valid at every time that a test's clock may
// show, including a fake clock.
var keys = func() *keyring.Set {
	times := keyring.Times{
		Created:   time.Unix(1, 0),
		NotBefore: time.Unix(1, 0),
		Expires:   time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	var made []*keyring.Key
	for _, p := range []keyring.Protection{keyring.Signed, keyring.Sealed, keyring.Public} {
		k, err := keyring.Generate(p, times)
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

// Ring returns the ring of [Authority], with one key of each protection.
func Ring() *keyring.Ring { return keyring.NewRing(keys) }

// Authority returns an Authority of [Domain] that can issue and open all protections. It fails the
// test if the options contradict each other.
func Authority(t testing.TB, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	auth, err := waybill.New(Domain, Ring(), opts...)
	if err != nil {
		t.Fatalf("waybilltest: %v", err)
	}
	return auth
}

// Context returns the context of a handler that received a waybill with these claims. Changes in it
// follow the same rules as behind a transport. The context ends with the test.
func Context(t testing.TB, auth *waybill.Authority, changes ...waybill.Change) context.Context {
	t.Helper()
	wb, err := auth.Issue(changes...)
	if err != nil {
		t.Fatalf("waybilltest: %v", err)
	}
	ctx, hop := auth.Receive(t.Context(), []string{wb.Token()}, nil)
	if err := hop.Err(); err != nil {
		t.Fatalf("waybilltest: the issued waybill cannot be opened: %v", err)
	}
	return ctx
}
