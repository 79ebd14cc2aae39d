package waybilltest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-go/waybill"
)

var wayIn = []property{
	{"token arrives unchanged", carrierCheck.arrives},
	{"no token", carrierCheck.absent},
	{"bad tokens", carrierCheck.bad},
	{"token is taken out", carrierCheck.takenOut},
	{"inherited context", carrierCheck.inherited},
	{"journeys of an inherited context", carrierCheck.begun},
	{"expired on the way out", carrierCheck.expired},
	{"hop ends", carrierCheck.ends},
	{"panic", carrierCheck.panics},
}

// arrives: the bytes on the wire are those that the call was given.
func (c carrierCheck) arrives() {
	auth := c.authority()
	ctx := c.journey(auth)
	sent, _ := waybill.FromContext(ctx)
	v, _ := c.call(ctx, auth, "a call with a waybill", nil)
	if v.wb == nil {
		c.t.Fatalf("the handler of a call with a waybill has none: %v; put Call.Token() under waybill.Header and give what "+
			"arrives to Authority.Receive", v.err)
	}
	if v.wb.Token() != sent.Token() {
		c.t.Errorf("the handler's token is not the caller's: send the exact bytes of Call.Token()")
	}
	c.answered(ctx, auth, func(h Headers) Headers {
		if got := h[waybill.Header]; len(got) != 1 || got[0] != sent.Token() {
			c.t.Errorf("on the wire are %d values, want the caller's token, once and byte for byte", len(got))
		}
		return nil
	})
}

// answered is an Answer that must succeed, and reach the peer.
func (c carrierCheck) answered(ctx context.Context, auth *waybill.Authority, answer func(Headers) Headers) {
	c.t.Helper()
	reached := make(chan struct{}, 1)
	err := c.Answer(ctx, auth, func(h Headers) Headers {
		defer func() { reached <- struct{}{} }()
		return answer(h)
	})
	if err != nil {
		c.t.Errorf("a call to a peer that knows nothing of waybills failed: %v; what comes back must not change the result", err)
		return
	}
	select {
	case <-reached:
	case <-time.After(carrierPatience):
		c.t.Fatalf("Answer: the peer was not reached within %v", carrierPatience)
	}
}

// absent: a call without a waybill is a call.
func (c carrierCheck) absent() {
	auth := c.authority()
	v, _ := c.call(context.Background(), auth, "a call without a waybill", nil)
	if !errors.Is(v.err, waybill.ErrNoWaybill) {
		c.t.Errorf("the handler of a call without a waybill got %v, %v, want ErrNoWaybill: give Authority.Receive no values "+
			"if the header is not there", v.wb, v.err)
	}
	c.answered(context.Background(), auth, func(h Headers) Headers {
		if n := len(h[waybill.Header]); n != 0 {
			c.t.Errorf("a call without a waybill has %d values on the wire, want none", n)
		}
		return nil
	})
}

// bad: what is not one good token gives no handler a waybill, and is refused or reported for what it is.
func (c carrierCheck) bad() {
	auth := c.authority()
	good, other := c.token(auth), c.token(auth)
	stranger := "A"
	if good[len(good)-20] == 'A' {
		stranger = "B"
	}
	forged := good[:len(good)-20] + stranger + good[len(good)-19:]
	for _, bad := range []struct {
		name   string
		values []string
		want   error
	}{
		{"two tokens", []string{good, other}, waybill.ErrAmbiguous},
		{"the same token twice", []string{good, good}, waybill.ErrAmbiguous},
		{"a forged token", []string{forged}, waybill.ErrForged},
		{"garbage", []string{"garbage"}, waybill.ErrMalformed},
		{"a token over the limit", []string{good + strings.Repeat("A", waybill.DefaultAcceptLimit)}, waybill.ErrTooLarge},
	} {
		s, visits := c.service(auth, nil)
		_, err := c.Raw(s, Headers{waybill.Header: bad.values})
		select {
		case v := <-visits:
			if v.wb != nil || !errors.Is(v.err, bad.want) {
				c.t.Errorf("%s: the handler got a waybill %v (%v), want none and %v: give Authority.Receive all raw values "+
					"of the header, not the first", bad.name, v.wb != nil, v.err, bad.want)
			}
		default:
			if err == nil && !c.OneWay {
				c.t.Errorf("%s: the handler did not run, and the caller was not told: a refusal is an error", bad.name)
			}
		}
	}
}

// takenOut: a handler that copies what it sees passes nothing on.
func (c carrierCheck) takenOut() {
	auth := c.authority()
	token := c.token(auth)
	s, visits := c.service(auth, nil)
	for _, h := range []Headers{
		{waybill.Header: {token}, waybill.HeaderReturn: {token}, "other": {"kept"}},
		{waybill.HeaderReturn: {token}, "other": {"kept"}},
	} {
		if _, err := c.Raw(s, h); err != nil {
			c.t.Fatalf("a request that has the waybill's headers and another: %v", err)
		}
		v := c.visited(visits, "a request that has the waybill's headers")
		for _, name := range []string{waybill.Header, waybill.HeaderReturn} {
			if len(v.seen[name]) > 0 {
				c.t.Errorf("the handler sees the header %s: take it out after Authority.Receive, or proxies pass it on", name)
			}
		}
		if !slices.Equal(v.seen["other"], []string{"kept"}) {
			c.t.Errorf("the handler sees the other header as %q, want kept: take out the waybill's only", v.seen["other"])
		}
		if got, _ := checkCell.Of(v.wb); len(h[waybill.Header]) == 0 && !errors.Is(v.err, waybill.ErrNoWaybill) {
			c.t.Errorf("an update in a request was taken for a waybill, with cell %q: give Authority.Receive the values of "+
				"waybill.Header only", got)
		}
	}
}

// inherited: what a server's own context has is no request's.
func (c carrierCheck) inherited() {
	auth := c.authority()
	s, visits := c.service(auth, nil)
	s.Context = Context(c.t, auth, checkCell.To("inherited"))
	if _, err := c.Raw(s, Headers{}); err != nil {
		c.t.Errorf("a request without a token, to a server with a waybill of its own: %v", err)
	}
	if v := c.visited(visits, "a request without a token"); !errors.Is(v.err, waybill.ErrNoWaybill) {
		c.t.Errorf("a request without a token got the waybill of the server's context (%v): call Authority.Receive for every "+
			"request, also if it brings nothing", v.err)
	}
	if _, err := c.Raw(s, Headers{waybill.Header: {c.token(auth)}}); err != nil {
		c.t.Errorf("a request with a token, to a server with a waybill of its own: %v", err)
	}
	v := c.visited(visits, "a request with a token")
	if got, _ := checkCell.Of(v.wb); got != "a" {
		c.t.Errorf("a request with a token sees cell %q (%v), want its own", got, v.err)
	}
}

// begun: two requests that inherit the context of one that has no waybill are on two journeys.
func (c carrierCheck) begun() {
	auth := c.authority()
	base, _ := auth.Receive(context.Background(), nil, nil)
	s, visits := c.service(auth, nil)
	s.Context = base
	pass := s.Handle
	s.Handle = func(ctx context.Context, seen Headers) error {
		started, err := auth.Start(ctx)
		if err != nil {
			c.t.Errorf("a request without a token is on a journey (%v): it shares that of another request", err)
			started = ctx
		}
		return pass(started, seen)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, err := c.Raw(s, Headers{}); err != nil {
				c.t.Errorf("a request that begins a journey: %v", err)
			}
		})
	}
	both.Wait()
	one, two := c.visited(visits, "a request that begins a journey"), c.visited(visits, "another one")
	if one.wb.ID() == two.wb.ID() {
		c.t.Errorf("two requests are on one journey: pass Authority.Receive a source that only the layers of one request share")
	}
	if _, err := waybill.FromContext(base); !errors.Is(err, waybill.ErrNoWaybill) {
		c.t.Errorf("the journey of a request is in the context that it inherited")
	}
}

// expired: what every peer would refuse does not go out.
func (c carrierCheck) expired() {
	ahead := time.Duration(0)
	auth := c.authority(waybill.Clock(func() time.Time { return time.Now().Add(ahead) }))
	ctx := c.journey(auth)
	ahead = 2 * waybill.DefaultLife
	// An error that says so is an answer too.
	err := c.Answer(ctx, auth, func(h Headers) Headers {
		if len(h[waybill.Header]) > 0 {
			c.t.Errorf("an expired token went out: Send says ErrExpired, and the carrier must not go on with the token")
		}
		return nil
	})
	if err != nil && !errors.Is(err, waybill.ErrExpired) {
		c.t.Errorf("a call with an expired waybill failed with %v, want an error that wraps ErrExpired, or a call without it", err)
	}
}

// ends: a change that nobody would get back says so.
func (c carrierCheck) ends() {
	auth := c.authority()
	v, _ := c.call(c.journey(auth), auth, "a call", nil)
	for late := time.Now().Add(carrierPatience); ; time.Sleep(time.Millisecond) {
		err := waybill.Update(v.ctx, checkCell.To("late"))
		if errors.Is(err, waybill.ErrCommitted) || errors.Is(err, waybill.ErrTooLate) {
			return
		}
		if time.Now().After(late) {
			c.t.Fatalf("an Update %v after the answer: got %v, want ErrCommitted or ErrTooLate: call Hop.Commit or Hop.Discard "+
				"when the handler has returned, or changes vanish", carrierPatience, err)
		}
	}
}

// panics: what a handler changed before it panicked is nobody's.
func (c carrierCheck) panics() {
	auth := c.authority()
	ctx := c.journey(auth)
	s, visits := c.service(auth, func(ctx context.Context) error {
		c.change(checkCell.To("b"))(ctx)
		panic("a handler panics")
	})
	c.Call(ctx, auth, s) // fails as the carrier will have it
	c.visited(visits, "a call whose handler panics")
	brings(c, ctx, checkCell, "a", "a handler that panicked has changed it; call Hop.Discard then, and not Hop.Commit")
}
