package waybill_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// gateway is a hop with public keys only, between a caller and services that can issue.
type gateway struct {
	issuer, reader *waybill.Authority
}

func newGateway(t *testing.T) gateway {
	private := lasting(t, keyring.Public)
	public := waybill.Protect(waybill.Public)
	return gateway{
		must(waybill.New("shop", ringOf(t, "shop", private), declareAll(), public))(t),
		must(waybill.New("shop", ringOf(t, "shop", private.Public()), declareAll(), public))(t),
	}
}

// TestSeveralReturns checks that a hop that can only verify brings home what all of its calls changed, in
// parallel and one after the other, over any number of such hops.
func TestSeveralReturns(t *testing.T) {
	g := newGateway(t)
	for _, hops := range []int{1, 2, 3} {
		for _, parallel := range []bool{true, false} {
			caller := must(g.issuer.Start(t.Context(), Cell.To("a"), Seats.To(1), Price.To(9)))(t)
			outer := send(t, g.issuer, caller)
			calls := []*waybill.Call{outer}
			var ends []waybill.Hop
			ctx, hop := receive(t, g.reader, outer.Token())
			for range hops - 1 {
				next := send(t, g.reader, ctx)
				calls, ends = append(calls, next), append(ends, hop)
				ctx, hop = receive(t, g.reader, next.Token())
			}
			changes := []waybill.Change{Cell.To("b"), Seats.To(5), Price.To(3)}
			sends := make([]*waybill.Call, len(changes))
			for i := range changes {
				if parallel {
					sends[i] = send(t, g.reader, ctx)
				}
			}
			for i, c := range changes {
				if !parallel {
					sends[i] = send(t, g.reader, ctx)
				}
				out, err := sends[i].Merge(list(answer(t, g.issuer, sends[i].Token(), c)), waybill.Succeeded)
				if out != waybill.Relayed || err != nil {
					t.Fatalf("%d hops, parallel %v, call %d: got %s, %v, want relayed", hops, parallel, i, out, err)
				}
			}
			tokens := hop.Commit(waybill.Succeeded)
			for i, end := range slices.Backward(ends) {
				if out, err := calls[i+1].Merge(tokens, waybill.Succeeded); out != waybill.Relayed || err != nil {
					t.Fatalf("%d hops, parallel %v: hop %d: got %s, %v, want relayed", hops, parallel, i, out, err)
				}
				tokens = end.Commit(waybill.Succeeded)
			}
			if out, err := outer.Merge(tokens, waybill.Succeeded); err != nil || out != waybill.Merged && out != waybill.Relayed {
				t.Errorf("%d hops, parallel %v: the caller: got %s, %v", hops, parallel, out, err)
			}
			wantClaim(t, caller, Cell, "b")
			wantClaim(t, caller, Seats, 5)
			wantClaim(t, caller, Price, 3)
			if err := waybill.Lost(caller); err != nil {
				t.Errorf("%d hops, parallel %v: Lost: %v", hops, parallel, err)
			}
			// The caller answers with one token, made from what it received.
			if call := send(t, g.issuer, caller); call.Token() == "" {
				t.Error("the merged waybill has no token")
			}
		}
	}
}

// TestSeveralReturnsInMiddle checks that the first hop that can issue returns one token for all.
func TestSeveralReturnsInMiddle(t *testing.T) {
	g := newGateway(t)
	caller := must(g.issuer.Start(t.Context(), Cell.To("a")))(t)
	outer := send(t, g.issuer, caller)
	middleCtx, middle := receive(t, g.issuer, outer.Token())
	inner := send(t, g.issuer, middleCtx)
	ctx, hop := receive(t, g.reader, inner.Token())
	one, two := send(t, g.reader, ctx), send(t, g.reader, ctx)
	must(one.Merge(list(answer(t, g.issuer, one.Token(), Cell.To("b"))), waybill.Succeeded))(t)
	must(two.Merge(list(answer(t, g.issuer, two.Token(), Seats.To(5))), waybill.Succeeded))(t)
	if out, err := inner.Merge(hop.Commit(waybill.Succeeded), waybill.Succeeded); out != waybill.Merged || err != nil {
		t.Errorf("the middle: got %s, %v, want merged", out, err)
	}
	if out, err := outer.Merge(list(single(middle.Commit(waybill.Succeeded))), waybill.Succeeded); out != waybill.Merged || err != nil {
		t.Errorf("the caller: got %s, %v, want merged", out, err)
	}
	wantClaim(t, caller, Cell, "b")
	wantClaim(t, caller, Seats, 5)
}

// TestSeveralReturnsInSteps checks an answer in parts: a later part repeats what a hop without a key has
// returned, and takes the place of what a hop with a key has.
func TestSeveralReturnsInSteps(t *testing.T) {
	g := newGateway(t)
	caller := must(g.issuer.Start(t.Context(), Cell.To("a"), Seats.To(1)))(t)
	outer := send(t, g.issuer, caller)
	ctx, hop := receive(t, g.reader, outer.Token())
	one, two := send(t, g.reader, ctx), send(t, g.reader, ctx)
	must(one.Merge(list(answer(t, g.issuer, one.Token(), Cell.To("b"))), waybill.Succeeded))(t)
	must(outer.Merge(hop.Return(waybill.Succeeded), waybill.Succeeded))(t)
	wantClaim(t, caller, Cell, "b")
	must(two.Merge(list(answer(t, g.issuer, two.Token(), Seats.To(5))), waybill.Succeeded))(t)
	rest := hop.Commit(waybill.Succeeded)
	if len(rest) != 2 {
		t.Fatalf("got %d tokens, want both", len(rest))
	}
	must(outer.Merge(rest, waybill.Succeeded))(t)
	wantClaim(t, caller, Cell, "b")
	wantClaim(t, caller, Seats, 5)
}

// TestSeveralReturnsBounds checks what a hop without a key cannot bring home: it is lost by name.
func TestSeveralReturnsBounds(t *testing.T) {
	g := newGateway(t)
	ctx, hop := receive(t, g.reader, issue(t, g.issuer, Cell.To("a"), Receipt.To("r1")).Token())
	for i := range 5 {
		call := send(t, g.reader, ctx)
		out, err := call.Merge(list(answer(t, g.issuer, call.Token(), Seats.To(i+1))), waybill.Succeeded)
		if want := i < 4; (out == waybill.Relayed) != want || errors.Is(err, waybill.ErrReadOnly) == want {
			t.Errorf("call %d: got %s, %v", i, out, err)
		}
	}
	if !errors.Is(waybill.Lost(ctx), waybill.ErrReadOnly) {
		t.Errorf("Lost: got %v, want ErrReadOnly", waybill.Lost(ctx))
	}
	if got := hop.Commit(waybill.Succeeded); len(got) != 4 {
		t.Errorf("got %d tokens, want 4", len(got))
	}

	// A failed hop returns no OnSuccess claim, nor what was made from a token with one.
	ctx, hop = receive(t, g.reader, issue(t, g.issuer, Cell.To("a"), Receipt.To("r1")).Token())
	one, two := send(t, g.reader, ctx), send(t, g.reader, ctx)
	must(one.Merge(list(answer(t, g.issuer, one.Token(), Cell.To("b"))), waybill.Succeeded))(t)
	must(two.Merge(list(answer(t, g.issuer, two.Token(), Receipt.To("r2"))), waybill.Succeeded))(t)
	three := send(t, g.reader, ctx)
	must(three.Merge(list(answer(t, g.issuer, three.Token(), Seats.To(9))), waybill.Succeeded))(t)
	got := hop.Commit(waybill.Failed)
	if len(got) != 1 || !errors.Is(waybill.Lost(ctx), waybill.ErrReadOnly) {
		t.Errorf("failed: got %d tokens, Lost %v, want the one without OnSuccess claims", len(got), waybill.Lost(ctx))
	}

	// More tokens than any hop sends are rejected as a whole, and so is an empty one.
	caller := must(g.issuer.Start(t.Context()))(t)
	call := send(t, g.issuer, caller)
	good := answer(t, g.issuer, call.Token(), Cell.To("x"))
	for _, bad := range [][]string{slices.Repeat([]string{good}, 5), {""}} {
		if out, err := call.Merge(bad, waybill.Succeeded); out != waybill.Rejected || !errors.Is(err, waybill.ErrMalformed) {
			t.Errorf("%d tokens: got %s, %v, want rejected, ErrMalformed", len(bad), out, err)
		}
	}
	// A bad one does not spoil the others.
	if out, err := call.Merge([]string{"garbage", good}, waybill.Succeeded); out != waybill.Relayed && out != waybill.Merged || !errors.Is(err, waybill.ErrMalformed) {
		t.Errorf("garbage and a good one: got %s, %v", out, err)
	}
	wantClaim(t, caller, Cell, "x")
}

// TestSeveralReturnsInTrees checks random trees of calls, with hops that can merge and hops that cannot, in
// parallel and one after the other: every change of every leaf comes home, whatever the order of answers.
func TestSeveralReturnsInTrees(t *testing.T) {
	var declared []waybill.Declaration
	var claims []waybill.Claim[int]
	for i := range 4 {
		c := waybill.NewClaim[int](fmt.Sprint("c", i))
		claims, declared = append(claims, c), append(declared, c)
	}
	private := lasting(t, keyring.Public)
	public := waybill.Protect(waybill.Public)
	issuer := must(waybill.New("shop", ringOf(t, "shop", private), public, waybill.Claims(declared...)))(t)
	reader := must(waybill.New("shop", ringOf(t, "shop", private.Public()), public, waybill.Claims(declared...)))(t)
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		// serve handles a request and returns its tokens. It changes the claims from lo to hi, by calls or itself.
		var serve func(token string, lo, hi, depth int) []string
		call := func(auth *waybill.Authority, ctx context.Context, lo, hi, depth int) {
			if hi-lo == 0 {
				return
			}
			// Split the claims over some calls, send in parallel or in turn, and merge in any order.
			cuts := []int{lo}
			for i := lo + 1; i < hi; i++ {
				if random.IntN(2) == 0 {
					cuts = append(cuts, i)
				}
			}
			cuts = append(cuts, hi)
			type sent struct {
				call   *waybill.Call
				tokens []string
			}
			var open []sent
			merge := func() {
				random.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
				for _, s := range open {
					if _, err := s.call.Merge(s.tokens, waybill.Succeeded); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				}
				open = nil
			}
			for i := range len(cuts) - 1 {
				c := send(t, auth, ctx)
				open = append(open, sent{c, serve(c.Token(), cuts[i], cuts[i+1], depth-1)})
				if random.IntN(2) == 0 {
					merge()
				}
			}
			merge()
		}
		serve = func(token string, lo, hi, depth int) []string {
			auth := reader
			if depth == 0 || random.IntN(2) == 0 {
				auth = issuer
			}
			ctx, hop := receive(t, auth, token)
			if depth == 0 {
				for i := lo; i < hi; i++ {
					change(t, ctx, claims[i].To(i+1))
				}
			} else {
				call(auth, ctx, lo, hi, depth)
			}
			return hop.Commit(waybill.Succeeded)
		}
		caller := must(issuer.Start(t.Context()))(t)
		call(issuer, caller, 0, len(claims), 3)
		for i, c := range claims {
			if got, err := c.Lookup(caller); got != i+1 {
				t.Fatalf("seed %d: claim %s is %d (%v), want %d; lost: %v", seed, c.Name(), got, err, i+1, waybill.Lost(caller))
			}
		}
	}
}
