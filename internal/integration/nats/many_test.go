package natstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// gather ranges over all replies, and returns their bodies, sorted, and the error at the end.
func gather(t testing.TB, ctx context.Context, conn *waybillnats.Conn, msg *nats.Msg,
	replies waybillnats.Replies) (bodies []string, last error) {
	t.Helper()
	for reply, err := range conn.RequestMany(ctx, msg, replies) {
		switch {
		case last != nil:
			t.Errorf("an element after the error %v", last)
		case err != nil:
			if last = err; reply != nil {
				t.Errorf("reply %q together with the error %v", reply.Data, err)
			}
		default:
			if got := spellings(reply.Header); got != nil {
				t.Errorf("the reply has headers %q, want none", got)
			}
			bodies = append(bodies, string(reply.Data))
		}
	}
	slices.Sort(bodies)
	return bodies, last
}

// answers serves "all" on three connections. The second one answers three times.
func answers(t testing.TB, s *server.Server, auth *waybill.Authority) {
	for i := range 3 {
		nc := connect(t, s)
		serve(t, nc, "all", newConn(t, auth, nc).Handler(func(ctx context.Context, m *waybillnats.Msg) {
			note(t, waybill.Update(ctx, Seats.To(i), tag(fmt.Sprint("a", i))))
			note(t, m.Respond(fmt.Append(nil, i)))
			if i == 1 {
				note(t, waybill.Update(ctx, Cell.To("eu-4")))
				note(t, m.Respond([]byte("1, again")))
				note(t, m.Respond([]byte("1, nothing new")))
			}
		}))
	}
}

var allAnswers = []string{"0", "1", "1, again", "1, nothing new", "2"}

// All replies are merged, in any order, each compared with the token that was sent.
func TestRequestMany(t *testing.T) {
	t.Parallel()
	s := start(t)
	auth := waybilltest.Authority(t, claims)
	answers(t, s, auth)
	nc := connect(t, s)
	for _, c := range []struct {
		name    string
		replies waybillnats.Replies
		wait    time.Duration
	}{
		{"Max", waybillnats.Replies{Max: len(allAnswers)}, patience},
		{"Stall", waybillnats.Replies{Stall: 3 * time.Second}, patience},
		{"deadline", waybillnats.Replies{}, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(waybilltest.Context(t, auth, Cell.To("eu-3")), c.wait)
			defer cancel()
			provider, counted := count(t)
			msg := &nats.Msg{Subject: "all", Reply: "mine", Header: nats.Header{"waybill": {"by hand"}}}
			got, err := gather(t, ctx, newConn(t, auth, nc, waybillnats.MeterProvider(provider)), msg, c.replies)
			check(t, err)
			if !slices.Equal(got, allAnswers) {
				t.Errorf("replies %q, want %q", got, allAnswers)
			}
			wantClaims(t, ctx, "eu-4", 2, []string{"a0", "a1", "a2"})
			counted.want(t, "waybill.inject", "sent", 1)
			if msg.Reply != "mine" || msg.Header["waybill"] == nil {
				t.Errorf("the caller's message became %v", msg)
			}
		})
	}
}

// A reply is merged before it is yielded. After the loop is left, no further reply is merged.
func TestRequestManyLeft(t *testing.T) {
	s := start(t)
	auth := waybilltest.Authority(t, claims)
	nc := connect(t, s)
	answered := make(chan struct{}) // all of it: the connection must be there until then
	serve(t, nc, "count", newConn(t, auth, nc).Handler(func(ctx context.Context, m *waybillnats.Msg) {
		defer close(answered)
		for i := range 10 {
			note(t, waybill.Update(ctx, Seats.To(i+1)))
			note(t, m.Respond(nil))
		}
	}))
	ctx := waybilltest.Context(t, auth)
	n := 0
	ask := &nats.Msg{Subject: "count"}
	for _, err := range newConn(t, auth, nc).RequestMany(timeout(t, ctx), ask, waybillnats.Replies{}) {
		check(t, err)
		if n++; n == 3 {
			break
		}
	}
	wantClaims(t, ctx, "", 3, nil)
	<-answered
	flush(t, nc)
	if subs := nc.NumSubscriptions(); subs != 1 {
		t.Errorf("%d subscriptions after the loop, want only the service's", subs)
	}
}

// Refusals and errors of package micro are yielded like other replies, and bring no changes of
// OnSuccess claims.
func TestRequestManyErrorReplies(t *testing.T) {
	s := start(t)
	auth := waybilltest.Authority(t, claims)
	nc := connect(t, s)
	demanding := newConn(t, auth, nc, waybillnats.RequireClaims(Tags))
	serve(t, nc, "mixed", demanding.Handler(func(context.Context, *waybillnats.Msg) {
		t.Error("the handler runs without the claim that it requires")
	}))
	other := connect(t, s)
	serveMicro(t, other, "mixed", newConn(t, auth, other).MicroHandler(func(ctx context.Context, r micro.Request) {
		note(t, waybill.Update(ctx, Seats.To(3), Coupon.To("spent")))
		note(t, r.Error("409", "sold out", nil))
	}))
	ctx := waybilltest.Context(t, auth, Coupon.To("good"))
	codes := []string{}
	for reply, err := range newConn(t, auth, nc).RequestMany(timeout(t, ctx), &nats.Msg{Subject: "mixed"},
		waybillnats.Replies{Max: 2}) {
		check(t, err)
		codes = append(codes, reply.Header.Get(micro.ErrorCodeHeader))
	}
	slices.Sort(codes)
	if want := []string{"403", "409"}; !slices.Equal(codes, want) {
		t.Errorf("codes %q, want %q", codes, want)
	}
	wantClaims(t, ctx, "", 3, nil)
	if got, _ := Coupon.Get(ctx); got != "good" {
		t.Errorf("coupon %q, want %q", got, "good")
	}
}

// A sequence that is not complete ends with an error, which is the last element.
func TestRequestManyEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	auth := waybilltest.Authority(t, claims)
	now := newClock(0)
	aging := waybilltest.Authority(t, claims, now.option())
	answers(t, s, auth)
	nc, closed := connect(t, s), connect(t, s)
	closed.Close()
	listen(t, nc, "silent")
	expired := waybilltest.Context(t, aging, Cell.To("eu-3"))
	now.set(time.Hour)
	for _, c := range []struct {
		name    string
		auth    *waybill.Authority
		ctx     context.Context
		nc      *nats.Conn
		msg     *nats.Msg
		ask     waybillnats.Replies
		end     func(context.Context) (context.Context, context.CancelFunc)
		replies int
		err     error
	}{
		{name: "nobody", msg: &nats.Msg{Subject: "nobody"}, err: nats.ErrNoResponders},
		{name: "too few by the deadline", ask: waybillnats.Replies{Max: 9}, end: soon, replies: 5,
			err: context.DeadlineExceeded},
		{name: "too few by the deadline, stalling later", ask: waybillnats.Replies{Max: 9, Stall: patience},
			end: soon, replies: 5, err: context.DeadlineExceeded},
		{name: "too few, but stalled", ask: waybillnats.Replies{Max: 9, Stall: 3 * time.Second}, replies: 5},
		{name: "silence", msg: &nats.Msg{Subject: "silent"}, end: soon},
		{name: "silence has no stall", msg: &nats.Msg{Subject: "silent"}, end: soon,
			ask: waybillnats.Replies{Max: 1, Stall: time.Millisecond}, err: context.DeadlineExceeded},
		{name: "cancelled", end: cancelled, err: context.Canceled},
		{name: "closed", nc: closed, err: nats.ErrConnectionClosed},
		{name: "no message", msg: (*nats.Msg)(nil), err: nats.ErrInvalidMsg},
		{name: "expired", auth: aging, ctx: expired, err: waybill.ErrExpired},
		{name: "negative Max", ask: waybillnats.Replies{Max: -1}, err: errAny},
		{name: "negative Stall", ask: waybillnats.Replies{Stall: -1}, err: errAny},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.auth == nil {
				c.auth = auth
			}
			if c.ctx == nil {
				c.ctx = waybilltest.Context(t, auth)
			}
			if c.nc == nil {
				c.nc = nc
			}
			if c.msg == nil && c.err != nats.ErrInvalidMsg {
				c.msg = &nats.Msg{Subject: "all"}
			}
			if c.end == nil {
				c.end = func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeout(ctx, patience)
				}
			}
			ctx, stop := c.end(c.ctx)
			defer stop()
			got, err := gather(t, ctx, newConn(t, c.auth, c.nc), c.msg, c.ask)
			if len(got) != c.replies {
				t.Errorf("%d replies, want %d", len(got), c.replies)
			}
			if !errors.Is(err, c.err) && (c.err != errAny || err == nil) {
				t.Errorf("error %v, want %v", err, c.err)
			}
		})
	}
}

var errAny = errors.New("any error")

func soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 3*time.Second)
}

func cancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}
