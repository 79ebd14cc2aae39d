package waybill_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// TestConcurrentMerges merges the responses of 100 concurrent calls. No change of a disjoint claim
// is lost, and a claim that all calls change follows its rule.
func TestConcurrentMerges(t *testing.T) {
	const n = 100
	var declared []waybill.Declaration
	var own []waybill.Claim[int]
	for i := range n {
		c := waybill.NewClaim[int](fmt.Sprintf("c%d", i))
		own = append(own, c)
		declared = append(declared, c)
	}
	auth := authority(t, waybill.Claims(declared...), waybill.AcceptLimit(waybill.MaxAcceptLimit), waybill.IssueLimit(waybill.MaxAcceptLimit))
	for _, relay := range []bool{true, false} {
		ctx, hop := receive(t, auth, issue(t, auth, Seats.To(-1), Price.To(n)).Token())
		if !relay {
			change(t, ctx, Cell.To("mine"))
		}
		var returned []string
		var calls []*waybill.Call
		for i := range n {
			calls = append(calls, send(t, auth, ctx))
			returned = append(returned, answer(t, auth, calls[i].Token(), own[i].To(i), Seats.To((i*37)%n), Price.To((i*53)%n)))
		}
		var all sync.WaitGroup
		var local atomic.Int64
		for i := range n {
			all.Go(func() {
				if out, err := calls[i].Merge(list(returned[i]), waybill.Succeeded); err != nil || out == waybill.Conflict || out == waybill.Unchanged {
					t.Errorf("call %d: got %s, %v, want its change merged", i, out, err)
				}
			})
			all.Go(func() { // handlers read and change concurrently
				if err := waybill.Update(ctx, Tags.With(func(tags []string) []string { return append(tags, fmt.Sprint(i)) })); err != nil {
					t.Error(err)
				}
				local.Add(1)
				if tags, err := Tags.Lookup(ctx); err != nil || len(tags) == 0 {
					t.Errorf("got tags %v, %v, want some", tags, err)
				}
				must(auth.Open(send(t, auth, ctx).Token()))(t)
			})
		}
		all.Wait()
		wb := must(auth.Open(single(hop.Commit(waybill.Succeeded))))(t)
		for i, c := range own {
			if got, ok := c.Of(wb); !ok || got != i {
				t.Errorf("%s: got %v, %v, want %d", c.Name(), got, ok, i)
			}
		}
		if got, _ := Seats.Of(wb); got != n-1 {
			t.Errorf("greatest: got %d, want %d", got, n-1)
		}
		if got, _ := Price.Of(wb); got != 0 {
			t.Errorf("least: got %d, want 0", got)
		}
		if got, _ := Tags.Of(wb); len(got) != int(local.Load()) {
			t.Errorf("read-modify-write: got %d, want %d", len(got), local.Load())
		}
		if err := waybill.Lost(ctx); err != nil {
			t.Errorf("Lost: got %v", err)
		}
	}
}

// TestConcurrentUpdates counts in parallel. No increment is lost, and readers never see half of a
// change.
func TestConcurrentUpdates(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth, Seats.To(0), Price.To(0))
	const workers, rounds = 8, 200
	inc := func(n int) int { return n + 1 }
	done, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for done.Err() == nil {
				wb := now(t, ctx)
				seats, _ := Seats.Of(wb)
				price, _ := Price.Of(wb)
				if seats != price {
					t.Errorf("got %d seats and price %d, want both changed together", seats, price)
					return
				}
				_ = wb.String()
			}
		})
	}
	for range workers {
		writers.Go(func() {
			for range rounds {
				if err := waybill.Update(ctx, Seats.With(inc), Price.With(inc)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	wantClaim(t, ctx, Seats, workers*rounds)
}

// TestTokenOnce reads the token of one waybill in many goroutines. It is made once.
func TestTokenOnce(t *testing.T) {
	for _, shape := range shapes {
		wb := issue(t, authority(t, shape.opt), Cell.To("a"))
		tokens := make([]string, 16)
		var all sync.WaitGroup
		for i := range tokens {
			all.Go(func() { tokens[i] = wb.Token() })
		}
		all.Wait()
		for _, token := range tokens {
			if token != tokens[0] || token == "" {
				t.Fatalf("%s: got different tokens of one waybill", shape.name)
			}
		}
	}
}

// TestConcurrentOpen opens tokens of many issuing processes concurrently, as a busy node does.
func TestConcurrentOpen(t *testing.T) {
	for _, shape := range shapes {
		auth := authority(t, shape.opt)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 50 {
					want := fmt.Sprintf("%d/%d", i, j)
					wb, err := auth.Issue(Cell.To(want))
					if err != nil {
						t.Error(err)
						return
					}
					opened, err := auth.Open(wb.Token())
					if got, _ := Cell.Of(opened); err != nil || got != want {
						t.Errorf("%s: got %q, %v, want %q", shape.name, got, err, want)
					}
				}
			})
		}
		all.Wait()
	}
}
