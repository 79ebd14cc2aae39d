package waybill_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// TestFailedTakesBack checks that a call which returned a token as a success and then failed
// changes no OnSuccess claims.
func TestFailedTakesBack(t *testing.T) {
	auth := authority(t)
	both := []waybill.Change{Receipt.To("r2"), Stamp.To("long"), Cell.To("b")}
	const start, failed = `"cell":"a","receipt":"r1"`, `"cell":"b","receipt":"r1"`
	for _, test := range []struct {
		name          string
		theirs        []waybill.Change
		kept          bool             // the second token still has the changes, from a callee that does not declare OnSuccess
		mine          []waybill.Change // before the first token
		since         []waybill.Change // after the first token
		first, second string           // claims of this hop afterwards
		out           waybill.Outcome  // of the second token
	}{
		{"added and changed", both, false, nil, nil, `"cell":"b","receipt":"r2","stamp":"long"`, failed, waybill.Relayed},
		{"deleted", []waybill.Change{Receipt.Delete(), Cell.To("b")}, false, nil, nil, `"cell":"b"`, failed, waybill.Relayed},
		{"nothing else", []waybill.Change{Receipt.To("r2")}, false, nil, nil, `"cell":"a","receipt":"r2"`, start, waybill.Relayed},
		{"kept by the callee", both, true, nil, nil, `"cell":"b","receipt":"r2","stamp":"long"`, failed, waybill.Merged},
		{"deleted, kept by the callee", []waybill.Change{Receipt.Delete(), Cell.To("b")}, true, nil, nil, `"cell":"b"`, failed, waybill.Merged},
		{"next to a change of this hop", both, false, []waybill.Change{Seats.To(3)}, nil,
			`"cell":"b","receipt":"r2","seats":3,"stamp":"long"`, `"cell":"b","receipt":"r1","seats":3`, waybill.Merged},
		{"changed here since", both, false, nil, []waybill.Change{Receipt.To("mine"), Stamp.To("mine")},
			`"cell":"b","receipt":"r2","stamp":"long"`, `"cell":"b","receipt":"mine","stamp":"mine"`, waybill.Unchanged},
		{"merged with a change of this hop", both, false, []waybill.Change{Stamp.To("longer")}, nil,
			`"cell":"b","receipt":"r2","stamp":"longer"`, `"cell":"b","receipt":"r1","stamp":"longer"`, waybill.Merged},
	} {
		ctx, hop := receive(t, auth, issue(t, auth, Cell.To("a"), Receipt.To("r1")).Token())
		call := send(t, auth, ctx)
		calleeCtx, callee := receive(t, auth, call.Token())
		change(t, calleeCtx, test.theirs...)
		first := single(callee.Return(waybill.Succeeded))
		if test.kept {
			change(t, calleeCtx, Tags.To(nil), Tags.Delete()) // another token with the same claims
		}
		second := single(callee.Commit(ended(test.kept)))
		if test.kept {
			second = first
		}
		if test.mine != nil {
			change(t, ctx, test.mine...)
		}
		must(call.Merge(list(first), waybill.Succeeded))(t)
		wantSet(t, test.name+", first", now(t, ctx), test.first)
		if test.since != nil {
			change(t, ctx, test.since...)
		}
		if out, err := call.Merge(list(second), waybill.Failed); out != test.out || err != nil {
			t.Errorf("%s: got %s, %v, want %s", test.name, out, err, test.out)
		}
		wantSet(t, test.name+", second", now(t, ctx), test.second)
		if got := single(hop.Commit(waybill.Succeeded)); test.out == waybill.Relayed && got != second {
			t.Errorf("%s: the second token was not relayed verbatim", test.name)
		}
	}
}

// TestFailedThenSucceeded checks that a failed response does not affect the next response to the
// same call.
func TestFailedThenSucceeded(t *testing.T) {
	auth := authority(t)
	ctx, _ := receive(t, auth, issue(t, auth, Receipt.To("r1")).Token())
	call, other := send(t, auth, ctx), send(t, auth, ctx)
	returned := answer(t, auth, call.Token(), Receipt.To("r2"))
	for range 2 {
		if out, err := call.Merge(list(returned), waybill.Failed); out != waybill.Unchanged || err != nil {
			t.Errorf("failed: got %s, %v, want unchanged", out, err)
		}
		wantClaim(t, ctx, Receipt, "r1")
	}
	must(call.Merge(list(returned), waybill.Succeeded))(t)
	wantClaim(t, ctx, Receipt, "r2")
	// A failed call does not undo the changes of another call.
	must(other.Merge(list(answer(t, auth, other.Token(), Receipt.To("r3"))), waybill.Succeeded))(t)
	must(call.Merge(list(returned), waybill.Failed))(t)
	wantClaim(t, ctx, Receipt, "r3")
}

// TestNotAcceptedTwice checks, on a node that can only relay, that a change which was not accepted
// from one returned token is not accepted from the next one, which has the same change.
func TestNotAcceptedTwice(t *testing.T) {
	private := lasting(t, keyring.Public)
	edge := must(waybill.New("shop", ringOf(t, "shop", private), declareAll(), waybill.Protect(waybill.Public)))(t)
	reader := must(waybill.New("shop", ringOf(t, "shop", private.Public()), declareAll(), waybill.Protect(waybill.Public)))(t)
	ctx, _ := receive(t, reader, issue(t, edge, Cell.To("a")).Token())
	call := send(t, reader, ctx)
	calleeCtx, callee := receive(t, edge, call.Token())
	change(t, calleeCtx, Cell.To("evil"))
	accept := waybill.OnlyClaims(Seats)
	if out, err := call.Merge(list(single(callee.Return(waybill.Succeeded))), waybill.Succeeded, accept); out != waybill.Unchanged || !errors.Is(err, waybill.ErrNotAccepted) {
		t.Errorf("got %s, %v, want unchanged, ErrNotAccepted", out, err)
	}
	change(t, calleeCtx, Seats.To(2))
	if out, err := call.Merge(list(single(callee.Commit(waybill.Succeeded))), waybill.Succeeded, accept); out != waybill.Rejected || !errors.Is(err, waybill.ErrReadOnly) {
		t.Errorf("got %s, %v, want rejected, ErrReadOnly", out, err)
	}
	wantClaim(t, ctx, Cell, "a")
}

// wantSet compares the application claims in any order. Their values must not contain commas.
func wantSet(t testing.TB, what string, wb *waybill.Waybill, want string) {
	t.Helper()
	sorted := func(claims string) string {
		list := strings.Split(claims, ",")
		slices.Sort(list)
		return strings.Join(list, ",")
	}
	_, got, _ := strings.Cut(string(wb.Payload()), `"end":`)
	_, got, _ = strings.Cut(strings.TrimSuffix(got, "}"), ",")
	if sorted(got) != sorted(want) {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}
