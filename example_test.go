package waybill_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// exampleRing has one key for signed waybills. A service loads its ring with [keyring.LoadFile]
// instead.
func exampleRing() *keyring.Ring {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(48 * time.Hour)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	return keyring.NewRing(set)
}

// Two services share a ring. In a real service, a transport calls Send, Receive, Commit and Merge.
func Example() {
	ring := exampleRing()
	auth, err := waybill.New("shop", ring, waybill.Claims(Cell, Seats))
	if err != nil {
		panic(err)
	}

	// The edge starts a journey and calls a service.
	ctx, err := auth.Start(context.Background(), Cell.To("eu-3"), Seats.To(1))
	if err != nil {
		panic(err)
	}
	call, err := auth.Send(ctx)
	if err != nil {
		panic(err)
	}

	// The service reads the claims and changes one.
	handler, hop := auth.Receive(context.Background(), []string{call.Token()}, nil)
	cell, _ := Cell.Get(handler)
	fmt.Println("the service is in", cell)
	if err := waybill.Update(handler, Seats.To(3)); err != nil {
		panic(err)
	}

	// The change returns with the response.
	if _, err := call.Merge(list(single(hop.Commit(waybill.Succeeded))), waybill.Succeeded); err != nil {
		panic(err)
	}
	seats, _ := Seats.Get(ctx)
	fmt.Println("the edge sees", seats, "seats")
	// Output:
	// the service is in eu-3
	// the edge sees 3 seats
}

func ExampleUpdate() {
	auth, err := waybill.New("shop", exampleRing(), waybill.Claims(Cell, Seats, Tenant))
	if err != nil {
		panic(err)
	}
	ctx, err := auth.Start(context.Background(), Cell.To("eu-3"), Tenant.To("acme"))
	if err != nil {
		panic(err)
	}

	more := func(seats int) int { return seats + 2 }
	fmt.Println(waybill.Update(ctx, Seats.With(more), Cell.Delete()))

	// All or nothing: the tenant is fixed for the journey, so the seats stay too.
	err = waybill.Update(ctx, Seats.To(9), Tenant.To("other"))
	fmt.Println(errors.Is(err, waybill.ErrFixed))

	seats, _ := Seats.Get(ctx)
	_, err = Cell.Lookup(ctx)
	fmt.Println(seats, err)
	// Output:
	// <nil>
	// true
	// 2 waybill: no such claim: cell
}

func ExampleAuthority_Open() {
	auth, err := waybill.New("shop", exampleRing(), waybill.Claims(Cell))
	if err != nil {
		panic(err)
	}
	issued, err := auth.Issue(Cell.To("eu-3"))
	if err != nil {
		panic(err)
	}

	wb, err := auth.Open(issued.Token())
	fmt.Println(wb.Domain(), wb.Protection(), wb.Expires().Sub(wb.Issued()), err)

	wb, err = auth.Open(issued.Token() + "x")
	fmt.Println(wb, waybill.Reason(err))
	// Output:
	// shop signed 15m0s <nil>
	// no waybill malformed
}

// A job that outlives its request keeps the claims. Its changes do not return to the caller.
func ExampleDetach() {
	auth, err := waybill.New("shop", exampleRing(), waybill.Claims(Cell))
	if err != nil {
		panic(err)
	}
	request, cancel := context.WithCancel(context.Background())
	ctx, err := auth.Start(request, Cell.To("eu-3"))
	if err != nil {
		panic(err)
	}

	job := waybill.Detach(ctx)
	cancel()

	cell, _ := Cell.Get(job)
	fmt.Println(cell, job.Err(), ctx.Err())
	// Output:
	// eu-3 <nil> context canceled
}

// A rule merges concurrent changes.
func ExampleClaim_Merge() {
	Visited := waybill.NewClaim[[]string]("visited").Merge(waybill.Union)
	auth, err := waybill.New("shop", exampleRing(), waybill.Claims(Visited))
	if err != nil {
		panic(err)
	}
	ctx, err := auth.Start(context.Background(), Visited.To([]string{"cart"}))
	if err != nil {
		panic(err)
	}

	visit := func(token, place string) string {
		handler, hop := auth.Receive(context.Background(), []string{token}, nil)
		if err := waybill.Update(handler, Visited.With(func(v []string) []string { return append(v, place) })); err != nil {
			panic(err)
		}
		return single(hop.Commit(waybill.Succeeded))
	}
	prices, _ := auth.Send(ctx)
	stock, _ := auth.Send(ctx)
	answers := []string{visit(prices.Token(), "prices"), visit(stock.Token(), "stock")}
	if _, err := stock.Merge(list(answers[1]), waybill.Succeeded); err != nil {
		panic(err)
	}
	if _, err := prices.Merge(list(answers[0]), waybill.Succeeded); err != nil {
		panic(err)
	}
	fmt.Println(Visited.Get(ctx))
	// Output: [cart prices stock] true
}

// One print job for two orders. Their seats are merged by the rule, Max. Their cells differ, and
// have no rule.
func ExampleAuthority_Join() {
	auth, err := waybill.New("shop", exampleRing(), waybill.Claims(Cell, Seats, Tenant))
	if err != nil {
		panic(err)
	}
	order := func(cell string, seats int) context.Context {
		ctx, err := auth.Start(context.Background(), Tenant.To("acme"), Cell.To(cell), Seats.To(seats))
		if err != nil {
			panic(err)
		}
		return ctx
	}
	orders := []context.Context{order("eu-3", 2), order("us-1", 4)}

	_, err = auth.Join(context.Background(), waybill.RefuseDisagreement, orders...)
	fmt.Println(err)

	ctx, err := auth.Join(context.Background(), waybill.DropDisagreement, orders...)
	if err != nil {
		panic(err)
	}
	tenant, _ := Tenant.Get(ctx)
	seats, _ := Seats.Get(ctx)
	_, err = Cell.Lookup(ctx)
	fmt.Println(tenant, seats, err)
	// Output:
	// waybill: parents disagree on claims that have no merge rule: ["cell"]
	// acme 4 waybill: no such claim: cell
}
