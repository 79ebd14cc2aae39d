package waybilltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/waybill-go/waybill"
)

var wayBack = []property{
	{"changes return on success", carrierCheck.changes},
	{"changes return on error", carrierCheck.changesOnError},
	{"nothing changed", carrierCheck.unchanged},
	{"token pinned", carrierCheck.pinned},
	{"rejected tokens", carrierCheck.rejects},
	{"uninvited token", carrierCheck.uninvited},
	{"panic returns nothing", carrierCheck.panicsRaw},
	{"new journey", carrierCheck.starts},
	{"concurrent calls", carrierCheck.concurrent},
}

// changes checks that the caller sees the changes of a handler.
func (c carrierCheck) changes() {
	auth := c.authority()
	ctx := c.journey(auth)
	_, answer := c.call(ctx, auth, "a call that changes claims", c.change(checkCell.To("b"), checkReceipt.To("r2")))
	const back = "the caller misses a change of its callee: send the result of Hop.Commit(waybill.Succeeded) in the response as " +
		"waybill.HeaderReturn, and pass it to Call.Merge"
	wantClaim(c, ctx, checkCell, "b", back)
	wantClaim(c, ctx, checkReceipt, "r2", back+"; the call succeeded, so do not pass waybill.Failed")
	for _, name := range []string{waybill.Header, waybill.HeaderReturn} {
		if len(answer[name]) > 0 {
			c.t.Errorf("the caller sees the header %s in the response, and a proxy would forward it: "+
				"remove it after Call.Merge", name)
		}
	}
	if lost := waybill.Lost(ctx); lost != nil {
		c.t.Errorf("the caller lost a change: %v; pass the returned token to Call.Merge exactly as it "+
			"was received", lost)
	}
}

var errHandler = errors.New("the handler fails")

// changesOnError checks that changes also return from a call that failed, except changes of
// OnSuccess claims.
func (c carrierCheck) changesOnError() {
	auth := c.authority()
	ctx := c.journey(auth)
	s, visits := c.service(auth, func(ctx context.Context) error {
		c.change(checkCell.To("b"), checkReceipt.To("r2"))(ctx)
		return errHandler
	})
	if _, err := c.Call(ctx, auth, s); err == nil {
		c.t.Errorf("the caller does not learn that the handler failed: return the handler's error, with " +
			"or without a returned token")
	}
	token := c.visited(visits, "a call that fails").wb.Token()
	wantClaim(c, ctx, checkCell, "b", "the caller misses a change of a call that failed: send the "+
		"returned token with an error response as well")
	wantClaim(c, ctx, checkReceipt, "r1", "an OnSuccess claim was changed by a call that failed: pass "+
		"waybill.Failed to Hop.Commit and Call.Merge")

	// Each side protects OnSuccess claims itself, because the other side may not declare the claim
	// as OnSuccess.
	h, _ := c.Raw(s, Headers{waybill.Header: {token}})
	if wb := c.opened(auth, h); wb != nil {
		if got, _ := checkReceipt.Of(wb); got != "r1" {
			c.t.Errorf("the error response returns a change of an OnSuccess claim: pass waybill.Failed " +
				"to Hop.Commit")
		}
	}
	loose := Authority(c.t, waybill.Claims(waybill.NewClaim[string]("receipt")))
	s, _ = c.service(loose, func(ctx context.Context) error {
		c.change(waybill.NewClaim[string]("receipt").To("r2"))(ctx)
		return errHandler
	})
	if _, err := c.Call(ctx, auth, s); err == nil {
		c.t.Errorf("the caller does not learn that the handler failed: return the handler's error, with " +
			"or without a returned token")
	}
	wantClaim(c, ctx, checkReceipt, "r1", "an OnSuccess claim was changed by a call that failed: pass "+
		"waybill.Failed to Call.Merge")
}

// opened opens the returned token of a response, which must have exactly one.
func (c carrierCheck) opened(auth *waybill.Authority, h Headers) *waybill.Waybill {
	c.t.Helper()
	if n := len(h[waybill.HeaderReturn]); n != 1 {
		c.t.Errorf("the response has %d returned tokens, want 1: the client misses a change; send the "+
			"result of Hop.Commit once", n)
		return nil
	}
	wb, err := auth.Open(h[waybill.HeaderReturn][0])
	if err != nil {
		c.t.Errorf("the returned token cannot be opened: %v; send the result of Hop.Commit byte for "+
			"byte", err)
	}
	return wb
}

// unchanged checks that a response without changes has no returned token.
func (c carrierCheck) unchanged() {
	auth := c.authority()
	s, _ := c.service(auth, nil)
	for _, h := range []Headers{{}, {waybill.Header: {c.token(auth)}}} {
		answer, err := c.Raw(s, h)
		if err != nil {
			c.t.Errorf("a valid request failed: %v; admit requests with a valid token, and requests "+
				"without a token", err)
		}
		if n := len(answer[waybill.HeaderReturn]); n > 0 {
			c.t.Errorf("the handler changed nothing, but the response has %d returned tokens: if "+
				"Hop.Commit returns \"\", leave the header out", n)
		}
	}
}

// pinned checks that changes which the caller makes during a call do not make the returned token
// stale.
func (c carrierCheck) pinned() {
	auth := c.authority()
	ctx := c.journey(auth)
	c.call(ctx, auth, "a call during which its caller changes", func(callee context.Context) error {
		if err := waybill.Update(ctx, checkSeats.To(7)); err != nil {
			c.t.Errorf("the caller cannot change claims during its call: %v; do not end the caller's hop "+
				"in a call", err)
		}
		return c.change(checkCell.To("b"))(callee)
	})
	wantClaim(c, ctx, checkCell, "b", "the caller misses a change of its callee: merge the returned "+
		"token with the Call whose token was sent, not with a later one")
	wantClaim(c, ctx, checkSeats, 7, "the call overwrote a change that the caller made meanwhile: merge "+
		"the returned token with the Call whose token was sent")
}

// rejects checks that a returned token which was not made from the sent token changes nothing and
// fails no call.
func (c carrierCheck) rejects() {
	auth := c.authority()
	ctx := c.journey(auth)
	old := ""
	c.answer(ctx, auth, func(h Headers) Headers { old = c.returned(auth, h, checkCell.To("old")); return nil })
	if err := waybill.Update(ctx, checkSeats.To(2)); err != nil {
		c.t.Fatalf("waybilltest: %v", err)
	}
	stranger := c.returned(auth, Headers{waybill.Header: {c.token(auth)}}, checkCell.To("stranger"))
	for _, bad := range []struct {
		name   string
		answer func(Headers) []string
		want   error
	}{
		{"a replayed response to an earlier token", func(Headers) []string { return []string{old} }, waybill.ErrStale},
		{"a token of another journey", func(Headers) []string { return []string{stranger} }, waybill.ErrStale},
		{"the sent token", func(h Headers) []string { return h[waybill.Header] }, waybill.ErrStale},
		{"garbage", func(Headers) []string { return []string{"garbage"} }, waybill.ErrMalformed},
		{"two tokens", func(h Headers) []string {
			return []string{c.returned(auth, h, checkCell.To("one")), c.returned(auth, h, checkCell.To("two"))}
		}, waybill.ErrMalformed},
	} {
		c.answer(ctx, auth, func(h Headers) Headers { return Headers{waybill.HeaderReturn: bad.answer(h)} })
		wantClaim(c, ctx, checkCell, "a", bad.name+" was returned and merged: pass every returned token "+
			"to Call.Merge, and change nothing without it")
		if lost := waybill.Lost(ctx); !errors.Is(lost, bad.want) {
			c.t.Errorf("%s was returned, and Lost reports %v, want %v: pass the returned value to "+
				"Call.Merge; join several values with a comma", bad.name, lost, bad.want)
		}
	}
	c.answer(ctx, auth, func(h Headers) Headers {
		return Headers{waybill.HeaderReturn: {c.returned(auth, h, checkCell.To("b"))}}
	})
	wantClaim(c, ctx, checkCell, "b", "a valid returned token was not merged: use a new Call for each "+
		"request, and pass its returned token to Call.Merge")
}

// returned returns the token that a service sends back after it received h and made these changes.
func (c carrierCheck) returned(auth *waybill.Authority, h Headers, changes ...waybill.Change) string {
	ctx, hop := auth.Receive(context.Background(), h[waybill.Header], nil)
	if err := waybill.Update(ctx, changes...); err != nil {
		c.t.Errorf("the peer cannot change the token it received: %v; send the result of Call.Token byte "+
			"for byte", err)
	}
	return hop.Commit(waybill.Succeeded)
}

// uninvited checks that a call without a token merges no returned token.
func (c carrierCheck) uninvited() {
	auth := c.authority()
	ctx := context.Background()
	other := c.returned(auth, Headers{waybill.Header: {c.token(auth)}}, checkCell.To("evil"))
	received, _ := auth.Receive(ctx, nil, nil)
	for _, ctx := range []context.Context{ctx, received} {
		c.answer(ctx, auth, func(Headers) Headers { return Headers{waybill.HeaderReturn: {other}} })
		if _, err := waybill.FromContext(ctx); !errors.Is(err, waybill.ErrNoWaybill) {
			c.t.Errorf("a call without a waybill got one from its response, which anyone can send: " +
				"ignore a returned token if Authority.Send made no Call")
		}
	}
}

// panicsRaw checks that the response has no returned token if the handler panicked.
func (c carrierCheck) panicsRaw() {
	auth := c.authority()
	s, visits := c.service(auth, func(ctx context.Context) error {
		c.change(checkCell.To("b"))(ctx)
		panic("a handler panics")
	})
	h, _ := c.Raw(s, Headers{waybill.Header: {c.token(auth)}})
	c.visited(visits, "a request whose handler panics")
	if len(h[waybill.HeaderReturn]) > 0 {
		c.t.Errorf("the response returns changes of a handler that panicked: after a panic call " +
			"Hop.Discard, not Hop.Commit")
	}
}

// starts checks that a journey which begins in a handler returns to the client.
func (c carrierCheck) starts() {
	auth := c.authority()
	s, _ := c.service(auth, func(ctx context.Context) error {
		_, err := auth.Start(ctx, checkCell.To("new"))
		return err
	})
	h, err := c.Raw(s, Headers{})
	if err != nil {
		c.t.Fatalf("a request in which a journey begins failed: %v; admit requests without a token", err)
	}
	if wb := c.opened(auth, h); wb != nil {
		if got, _ := checkCell.Of(wb); got != "new" {
			c.t.Errorf("the new journey was returned with cell %q, want new: send the result of "+
				"Hop.Commit", got)
		}
	}
}

// concurrent checks that parallel calls in one context lose no change.
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
		atLeast := func(seats int) int { return max(seats, i*7%calls) } // calls may still run one after another
		s, _ := c.service(auth, c.change(own[i].To(i), checkSeats.With(atLeast)))
		all.Go(func() {
			if _, err := c.Call(ctx, auth, s); err != nil {
				c.t.Errorf("one of %d concurrent calls failed: %v; calls must not share state", calls, err)
			}
		})
	}
	all.Wait()
	for i, claim := range own {
		wantClaim(c, ctx, claim, i, "the change of a concurrent call was lost: make a new Call with "+
			"Authority.Send for each call")
	}
	wantClaim(c, ctx, checkSeats, calls-1, "a change of a concurrent call was lost: make a new Call with "+
		"Authority.Send for each call")
}
