package waybilltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/waybill-go/waybill"
)

var wayBack = []property{
	{"update on success", carrierCheck.updates},
	{"update on error", carrierCheck.updatesOnError},
	{"nothing changed", carrierCheck.unchanged},
	{"token pinned", carrierCheck.pinned},
	{"refused updates", carrierCheck.refuses},
	{"uninvited update", carrierCheck.uninvited},
	{"panic answers nothing", carrierCheck.panicsRaw},
	{"new journey", carrierCheck.starts},
	{"concurrent calls", carrierCheck.concurrent},
}

// updates: what a handler changes, its caller sees.
func (c carrierCheck) updates() {
	auth := c.authority()
	ctx := c.journey(auth)
	_, answer := c.call(ctx, auth, "a call that changes claims", c.change(checkCell.To("b"), checkReceipt.To("r2")))
	const back = "put Hop.Commit(waybill.Succeeded) under waybill.HeaderReturn into the answer, and pass it to Call.Merge"
	brings(c, ctx, checkCell, "b", back)
	brings(c, ctx, checkReceipt, "r2", back+", without Failed: the call succeeded")
	for _, name := range []string{waybill.Header, waybill.HeaderReturn} {
		if len(answer[name]) > 0 {
			c.t.Errorf("the caller sees the header %s in the answer: take it out, or proxies pass it on", name)
		}
	}
	if lost := waybill.Lost(ctx); lost != nil {
		c.t.Errorf("an update was lost: %v", lost)
	}
}

var errHandler = errors.New("the handler fails")

// updatesOnError: so it does if the call failed, but for OnSuccess claims.
func (c carrierCheck) updatesOnError() {
	auth := c.authority()
	ctx := c.journey(auth)
	s, visits := c.service(auth, func(ctx context.Context) error {
		c.change(checkCell.To("b"), checkReceipt.To("r2"))(ctx)
		return errHandler
	})
	if _, err := c.Call(ctx, auth, s); err == nil {
		c.t.Errorf("a call whose handler failed succeeded: an update does not change the result")
	}
	token := c.visited(visits, "a call that fails").wb.Token()
	brings(c, ctx, checkCell, "b", "send the update with an answer that is an error, too")
	brings(c, ctx, checkReceipt, "r1", "an OnSuccess claim changes only by calls that succeed: pass waybill.Failed to Hop.Commit and Call.Merge")

	// Each side sees to it by itself, for callers and callees that do not declare the claim so.
	h, _ := c.Raw(s, Headers{waybill.Header: {token}})
	if wb := c.opened(auth, h); wb != nil {
		if got, _ := checkReceipt.Of(wb); got != "r1" {
			c.t.Errorf("the error answer has an OnSuccess claim in its update: pass waybill.Failed to Hop.Commit")
		}
	}
	loose := Authority(c.t, waybill.Claims(waybill.NewClaim[string]("receipt")))
	s, _ = c.service(loose, func(ctx context.Context) error {
		c.change(waybill.NewClaim[string]("receipt").To("r2"))(ctx)
		return errHandler
	})
	if _, err := c.Call(ctx, auth, s); err == nil {
		c.t.Errorf("a call whose handler failed succeeded: an update does not change the result")
	}
	brings(c, ctx, checkReceipt, "r1", "the call failed: pass Failed to Call.Return")
}

// opened returns the update of an answer, which must be one.
func (c carrierCheck) opened(auth *waybill.Authority, h Headers) *waybill.Waybill {
	c.t.Helper()
	if n := len(h[waybill.HeaderReturn]); n != 1 {
		c.t.Errorf("the answer has %d updates, want 1", n)
		return nil
	}
	wb, err := auth.Open(h[waybill.HeaderReturn][0])
	if err != nil {
		c.t.Errorf("the update in the answer cannot be opened: %v; send the exact bytes of Hop.Commit", err)
	}
	return wb
}

// unchanged: an answer without a change has no update.
func (c carrierCheck) unchanged() {
	auth := c.authority()
	s, _ := c.service(auth, nil)
	for _, h := range []Headers{{}, {waybill.Header: {c.token(auth)}}} {
		answer, err := c.Raw(s, h)
		if err != nil {
			c.t.Errorf("a good request: %v", err)
		}
		if n := len(answer[waybill.HeaderReturn]); n > 0 {
			c.t.Errorf("a handler changed nothing, and the answer has %d updates: if Hop.Commit returns \"\", leave the header out", n)
		}
	}
}

// pinned: the caller's own changes during the call do not make its answer stale.
func (c carrierCheck) pinned() {
	auth := c.authority()
	ctx := c.journey(auth)
	c.call(ctx, auth, "a call during which its caller changes", func(callee context.Context) error {
		if err := waybill.Update(ctx, checkSeats.To(7)); err != nil {
			c.t.Errorf("Update of the caller during its call: %v", err)
		}
		return c.change(checkCell.To("b"))(callee)
	})
	brings(c, ctx, checkCell, "b", "return the answer to the Call whose token was sent, not to one that was made after")
	brings(c, ctx, checkSeats, 7, "the caller's own change was overwritten")
}

// refuses: what is no update of the token that was sent changes nothing, and fails no call.
func (c carrierCheck) refuses() {
	auth := c.authority()
	ctx := c.journey(auth)
	old := ""
	c.answered(ctx, auth, func(h Headers) Headers { old = c.update(auth, h, checkCell.To("old")); return nil })
	if err := waybill.Update(ctx, checkSeats.To(2)); err != nil {
		c.t.Fatalf("waybilltest: %v", err)
	}
	stranger := c.update(auth, Headers{waybill.Header: {c.token(auth)}}, checkCell.To("stranger"))
	for _, bad := range []struct {
		name   string
		answer func(Headers) []string
		want   error
	}{
		{"an answer to an earlier token, replayed", func(Headers) []string { return []string{old} }, waybill.ErrStale},
		{"an answer of another journey", func(Headers) []string { return []string{stranger} }, waybill.ErrStale},
		{"the token itself", func(h Headers) []string { return h[waybill.Header] }, waybill.ErrStale},
		{"garbage", func(Headers) []string { return []string{"garbage"} }, waybill.ErrMalformed},
		{"two updates", func(h Headers) []string {
			return []string{c.update(auth, h, checkCell.To("one")), c.update(auth, h, checkCell.To("two"))}
		}, waybill.ErrMalformed},
	} {
		c.answered(ctx, auth, func(h Headers) Headers { return Headers{waybill.HeaderReturn: bad.answer(h)} })
		brings(c, ctx, checkCell, "a", bad.name+" came back and was taken: only Call.Return decides, and two updates are none")
		if lost := waybill.Lost(ctx); !errors.Is(lost, bad.want) {
			c.t.Errorf("%s came back, and Lost gives %v, want %v: give what came to Call.Return, joined if it is more than one", bad.name, lost, bad.want)
		}
	}
	c.answered(ctx, auth, func(h Headers) Headers {
		return Headers{waybill.HeaderReturn: {c.update(auth, h, checkCell.To("b"))}}
	})
	brings(c, ctx, checkCell, "b", "a good update of a peer was not taken")
}

// update is what a service that got h would answer with.
func (c carrierCheck) update(auth *waybill.Authority, h Headers, changes ...waybill.Change) string {
	ctx, hop := auth.Receive(context.Background(), h[waybill.Header], nil)
	if err := waybill.Update(ctx, changes...); err != nil {
		c.t.Errorf("a peer cannot change the token that came: %v", err)
	}
	return hop.Commit(waybill.Succeeded)
}

// uninvited: who sends none takes none.
func (c carrierCheck) uninvited() {
	auth := c.authority()
	ctx := context.Background()
	other := c.update(auth, Headers{waybill.Header: {c.token(auth)}}, checkCell.To("evil"))
	received, _ := auth.Receive(ctx, nil, nil)
	for _, ctx := range []context.Context{ctx, received} {
		c.answered(ctx, auth, func(Headers) Headers { return Headers{waybill.HeaderReturn: {other}} })
		if _, err := waybill.FromContext(ctx); !errors.Is(err, waybill.ErrNoWaybill) {
			c.t.Errorf("a call without a waybill came back with one: take an update only for a Call that was sent")
		}
	}
}

// panicsRaw: the answer to a request whose handler panicked has no update.
func (c carrierCheck) panicsRaw() {
	auth := c.authority()
	s, visits := c.service(auth, func(ctx context.Context) error {
		c.change(checkCell.To("b"))(ctx)
		panic("a handler panics")
	})
	h, _ := c.Raw(s, Headers{waybill.Header: {c.token(auth)}})
	c.visited(visits, "a request whose handler panics")
	if len(h[waybill.HeaderReturn]) > 0 {
		c.t.Errorf("the answer of a handler that panicked has an update: call Hop.Discard then, and not Hop.Commit")
	}
}

// starts: a journey that begins in a handler goes back to the client.
func (c carrierCheck) starts() {
	auth := c.authority()
	s, _ := c.service(auth, func(ctx context.Context) error {
		_, err := auth.Start(ctx, checkCell.To("new"))
		return err
	})
	h, err := c.Raw(s, Headers{})
	if err != nil {
		c.t.Fatalf("a request that begins a journey: %v", err)
	}
	if wb := c.opened(auth, h); wb != nil {
		if got, _ := checkCell.Of(wb); got != "new" {
			c.t.Errorf("the new journey came back with cell %q, want new", got)
		}
	}
}

// concurrent: the answers to parallel calls of one context all count.
func (c carrierCheck) concurrent() {
	const calls = 16
	var own []waybill.Claim[int]
	var declared []waybill.Declaration
	for i := range calls {
		own = append(own, waybill.NewClaim[int](fmt.Sprintf("c%d", i)))
		declared = append(declared, own[i])
	}
	auth := c.authority(waybill.Claims(declared...))
	ctx := c.journey(auth)
	var all sync.WaitGroup
	for i := range calls {
		atLeast := func(seats int) int { return max(seats, i*7%calls) } // calls may yet follow each other
		s, _ := c.service(auth, c.change(own[i].To(i), checkSeats.With(atLeast)))
		all.Go(func() {
			if _, err := c.Call(ctx, auth, s); err != nil {
				c.t.Errorf("one of %d calls at the same time: %v", calls, err)
			}
		})
	}
	all.Wait()
	for i, claim := range own {
		brings(c, ctx, claim, i, "the change of one of several calls at the same time is lost: each needs a Call of its own")
	}
	brings(c, ctx, checkSeats, calls-1, "all calls changed it, and its rule is Max")
}
