package natstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// A change is returned through a hop that only forwards, and through a hop that makes its own
// change.
func TestWayBack(t *testing.T) {
	s := start(t)
	nc := connect(t, s)
	auth := waybilltest.Authority(t, claims)
	serve(t, nc, "last", newConn(t, auth, nc).Handler(func(ctx context.Context, m *waybillnats.Msg) {
		note(t, waybill.Update(ctx, Seats.To(5), tag("last")))
		note(t, m.RespondMsg(&nats.Msg{Data: []byte("done"), Header: nats.Header{"X": {"1"}, "waybill-update": {"copied"}}}))
	}))
	middle := connect(t, s)
	conn := newConn(t, auth, middle)
	forward := func(changes ...waybill.Change) nats.MsgHandler {
		return conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
			note(t, waybill.Update(ctx, changes...))
			reply, err := conn.Request(timeout(t, ctx), &nats.Msg{Subject: "last", Header: m.Header})
			note(t, err)
			note(t, m.RespondMsg(&nats.Msg{Data: reply.Data, Header: reply.Header}))
		})
	}
	serve(t, middle, "forwarding", forward())
	serve(t, middle, "changing", forward(Cell.To("eu-4"), tag("middle")))

	for _, c := range []struct {
		subject, cell string
		seats         int
		tags          []string
		outcome       string
	}{
		{"last", "eu-3", 5, []string{"last"}, "relayed"},
		{"forwarding", "eu-3", 5, []string{"last"}, "relayed"},
		{"changing", "eu-4", 5, []string{"last", "middle"}, "relayed"},
	} {
		t.Run(c.subject, func(t *testing.T) {
			ctx := waybilltest.Context(t, auth, Cell.To("eu-3"), Seats.To(2))
			provider, counted := count(t)
			caller := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
			reply, err := caller.Request(timeout(t, ctx), &nats.Msg{Subject: c.subject})
			check(t, err)
			if string(reply.Data) != "done" || reply.Header.Get("X") != "1" || spellings(reply.Header) != nil {
				t.Errorf("reply %q with headers %v, want %q with X alone", reply.Data, reply.Header, "done")
			}
			wantClaims(t, ctx, c.cell, c.seats, c.tags)
			counted.want(t, "waybill.inject", "sent", 1)
			counted.want(t, "waybill.return", c.outcome, 1)
		})
	}
}

func wantClaims(t testing.TB, ctx context.Context, cell string, seats int, tags []string) {
	t.Helper()
	gotCell, _ := Cell.Get(ctx)
	gotSeats, _ := Seats.Get(ctx)
	gotTags, _ := Tags.Get(ctx)
	slices.Sort(gotTags)
	if gotCell != cell || gotSeats != seats || !slices.Equal(gotTags, tags) {
		t.Errorf("claims: cell %q, seats %d, tags %q; want %q, %d, %q", gotCell, gotSeats, gotTags, cell, seats, tags)
	}
	if err := waybill.Lost(ctx); err != nil {
		t.Errorf("lost: %v, want nothing", err)
	}
}

// Changes from parallel requests merge in any order: changes of different claims, and of one claim
// by its rule.
func TestParallelRequests(t *testing.T) {
	s := start(t)
	auth := waybilltest.Authority(t, claims)
	const calls = 16
	for range 2 {
		nc := connect(t, s)
		handler := newConn(t, auth, nc).Handler(func(ctx context.Context, m *waybillnats.Msg) {
			var i int
			_, err := fmt.Sscanf(m.Subject, "work.%d", &i)
			note(t, err)
			raise := func(seats int) int { return max(seats, i) }
			changes := []waybill.Change{Seats.With(raise), tag(fmt.Sprintf("t%02d", i))}
			if i == 3 {
				changes = append(changes, Cell.To("eu-4"))
			}
			note(t, waybill.Update(ctx, changes...))
			note(t, m.Respond(nil))
		})
		_, err := nc.QueueSubscribe("work.*", "workers", handler)
		check(t, err)
		flush(t, nc)
	}
	conn := newConn(t, auth, connect(t, s))
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"), Seats.To(1), Tags.To([]string{"base"}))
	want := []string{"base"}
	var wg sync.WaitGroup
	for i := range calls {
		want = append(want, fmt.Sprintf("t%02d", i))
		wg.Go(func() {
			_, err := conn.Request(timeout(t, ctx), &nats.Msg{Subject: fmt.Sprintf("work.%d", i)})
			note(t, err)
		})
	}
	wg.Wait()
	wantClaims(t, ctx, "eu-4", calls-1, want)
}

// An answer that is an error of package micro brings no changes of OnSuccess claims.
func TestErrorAnswer(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	provider, counted := count(t)
	conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
	handler := conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		note(t, waybill.Update(ctx, Seats.To(3), Coupon.To("spent")))
		note(t, m.RespondMsg(&nats.Msg{Header: nats.Header{micro.ErrorCodeHeader: {"500"}, micro.ErrorHeader: {"no"}}}))
	})
	returned := make(chan struct{}, 2)
	serve(t, nc, "fails", func(m *nats.Msg) {
		handler(m)
		returned <- struct{}{}
	})
	ctx := waybilltest.Context(t, auth, Coupon.To("good"))
	_, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: "fails"})
	check(t, err)
	wantClaims(t, ctx, "", 3, nil)
	if got, _ := Coupon.Get(ctx); got != "good" {
		t.Errorf("coupon %q, want %q", got, "good")
	}
	h := nats.Header{"Waybill": {token(t, auth, Coupon.To("good"))}}
	raw, err := nc.RequestMsg(&nats.Msg{Subject: "fails", Header: h}, patience)
	check(t, err)
	back, err := auth.Open(raw.Header.Get("Waybill-Update"))
	check(t, err)
	if got, _ := Coupon.Of(back); got != "good" {
		t.Errorf("the returned token has coupon %q, want %q", got, "good")
	}
	receive(t, returned, "the first return")
	receive(t, returned, "the second return")
	counted.want(t, "waybill.return", "answered", 2)
	counted.want(t, "waybill.return", "too_late", 0) // what an error keeps back is not late
}

// A server that does not use this library may return anything. The caller rejects tokens that it
// must not believe.
func TestReturnedTokenRejected(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	// evil makes the returned tokens from the request.
	var evil func(m *nats.Msg) []string
	serve(t, nc, "evil", func(m *nats.Msg) {
		note(t, m.RespondMsg(&nats.Msg{Header: nats.Header{"WAYBILL-Update": evil(m)}}))
	})
	serve(t, nc, "failing", func(m *nats.Msg) {
		ctx, hop := auth.Receive(t.Context(), m.Header["Waybill"], nil)
		note(t, waybill.Update(ctx, Cell.To("eu-9"), Coupon.To("spent")))
		note(t, m.RespondMsg(&nats.Msg{Header: nats.Header{
			"waybill-update": hop.Commit(waybill.Succeeded), "nats-service-error-code": {"500"},
		}}))
	})
	returned := func(m *nats.Msg) string {
		ctx, hop := auth.Receive(t.Context(), m.Header["Waybill"], nil)
		note(t, waybill.Update(ctx, Cell.To("eu-9"), Seats.To(9)))
		return hop.Commit(waybill.Succeeded)[0]
	}
	for _, c := range []struct {
		name  string
		evil  func(m *nats.Msg) []string
		opts  []waybillnats.Option
		lost  error
		cell  string
		seats int
	}{
		{"five", func(m *nats.Msg) []string { return slices.Repeat([]string{returned(m)}, 5) }, nil, waybill.ErrMalformed, "eu-3", 0},
		{"of another", func(*nats.Msg) []string { return []string{token(t, auth, Cell.To("eu-9"))} }, nil,
			waybill.ErrStale, "eu-3", 0},
		{"accepted in part", func(m *nats.Msg) []string { return []string{returned(m)} },
			[]waybillnats.Option{waybillnats.OnlyAccept(Seats)}, waybill.ErrNotAccepted, "eu-3", 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			evil = c.evil
			ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
			reply, err := newConn(t, auth, nc, c.opts...).Request(timeout(t, ctx), &nats.Msg{Subject: "evil"})
			check(t, err)
			if got := spellings(reply.Header); got != nil {
				t.Errorf("the reply has headers %q, want none", got)
			}
			cell, _ := Cell.Get(ctx)
			seats, _ := Seats.Get(ctx)
			if cell != c.cell || seats != c.seats {
				t.Errorf("cell %q, seats %d; want %q, %d", cell, seats, c.cell, c.seats)
			}
			if err := waybill.Lost(ctx); !errors.Is(err, c.lost) {
				t.Errorf("lost: %v, want %v", err, c.lost)
			}
		})
	}
	t.Run("of a failure", func(t *testing.T) {
		ctx := waybilltest.Context(t, auth, Coupon.To("good"))
		_, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: "failing"})
		check(t, err)
		cell, _ := Cell.Get(ctx)
		if coupon, _ := Coupon.Get(ctx); cell != "eu-9" || coupon != "good" {
			t.Errorf("cell %q, coupon %q; want %q, %q", cell, coupon, "eu-9", "good")
		}
	})
	t.Run("of a token that was not sent there", func(t *testing.T) {
		ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
		wb, err := waybill.FromContext(ctx)
		check(t, err)
		evil = func(*nats.Msg) []string {
			return []string{returned(&nats.Msg{Header: nats.Header{"Waybill": {wb.Token()}}})}
		}
		conn := newConn(t, auth, nc, waybillnats.OnlySubjects("other"))
		_, err = conn.Request(timeout(t, ctx), &nats.Msg{Subject: "evil"})
		check(t, err)
		wantClaims(t, ctx, "eu-3", 0, nil)
	})
	t.Run("nothing sent", func(t *testing.T) {
		evil = func(*nats.Msg) []string { return []string{token(t, auth, Cell.To("eu-9"))} }
		provider, counted := count(t)
		conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
		reply, err := conn.Request(timeout(t, t.Context()), &nats.Msg{Subject: "evil"})
		check(t, err)
		if got := spellings(reply.Header); got != nil {
			t.Errorf("the reply has headers %q, want none", got)
		}
		counted.want(t, "waybill.return", "rejected", 1)
		counted.want(t, "waybill.inject", "absent", 1)
	})
}

func TestNobodyAnswers(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	_, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: "nobody"})
	if !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("error %v, want %v", err, nats.ErrNoResponders)
	}
	wantClaims(t, ctx, "eu-3", 0, nil)
}

// A reply carries its returned token up to the last byte that max_payload allows, and otherwise
// goes without it.
func TestMaxPayload(t *testing.T) {
	const limit = 4096
	nc := connect(t, start(t, func(o *server.Options) { o.MaxPayload = limit }))
	auth := waybilltest.Authority(t, claims)
	provider, counted := count(t)
	errs := make(chan error, 1)
	handler := func(size func() int) nats.MsgHandler {
		conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
		return conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
			note(t, waybill.Update(ctx, Seats.To(5)))
			err := m.Respond(make([]byte, size()))
			errs <- err
			if err != nil {
				note(t, m.Respond([]byte("shorter")))
			}
		})
	}
	var size int
	serve(t, nc, "big", handler(func() int { return size }))

	wb := token(t, auth, Seats.To(1))
	raw, err := nc.RequestMsg(&nats.Msg{Subject: "big", Header: nats.Header{"Waybill": {wb}}}, patience)
	check(t, err)
	check(t, receive(t, errs, "the first answer"))
	returned := raw.Header.Get("Waybill-Update")
	overhead := len("NATS/1.0\r\nWaybill-Update: " + returned + "\r\n\r\n")
	counted.want(t, "waybill.return", "answered", 1)

	for _, c := range []struct {
		name  string
		size  int
		fits  bool
		body  int
		seats int
	}{
		{"both fit", limit - overhead, true, limit - overhead, 5},
		{"one byte over", limit - overhead + 1, true, limit - overhead + 1, 1},
		{"the body alone fits", limit, true, limit, 1},
		{"not even the body fits", limit + 1, false, len("shorter"), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			size = c.size
			ctx := waybilltest.Context(t, auth, Seats.To(1))
			before := counted.of(t, "waybill.return", "too_large")
			reply, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: "big"})
			check(t, err)
			if err := receive(t, errs, "the answer"); (err == nil) != c.fits {
				t.Errorf("Respond: error %v, want one: %v", err, !c.fits)
			}
			if len(reply.Data) != c.body {
				t.Errorf("reply of %d bytes, want %d", len(reply.Data), c.body)
			}
			wantClaims(t, ctx, "", c.seats, nil)
			var dropped int64
			if c.seats == 1 {
				dropped = 1
			}
			counted.want(t, "waybill.return", "too_large", before+dropped)
		})
	}
}

// A change after the last answer cannot be returned and is counted. After the handler has returned,
// it fails.
func TestTooLate(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	provider, counted := count(t)
	later := make(chan func() error, 2)
	conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
	serve(t, nc, "late", conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		note(t, waybill.Update(ctx, Seats.To(2)))
		if string(m.Data) == "now" {
			note(t, m.Respond(nil))
			note(t, waybill.Update(ctx, Seats.To(3)))
			return
		}
		later <- func() error {
			err := waybill.Update(ctx, Seats.To(4))
			return errors.Join(err, m.Respond([]byte("later")))
		}
	}))

	ctx := waybilltest.Context(t, auth, Seats.To(1))
	_, err := newConn(t, auth, nc).Request(timeout(t, ctx), &nats.Msg{Subject: "late", Data: []byte("now")})
	check(t, err)
	wantClaims(t, ctx, "", 2, nil)

	inbox := listen(t, nc, nc.NewInbox())
	m := &nats.Msg{Subject: "late", Reply: inbox.Subject, Header: nats.Header{"Waybill": {token(t, auth, Seats.To(1))}}}
	check(t, nc.PublishMsg(m))
	answer := receive(t, later, "the handler")
	// A subscription handles one message at a time: when the next is handled, the handler has
	// returned from this one.
	m.Reply = ""
	check(t, nc.PublishMsg(m))
	receive(t, later, "the handler of a message that asks for no answer")
	if err := answer(); !errors.Is(err, waybill.ErrCommitted) {
		t.Errorf("error %v after the handler returned, want %v", err, waybill.ErrCommitted)
	}
	reply := next(t, inbox)
	if string(reply.Data) != "later" || spellings(reply.Header) != nil {
		t.Errorf("late answer %q with headers %v, want %q without a token", reply.Data, reply.Header, "later")
	}
	counted.want(t, "waybill.return", "too_late", 2)
	counted.want(t, "waybill.return", "answered", 1)
}

// A panic discards the changes and continues.
func TestPanic(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	raw := listen(t, nc, "boom")
	inbox := listen(t, nc, nc.NewInbox())
	var hctx context.Context
	var hmsg *waybillnats.Msg
	provider, counted := count(t)
	conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
	handler := conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		hctx, hmsg = ctx, m
		note(t, waybill.Update(ctx, Seats.To(2)))
		panic("boom")
	})
	check(t, nc.PublishMsg(&nats.Msg{Subject: "boom", Reply: inbox.Subject,
		Header: nats.Header{"Waybill": {token(t, auth, Seats.To(1))}}}))
	m := next(t, raw)
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want %q", got, "boom")
			}
		}()
		handler(m)
	}()
	counted.want(t, "waybill.return", "too_late", 0) // it was not late
	if err := waybill.Update(hctx, Seats.To(3)); !errors.Is(err, waybill.ErrCommitted) {
		t.Errorf("Update after the panic: error %v, want %v", err, waybill.ErrCommitted)
	}
	check(t, hmsg.Respond([]byte("sorry")))
	if reply := next(t, inbox); string(reply.Data) != "sorry" || spellings(reply.Header) != nil {
		t.Errorf("answer after the panic %q with headers %v, want %q without a token", reply.Data, reply.Header, "sorry")
	}
}

// Respond fails like the method of nats.Msg.
func TestRespondErrors(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	errs := make(chan error, 1)
	serve(t, nc, "quotes", newConn(t, auth, nc).Handler(func(_ context.Context, m *waybillnats.Msg) {
		errs <- m.Respond(nil)
	}))
	check(t, nc.Publish("quotes", nil))
	if err := receive(t, errs, "the handler"); !errors.Is(err, nats.ErrMsgNoReply) {
		t.Errorf("Respond to a message without a reply subject: error %v, want %v", err, nats.ErrMsgNoReply)
	}
	// A Msg made by a test of a handler.
	raw, inbox := listen(t, nc, "plain"), listen(t, nc, nc.NewInbox())
	check(t, nc.PublishRequest("plain", inbox.Subject, nil))
	check(t, (&waybillnats.Msg{Msg: next(t, raw)}).Respond([]byte("plain")))
	if got := string(next(t, inbox).Data); got != "plain" {
		t.Errorf("answer %q, want %q", got, "plain")
	}
}

// A handler that copies the request's headers into its answer does not send the token back.
func TestEcho(t *testing.T) {
	nc := connect(t, start(t))
	auth := waybilltest.Authority(t, claims)
	serve(t, nc, "echo", newConn(t, auth, nc).Handler(func(_ context.Context, m *waybillnats.Msg) {
		note(t, m.RespondMsg(&nats.Msg{Header: m.Header}))
	}))
	wb := token(t, auth, Cell.To("eu-3"))
	m, err := nc.RequestMsg(&nats.Msg{Subject: "echo", Header: nats.Header{"WAYBILL": {wb}, "X": {"1"}}}, patience)
	check(t, err)
	if text := fmt.Sprint(m.Header); strings.Contains(text, wb) || m.Header.Get("X") != "1" {
		t.Errorf("echoed headers %s, want X without the token", text)
	}
}
