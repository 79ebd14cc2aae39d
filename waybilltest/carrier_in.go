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
	{"token is removed", carrierCheck.removed},
	{"inherited context", carrierCheck.inherited},
	{"journeys of an inherited context", carrierCheck.begun},
	{"expired on the way out", carrierCheck.expired},
	{"another Authority's waybill", carrierCheck.foreign},
	{"Extract in a handler", carrierCheck.extracts},
	{"hop ends", carrierCheck.ends},
	{"panic", carrierCheck.panics},
	{"canary", carrierCheck.canary},
}

// arrives checks that the token on the wire is byte for byte the token of the call.
func (c carrierCheck) arrives() {
	auth := c.authority()
	ctx := c.journey(auth)
	sent, _ := waybill.FromContext(ctx)
	v, _ := c.call(ctx, auth, "a call with a waybill", nil)
	if errors.Is(v.err, waybill.ErrCommitted) {
		c.t.Fatalf("the handler has no waybill, because its hop has ended: call Hop.Commit only after the " +
			"handler has returned, and Hop.Stripped with the carrier that inner layers see")
	}
	if v.wb == nil {
		c.t.Fatalf("the handler has no waybill although its caller has one: %v; send Call.Token() as "+
			"waybill.Header, and pass the received values to Authority.Receive", v.err)
	}
	if v.wb.Token() != sent.Token() {
		c.t.Errorf("the handler received another token than its caller sent: send Call.Token() byte for byte")
	}
	c.answer(ctx, auth, func(h Headers) Headers {
		if got := h[waybill.Header]; len(got) != 1 || got[0] != sent.Token() {
			c.t.Errorf("the request has %d values of waybill.Header, want one, the caller's token: send "+
				"Call.Token() once and byte for byte", len(got))
		}
		return nil
	})
}

// answer makes an Answer that must succeed and reach the peer.
func (c carrierCheck) answer(ctx context.Context, auth *waybill.Authority, answer func(Headers) Headers) {
	c.t.Helper()
	reached := make(chan struct{}, 1)
	err := c.Answer(ctx, auth, func(h Headers) Headers {
		defer func() { reached <- struct{}{} }()
		return answer(h)
	})
	if err != nil {
		c.t.Errorf("a call that its peer answers failed: %v; Answer must return the peer's result, also "+
			"of a peer without returned tokens, and regardless of the outcome of Call.Merge", err)
		return
	}
	select {
	case <-reached:
	case <-time.After(carrierPatience):
		c.t.Fatalf("the peer was not reached within %v: Answer must send the request and pass its "+
			"headers to the peer", carrierPatience)
	}
}

// absent checks that a call without a waybill works.
func (c carrierCheck) absent() {
	auth := c.authority()
	v, _ := c.call(context.Background(), auth, "a call without a waybill", nil)
	if !errors.Is(v.err, waybill.ErrNoWaybill) {
		c.t.Errorf("the handler of a call without a waybill got %v, %v, want ErrNoWaybill: if the header "+
			"is missing, pass no values to Authority.Receive", v.wb, v.err)
	}
	c.answer(context.Background(), auth, func(h Headers) Headers {
		if n := len(h[waybill.Header]); n != 0 {
			c.t.Errorf("a call without a waybill sends %d values of waybill.Header, want none: if "+
				"Authority.Send returns an error, send no header", n)
		}
		return nil
	})
}

// bad checks that a request without exactly one valid token has no waybill, and that it is refused
// or reports the right error.
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
				c.t.Errorf("%s: the handler has a waybill: %v, error %v; want no waybill and %v: pass "+
					"all raw values of the header to Authority.Receive, not only the first",
					bad.name, v.wb != nil, v.err, bad.want)
			}
		default:
			if err == nil && !c.OneWay {
				c.t.Errorf("%s: the request was refused, but its caller got no error: turn a refusal "+
					"into an error of the call", bad.name)
			}
		}
	}
}

// removed checks that a handler which copies the headers it sees does not forward the token.
func (c carrierCheck) removed() {
	auth := c.authority()
	token := c.token(auth)
	s, visits := c.service(auth, nil)
	for _, h := range []Headers{
		{waybill.Header: {token}, waybill.HeaderReturn: {token}, "other": {"kept"}},
		{waybill.HeaderReturn: {token}, "other": {"kept"}},
	} {
		if _, err := c.Raw(s, h); err != nil {
			c.t.Fatalf("a request with a valid token and other headers failed: %v; admit it", err)
		}
		v := c.visited(visits, "a request with the waybill's headers")
		for _, name := range []string{waybill.Header, waybill.HeaderReturn} {
			if len(v.seen[name]) > 0 {
				c.t.Errorf("the handler sees the header %s, and a proxy would forward it: remove it "+
					"after Authority.Receive", name)
			}
		}
		if !slices.Equal(v.seen["other"], []string{"kept"}) {
			c.t.Errorf("the request brings the header \"other\" with the value \"kept\", and the handler sees it as %q: "+
				"remove the waybill's headers only, and give Service.Handle names in lower case", v.seen["other"])
		}
		if got, _ := checkCell.Of(v.wb); len(h[waybill.Header]) == 0 && !errors.Is(v.err, waybill.ErrNoWaybill) {
			c.t.Errorf("a returned token in a request became its waybill, with cell %q: pass only the "+
				"values of waybill.Header to Authority.Receive", got)
		}
	}
}

// inherited checks that no request gets the waybill of the server's own context.
func (c carrierCheck) inherited() {
	auth := c.authority()
	s, visits := c.service(auth, nil)
	s.Context = Context(c.t, auth, checkCell.To("inherited"))
	if _, err := c.Raw(s, Headers{}); err != nil {
		c.t.Errorf("a request without a token failed because the server's context has a waybill: %v; "+
			"call Authority.Receive for every request", err)
	}
	if v := c.visited(visits, "a request without a token"); !errors.Is(v.err, waybill.ErrNoWaybill) {
		c.t.Errorf("a request without a token got the waybill of the server's context (%v): call "+
			"Authority.Receive for every request, even if it has no token", v.err)
	}
	if _, err := c.Raw(s, Headers{waybill.Header: {c.token(auth)}}); err != nil {
		c.t.Errorf("a request with a token failed because the server's context has a waybill: %v; call "+
			"Authority.Receive for every request", err)
	}
	v := c.visited(visits, "a request with a token")
	if got, _ := checkCell.Of(v.wb); got != "a" {
		c.t.Errorf("a request sees cell %q (%v), want the cell of its own token: pass the context of "+
			"Authority.Receive to the handler", got, v.err)
	}
}

// begun checks that two requests which inherit the context of a hop without a waybill begin two
// journeys.
func (c carrierCheck) begun() {
	auth := c.authority()
	base, _ := auth.Receive(context.Background(), nil, nil)
	s, visits := c.service(auth, nil)
	s.Context = base
	pass := s.Handle
	s.Handle = func(ctx context.Context, seen Headers) error {
		started, err := auth.Start(ctx)
		if err != nil {
			c.t.Errorf("a request without a token is on the journey of another request (%v): call "+
				"Authority.Receive for every request", err)
			started = ctx
		}
		return pass(started, seen)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, err := c.Raw(s, Headers{}); err != nil {
				c.t.Errorf("a request in which a journey begins failed: %v; admit requests without a "+
					"token", err)
			}
		})
	}
	both.Wait()
	one, two := c.visited(visits, "a request that begins a journey"), c.visited(visits, "another request that begins a journey")
	if one.wb.ID() == two.wb.ID() {
		c.t.Errorf("two users share one journey: pass Authority.Receive a source that the layers of one " +
			"request share and other requests do not")
	}
	if _, err := waybill.FromContext(base); !errors.Is(err, waybill.ErrNoWaybill) {
		c.t.Errorf("the journey of one request leaks into the context that all requests inherit: call " +
			"Authority.Receive for every request")
	}
}

// foreign checks that a carrier sends only waybills of its own Authority.
func (c carrierCheck) foreign() {
	ctx := c.journey(c.authority())
	c.answer(ctx, c.authority(), func(h Headers) Headers {
		if n := len(h[waybill.Header]); n != 0 {
			c.t.Errorf("a call sent %d tokens of another Authority, want none: a foreign service could "+
				"use them; call Authority.Send of your carrier's Authority, and send no token if it returns ErrForeignDomain",
				n)
		}
		return nil
	})
}

// expired checks that an expired token is not sent, because every peer would refuse it.
func (c carrierCheck) expired() {
	ahead := time.Duration(0)
	auth := c.authority(waybill.Clock(func() time.Time { return time.Now().Add(ahead) }))
	ctx := c.journey(auth)
	ahead = 2 * waybill.DefaultLife
	// The carrier may send the request without the token, or return ErrExpired.
	err := c.Answer(ctx, auth, func(h Headers) Headers {
		if len(h[waybill.Header]) > 0 {
			c.t.Errorf("an expired token was sent, and the peer would refuse the request: if " +
				"Authority.Send returns ErrExpired, do not send the token")
		}
		return nil
	})
	if err != nil && !errors.Is(err, waybill.ErrExpired) {
		c.t.Errorf("a call with an expired waybill failed with %v: return an error that wraps "+
			"ErrExpired, or send the request without the token", err)
	}
}

// extracts checks that a propagator in the handler, which finds no token because the carrier removed it,
// leaves the journey alone.
func (c carrierCheck) extracts() {
	auth := c.authority()
	ctx := c.journey(auth)
	c.call(ctx, auth, "a call whose handler extracts its trace", func(ctx context.Context) error {
		ctx, _ = auth.Extract(ctx, nil, nil)
		wantClaim(c, ctx, checkCell, "a", "a handler that extracts its trace with OpenTelemetry loses its journey: begin the "+
			"hop with Authority.Receive, and end it only after the handler has returned")
		return c.change(checkCell.To("b"))(ctx)
	})
	if !c.OneWay {
		wantClaim(c, ctx, checkCell, "b", "a change made after a handler extracted its trace does not go back: begin the hop "+
			"with Authority.Receive")
	}
}

// ends checks that the context shows no waybill after the hop has ended, and that a change returns an
// error.
func (c carrierCheck) ends() {
	auth := c.authority()
	v, _ := c.call(c.journey(auth), auth, "a call", nil)
	for late := time.Now().Add(carrierPatience); ; time.Sleep(time.Millisecond) {
		err := waybill.Update(v.ctx, checkCell.To("late"))
		_, shown := waybill.FromContext(v.ctx)
		if errors.Is(err, waybill.ErrCommitted) && errors.Is(shown, waybill.ErrCommitted) {
			return
		}
		if time.Now().After(late) {
			c.t.Fatalf("%v after the response, Update returns %v and FromContext %v, want ErrCommitted: a change is lost "+
				"silently, and a context that is kept shows one request's journey to another; call Hop.Commit or "+
				"Hop.Discard when the handler has returned", carrierPatience, err, shown)
		}
	}
}

// canary checks that no error and no refusal shows a token. A [Canary] watches the logs.
func (c carrierCheck) canary() {
	auth, canary := c.authority(), NewCanary(c.t)
	good, other := c.token(auth), c.token(auth)
	s, _ := c.service(auth, func(context.Context) error {
		if c.OneWay {
			return nil // nobody gets the error
		}
		return errHandler
	})
	for what, values := range map[string][]string{
		"the refusal of two tokens":           {good, other},
		"the refusal of a forged token":       {good[:len(good)-4] + "AAAA"},
		"the refusal of a token that is long": {good + strings.Repeat("A", waybill.DefaultAcceptLimit)},
		"the error of a handler":              {good},
	} {
		answer, err := c.Raw(s, Headers{waybill.Header: values})
		canary.Check(what, err, answer)
	}
	answer, err := c.Call(c.journey(auth), auth, s)
	canary.Check("a call that fails", err, answer)
}

// panics checks that the caller does not see the changes of a handler that panicked.
func (c carrierCheck) panics() {
	auth := c.authority()
	ctx := c.journey(auth)
	s, visits := c.service(auth, func(ctx context.Context) error {
		c.change(checkCell.To("b"))(ctx)
		panic("a handler panics")
	})
	c.Call(ctx, auth, s) // the result is up to the carrier
	c.visited(visits, "a call whose handler panics")
	wantClaim(c, ctx, checkCell, "a", "the caller sees a change of a handler that panicked: after a "+
		"panic call Hop.Discard, not Hop.Commit")
}
