package waybill_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

// Extra is not declared to the services that merge it.
var Extra = waybill.NewClaim[json.RawMessage]("extra")

// TestMergeTable changes a claim on both sides of one call, for every rule.
func TestMergeTable(t *testing.T) {
	front := authority(t)
	back := waybilltest.Authority(t, waybill.Claims(Cell, Seats, Price, Tags, Extra))
	const absent = ""
	raw := func(name, value string) waybill.Change {
		c := waybill.NewClaim[json.RawMessage](name)
		if value == absent {
			return c.Delete()
		}
		return c.To(json.RawMessage(value))
	}
	// A service that sets values of any type, and declares no rules.
	loose := waybilltest.Authority(t, waybill.Claims(waybill.NewClaim[json.RawMessage]("cell"), waybill.NewClaim[json.RawMessage]("seats"),
		waybill.NewClaim[json.RawMessage]("price"), waybill.NewClaim[json.RawMessage]("tags"), Extra))
	for _, test := range []struct {
		claim              string
		base, mine, theirs string
		want               string
		out                waybill.Outcome
	}{
		// One side only.
		{"cell", `"a"`, `"a"`, `"a"`, `"a"`, waybill.Unchanged},
		{"cell", `"a"`, `"m"`, `"a"`, `"m"`, waybill.Unchanged},
		{"cell", `"a"`, `"a"`, `"t"`, `"t"`, waybill.Relayed},
		{"cell", absent, absent, `"t"`, `"t"`, waybill.Relayed},
		{"cell", `"a"`, `"a"`, absent, absent, waybill.Relayed},
		{"cell", `"a"`, absent, `"a"`, absent, waybill.Unchanged},
		// Both sides: last writer.
		{"cell", `"a"`, `"m"`, `"t"`, `"t"`, waybill.Merged},
		{"cell", `"a"`, `"m"`, absent, absent, waybill.Merged},
		{"cell", `"a"`, absent, `"t"`, `"t"`, waybill.Merged},
		{"cell", absent, `"m"`, `"t"`, `"t"`, waybill.Merged},
		{"cell", `"a"`, `"x"`, `"x"`, `"x"`, waybill.Unchanged},
		{"cell", `"a"`, absent, absent, absent, waybill.Unchanged},
		// Greatest.
		{"seats", `1`, `3`, `2`, `3`, waybill.Unchanged},
		{"seats", `1`, `2`, `3`, `3`, waybill.Merged},
		{"seats", `5`, `3`, `2`, `3`, waybill.Unchanged},
		{"seats", absent, `2`, `3`, `3`, waybill.Merged},
		{"seats", absent, `-2`, `-3`, `-2`, waybill.Unchanged},
		{"seats", `1`, `2`, `2`, `2`, waybill.Unchanged},
		// A set beats a delete.
		{"seats", `5`, absent, `3`, `3`, waybill.Merged},
		{"seats", `5`, `3`, absent, `3`, waybill.Unchanged},
		{"seats", `5`, absent, absent, absent, waybill.Unchanged},
		{"seats", `5`, `5`, absent, absent, waybill.Relayed},
		// Least.
		{"price", `9`, `7`, `8`, `7`, waybill.Unchanged},
		{"price", `9`, `8`, `7`, `7`, waybill.Merged},
		{"price", `1`, `8`, `7`, `7`, waybill.Merged},
		// Sets.
		{"tags", `["a"]`, `["a","m"]`, `["a","t"]`, `["a","m","t"]`, waybill.Merged},
		{"tags", `["a","b"]`, `["a"]`, `["a","b","t"]`, `["a","t"]`, waybill.Merged},
		{"tags", `["a","b"]`, `["a"]`, `["b"]`, `[]`, waybill.Merged},
		{"tags", absent, `["m"]`, `["t"]`, `["m","t"]`, waybill.Merged},
		{"tags", `null`, `["m"]`, `["t"]`, `["m","t"]`, waybill.Merged},
		{"tags", `["a"]`, absent, `["t"]`, `["t"]`, waybill.Merged},
		// Not declared here.
		{"extra", `1`, `1`, `2`, `2`, waybill.Relayed},
		{"extra", absent, absent, `{"x":[1]}`, `{"x":[1]}`, waybill.Relayed},
		{"extra", `1`, `1`, absent, absent, waybill.Relayed},
		{"extra", `1`, `5`, `2`, `5`, waybill.Conflict},
		{"extra", `1`, `5`, absent, `5`, waybill.Conflict},
		{"extra", `1`, absent, `2`, absent, waybill.Conflict},
		{"extra", absent, `5`, `2`, `5`, waybill.Conflict},
		{"extra", `1`, `5`, `5`, `5`, waybill.Unchanged},
		// The same number in another spelling is a change.
		{"extra", `1.0`, `1.0`, `1`, `1`, waybill.Relayed},
		{"extra", `null`, `null`, absent, absent, waybill.Relayed},
		{"extra", absent, absent, `null`, `null`, waybill.Relayed},
	} {
		name := fmt.Sprintf("%s: %s, %s and %s", test.claim, test.base, test.mine, test.theirs)
		base := issue(t, loose, raw(test.claim, test.base)).Token()
		ctx, hop := receive(t, front, base)
		call := send(t, front, ctx)
		if test.mine != test.base {
			// Mine is set by another call, to a service that can set any value, because front may
			// not declare the claim.
			other := send(t, front, ctx)
			if _, err := other.Merge(list(answer(t, loose, other.Token(), raw(test.claim, test.mine))), waybill.Succeeded); err != nil {
				t.Fatal(err)
			}
		}
		returned := ""
		if test.theirs != test.base {
			returned = answer(t, loose, call.Token(), raw(test.claim, test.theirs))
		}
		out, err := call.Merge(list(returned), waybill.Succeeded)
		if out != test.out || err != nil {
			t.Errorf("%s: got %s, %v, want %s", name, out, err, test.out)
		}
		got := ""
		if v, ok := waybill.NewClaim[json.RawMessage](test.claim).Of(now(t, ctx)); ok {
			got = string(v)
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		committed := single(hop.Commit(waybill.Succeeded))
		if out == waybill.Relayed && committed != returned {
			t.Errorf("%s: the returned token was not relayed verbatim", name)
		}
		if committed != "" {
			if wb, err := back.Open(committed); err != nil || wb.Has(test.claim) != (test.want != absent) {
				t.Errorf("%s: got returned token %v, %v", name, wb, err)
			}
		}
		if err := waybill.Lost(ctx); err != nil {
			t.Errorf("%s: Lost: got %v", name, err)
		}
	}
}

// TestRelayVerbatim sends a request through three services. The last one changes a claim.
func TestRelayVerbatim(t *testing.T) {
	for _, shape := range shapes {
		auth := authority(t, shape.opt)
		first, firstHop := receive(t, auth, issue(t, auth, Cell.To("a")).Token())
		firstCall := send(t, auth, first)
		second, secondHop := receive(t, auth, firstCall.Token())
		secondCall := send(t, auth, second)
		if secondCall.Token() != firstCall.Token() {
			t.Fatalf("%s: an unchanged waybill was not forwarded verbatim", shape.name)
		}
		returned := answer(t, auth, secondCall.Token(), Cell.To("b"))
		if out, err := secondCall.Merge(list(returned), waybill.Succeeded); out != waybill.Relayed || err != nil {
			t.Errorf("%s: got %s, %v, want relayed", shape.name, out, err)
		}
		wantClaim(t, second, Cell, "b")
		relayed := single(secondHop.Commit(waybill.Succeeded))
		if out, err := firstCall.Merge(list(relayed), waybill.Succeeded); out != waybill.Relayed || err != nil {
			t.Errorf("%s: got %s, %v, want relayed", shape.name, out, err)
		}
		wantClaim(t, first, Cell, "b")
		if got := single(firstHop.Commit(waybill.Succeeded)); got != returned || relayed != returned {
			t.Errorf("%s: got %s and %s, want %s verbatim", shape.name, relayed, got, returned)
		}
	}
}

// TestRelayThenChange checks that a service which also changes claims returns a token with its own
// base.
func TestRelayThenChange(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, Cell.To("a")).Token()
	outer := waybilltest.Context(t, auth, Cell.To("a"))
	change(t, outer, Seats.To(1)) // so that the base differs from the sent token
	call := send(t, auth, outer)
	for name, meddle := range map[string]func(context.Context, *waybill.Call){
		"changed before the call": nil,
		"changed after the call":  func(ctx context.Context, _ *waybill.Call) { change(t, ctx, Price.To(1)) },
		"changed after the answer": func(ctx context.Context, c *waybill.Call) {
			must(c.Merge(list(answer(t, auth, c.Token(), Cell.To("b"))), waybill.Succeeded))(t)
			change(t, ctx, Price.To(1))
		},
	} {
		ctx, hop := receive(t, auth, token)
		if meddle == nil {
			change(t, ctx, Price.To(1))
		}
		c := send(t, auth, ctx)
		if meddle != nil {
			meddle(ctx, c)
		}
		returned := answer(t, auth, c.Token(), Cell.To("b"))
		if _, err := c.Merge(list(returned), waybill.Succeeded); err != nil {
			t.Fatal(err)
		}
		got := single(hop.Commit(waybill.Succeeded))
		if got == returned {
			t.Errorf("%s: relayed verbatim, want the change of this service in it", name)
		}
		wb := must(auth.Open(got))(t)
		if !strings.Contains(string(wb.Payload()), `"bas":"`+basOf(token)+`"`) || !wb.Has("price") {
			t.Errorf("%s: got %s, want the base %s and a price", name, wb.Payload(), basOf(token))
		}
		if cell, _ := Cell.Of(wb); cell != "b" {
			t.Errorf("%s: got cell %q, want b", name, cell)
		}
	}
	if out, err := call.Merge(list(answer(t, auth, call.Token(), Cell.To("b"))), waybill.Succeeded); out != waybill.Merged || err != nil {
		t.Errorf("got %s, %v, want merged", out, err)
	}
	wantClaim(t, outer, Seats, 1)
	wantClaim(t, outer, Cell, "b")
}

func TestMergeOptions(t *testing.T) {
	auth := authority(t)
	for _, test := range []struct {
		name   string
		result waybill.Result
		opts   []waybill.MergeOption
		theirs []waybill.Change
		want   string
		out    waybill.Outcome
		err    error
	}{
		{"accepted", waybill.Succeeded, []waybill.MergeOption{waybill.OnlyClaims(Cell, Seats)}, []waybill.Change{Cell.To("b")}, `"cell":"b","receipt":"r1"`, waybill.Relayed, nil},
		{"not accepted", waybill.Succeeded, []waybill.MergeOption{waybill.OnlyClaims(Seats)}, []waybill.Change{Cell.To("b")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
		{"not accepted, deleted", waybill.Succeeded, []waybill.MergeOption{waybill.OnlyClaims(Seats)}, []waybill.Change{Cell.Delete()}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
		{"one of two", waybill.Succeeded, []waybill.MergeOption{waybill.OnlyClaims(Seats)}, []waybill.Change{Cell.To("b"), Seats.To(4)}, `"cell":"a","receipt":"r1","seats":4`, waybill.Merged, waybill.ErrNotAccepted},
		{"none accepted", waybill.Succeeded, []waybill.MergeOption{waybill.OnlyClaims()}, []waybill.Change{Cell.To("b")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
		{"failed", waybill.Failed, nil, []waybill.Change{Cell.To("b"), Receipt.To("r2")}, `"cell":"b","receipt":"r1"`, waybill.Merged, nil},
		{"failed, nothing else", waybill.Failed, nil, []waybill.Change{Receipt.To("r2")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, nil},
		{"failed, deleted", waybill.Failed, nil, []waybill.Change{Receipt.Delete()}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, nil},
		{"failed, others only", waybill.Failed, nil, []waybill.Change{Cell.To("b")}, `"cell":"b","receipt":"r1"`, waybill.Relayed, nil},
		{"both", waybill.Failed, []waybill.MergeOption{waybill.OnlyClaims(Receipt)}, []waybill.Change{Cell.To("b"), Receipt.To("r2")}, `"cell":"a","receipt":"r1"`, waybill.Unchanged, waybill.ErrNotAccepted},
	} {
		ctx, _ := receive(t, auth, issue(t, auth, Cell.To("a"), Receipt.To("r1")).Token())
		call := send(t, auth, ctx)
		out, err := call.Merge(list(answer(t, auth, call.Token(), test.theirs...)), test.result, test.opts...)
		if out != test.out || !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
			t.Errorf("%s: got %s, %v, want %s, %v", test.name, out, err, test.out, test.err)
		}
		if lost := waybill.Lost(ctx); !errors.Is(lost, test.err) {
			t.Errorf("%s: Lost: got %v, want %v", test.name, lost, test.err)
		}
		claims := string(now(t, ctx).Payload())
		if !strings.HasSuffix(claims, test.want+"}") {
			t.Errorf("%s: got %s, want %s", test.name, claims, test.want)
		}
	}
}

// TestTwoReturnsOfOneCall checks that a stream may return several tokens, and that each is compared
// with the one before.
func TestTwoReturnsOfOneCall(t *testing.T) {
	auth := authority(t)
	for _, busy := range []bool{false, true} {
		ctx, hop := receive(t, auth, issue(t, auth, Cell.To("a"), Seats.To(1)).Token())
		call := send(t, auth, ctx)
		if busy {
			change(t, ctx, Price.To(9))
		}
		calleeCtx, callee := receive(t, auth, call.Token())
		change(t, calleeCtx, Cell.To("b"))
		first := single(callee.Return(waybill.Succeeded))
		change(t, calleeCtx, Cell.Delete(), Seats.To(2))
		second := single(callee.Commit(waybill.Succeeded))

		must(call.Merge(list(first), waybill.Succeeded))(t)
		wantClaim(t, ctx, Cell, "b")
		if out, err := call.Merge(list(first), waybill.Succeeded); out != waybill.Unchanged || err != nil {
			t.Errorf("the same again: got %s, %v, want unchanged", out, err)
		}
		// A change of this service in between is kept, unless the second token changes the same
		// claim.
		if busy {
			change(t, ctx, Tags.To([]string{"x"}))
		}
		must(call.Merge(list(second), waybill.Succeeded))(t)
		wantNoClaim(t, ctx, Cell)
		wantClaim(t, ctx, Seats, 2)
		if busy {
			wantClaim(t, ctx, Price, 9)
		}
		if got := single(hop.Commit(waybill.Succeeded)); !busy && got != second {
			t.Error("the second token was not relayed verbatim")
		}
	}
	// The second token does not affect a claim that only the first one changed and that was changed
	// here since.
	ctx, _ := receive(t, auth, issue(t, auth, Cell.To("a")).Token())
	call := send(t, auth, ctx)
	calleeCtx, callee := receive(t, auth, call.Token())
	change(t, calleeCtx, Cell.To("b"))
	must(call.Merge(list(single(callee.Return(waybill.Succeeded))), waybill.Succeeded))(t)
	change(t, ctx, Cell.To("mine"))
	change(t, calleeCtx, Seats.To(5))
	must(call.Merge(list(single(callee.Commit(waybill.Succeeded))), waybill.Succeeded))(t)
	wantClaim(t, ctx, Cell, "mine")
	wantClaim(t, ctx, Seats, 5)
}

// TestReadOnlyRelays checks that a node with only the public key relays returned tokens, and cannot
// merge them.
func TestReadOnlyRelays(t *testing.T) {
	private := lasting(t, keyring.Public)
	edge := must(waybill.New("shop", ringOf(t, "shop", private), declareAll(), waybill.Protect(waybill.Public)))(t)
	reader := must(waybill.New("shop", ringOf(t, "shop", private.Public()), declareAll(), waybill.Protect(waybill.Public)))(t)
	token := issue(t, edge, Cell.To("a"), Receipt.To("r1"), Tenant.To("acme")).Token()

	ctx, hop := receive(t, reader, token)
	call := send(t, reader, ctx)
	returned := answer(t, edge, call.Token(), Cell.To("b"))
	if out, err := call.Merge(list(returned), waybill.Succeeded); out != waybill.Relayed || err != nil {
		t.Errorf("got %s, %v, want relayed", out, err)
	}
	wantClaim(t, ctx, Cell, "b")
	if got := single(hop.Commit(waybill.Succeeded)); got != returned {
		t.Errorf("got %q, want the returned token verbatim", got)
	}

	// Two calls sent the same token: both go back, and the handler sees the newer one.
	ctx, hop = receive(t, reader, token)
	one, two := send(t, reader, ctx), send(t, reader, ctx)
	first := answer(t, edge, one.Token(), Seats.To(1))
	must(one.Merge(list(first), waybill.Succeeded))(t)
	returned = answer(t, edge, two.Token(), Seats.To(2))
	if out, err := two.Merge(list(returned), waybill.Succeeded); out != waybill.Relayed || err != nil {
		t.Errorf("got %s, %v, want relayed", out, err)
	}
	wantClaim(t, ctx, Seats, 2)
	if got := hop.Commit(waybill.Succeeded); !slices.Equal(got, []string{first, returned}) {
		t.Errorf("got %q, want both returned tokens verbatim, in order", got)
	}

	// The same change again changes nothing.
	ctx, _ = receive(t, reader, token)
	one, two = send(t, reader, ctx), send(t, reader, ctx)
	must(one.Merge(list(answer(t, edge, one.Token(), Seats.To(1))), waybill.Succeeded))(t)
	if out, err := two.Merge(list(answer(t, edge, two.Token(), Seats.To(1))), waybill.Succeeded); out != waybill.Unchanged || err != nil {
		t.Errorf("the same change twice: got %s, %v, want unchanged", out, err)
	}

	// A returned token that could only be merged in part is rejected, whether it is the first or
	// the second.
	for _, second := range []bool{false, true} {
		for _, test := range []struct {
			name   string
			result waybill.Result
			opts   []waybill.MergeOption
			change waybill.Change
			want   error
		}{
			{"not accepted", waybill.Succeeded, []waybill.MergeOption{waybill.OnlyClaims(Seats)}, Cell.To("evil"), waybill.ErrReadOnly},
			{"failed", waybill.Failed, nil, Receipt.To("evil"), waybill.ErrReadOnly},
		} {
			ctx, _ := receive(t, reader, token)
			call, other := send(t, reader, ctx), send(t, reader, ctx)
			if second {
				must(other.Merge(list(answer(t, edge, other.Token(), Seats.To(7))), waybill.Succeeded))(t)
			}
			before := now(t, ctx)
			out, err := call.Merge(list(answer(t, edge, call.Token(), test.change, Seats.To(9))), test.result, test.opts...)
			if out != waybill.Rejected || !errors.Is(err, test.want) || waybill.Lost(ctx) == nil {
				t.Errorf("%s, second %v: got %s, %v, want rejected, %v", test.name, second, out, err, test.want)
			}
			if now(t, ctx) != before {
				t.Errorf("%s, second %v: got %s, want nothing changed", test.name, second, now(t, ctx).Payload())
			}
		}
	}
}

// TestMergeWithOneKey checks that a ring without keys of the public protection is not read-only for
// signed waybills.
func TestMergeWithOneKey(t *testing.T) {
	for alg, opt := range map[keyring.Protection]waybill.Option{
		keyring.Signed: waybill.Claims(), keyring.Sealed: waybill.Protect(waybill.Sealed), keyring.Public: waybill.Protect(waybill.Public),
	} {
		auth := must(waybill.New("shop", ringOf(t, "shop", lasting(t, alg)), declareAll(), opt))(t)
		ctx, hop := receive(t, auth, issue(t, auth, Seats.To(1)).Token())
		one, two := send(t, auth, ctx), send(t, auth, ctx)
		must(one.Merge(list(answer(t, auth, one.Token(), Seats.To(3), Price.To(5))), waybill.Succeeded))(t)
		if out, err := two.Merge(list(answer(t, auth, two.Token(), Seats.To(2), Cell.To("b"))), waybill.Succeeded); out != waybill.Merged || err != nil {
			t.Errorf("%s: got %s, %v, want merged", alg, out, err)
		}
		wantClaims(t, must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t), `"seats":3,"price":5,"cell":"b"`)
	}
}
