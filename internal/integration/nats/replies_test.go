package natstest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// asked is a request to the subject, with a waybill and the reply subject.
func asked(t testing.TB, auth *waybill.Authority, subject, reply string) *nats.Msg {
	t.Helper()
	return &nats.Msg{Subject: subject, Reply: reply, Header: nats.Header{"Waybill": {token(t, auth, Cell.To("eu-3"))}}}
}

// changing serves two subjects whose handlers change a claim and answer, one of them with micro.
func changing(t testing.TB, nc *nats.Conn, conn *waybillnats.Conn, name string) (plain, service string) {
	t.Helper()
	serve(t, nc, name+"-plain", conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		note(t, waybill.Update(ctx, Seats.To(2)))
		note(t, m.RespondMsg(&nats.Msg{Data: []byte("done"), Header: m.Header}))
	}))
	serveMicro(t, nc, name+"-micro", conn.MicroHandler(func(ctx context.Context, r micro.Request) {
		note(t, waybill.Update(ctx, Seats.To(2)))
		note(t, r.Respond([]byte("done")))
	}))
	return name + "-plain", name + "-micro"
}

// Changes are returned to inboxes, or to the subjects of OnlyReplies, and not to any subject that a
// request names. The answer itself is sent in any case.
func TestReturnedOnlyToInboxes(t *testing.T) {
	s := start(t)
	nc := connect(t, s)
	auth := waybilltest.Authority(t, claims)
	own, err := nats.Connect(s.ClientURL(), nats.CustomInboxPrefix("mine.inbox"))
	check(t, err)
	t.Cleanup(own.Close)
	type opts = []waybillnats.Option
	for i, c := range []struct {
		nc      *nats.Conn
		opts    opts
		reply   string
		returns bool
	}{
		{nc, nil, nats.NewInbox(), true},
		{nc, nil, nats.NewInbox() + ".x1Y2z3A4", true},
		{nc, nil, own.NewInbox(), true},
		{nc, nil, own.NewInbox() + ".1", true},
		{nc, nil, "_INBOX_ann.1", true},
		{nc, nil, "events.audit", false},
		{nc, nil, "mine.inbox.1", false},
		{own, nil, "mine.inbox.1", true},
		{own, nil, "mine.inboxes.1", false},
		{nc, nil, "$events." + strings.Repeat("a", 22), false},
		{nc, nil, "orders." + strings.Repeat("a", 22) + ".item.created", false},
		{nc, nil, strings.Repeat("a", 22), false},
		{nc, opts{waybillnats.OnlyReplies("events.*")}, "events.audit", true},
		{nc, opts{waybillnats.OnlyReplies("events.*")}, nats.NewInbox(), false},
		{nc, opts{waybillnats.OnlyReplies("_INBOX.>"), waybillnats.OnlyReplies("events.*")}, nats.NewInbox(), true},
	} {
		t.Run(fmt.Sprint(i, " ", c.reply), func(t *testing.T) {
			provider, counted := count(t)
			conn := newConn(t, auth, c.nc, append(c.opts, waybillnats.MeterProvider(provider))...)
			plain, service := changing(t, c.nc, conn, fmt.Sprint("changing", i))
			sub := listen(t, nc, c.reply)
			for n, subject := range []string{plain, service} {
				check(t, nc.PublishMsg(asked(t, auth, subject, c.reply)))
				m := next(t, sub)
				if string(m.Data) != "done" {
					t.Errorf("%s: answer %q, want done", subject, m.Data)
				}
				if got := len(spellings(m.Header)) > 0; got != c.returns {
					t.Errorf("%s: the answer has a returned token: %v, want %v", subject, got, c.returns)
				}
				outcome := map[bool]string{true: "answered", false: "suppressed"}[c.returns]
				wait(t, func() bool { return counted.of(t, "waybill.return", outcome) == int64(n+1) },
					"waybill.return{outcome="+outcome+"}")
			}
			counted.want(t, "waybill.return", "too_late", 0)
		})
	}
}

// Requests across accounts, whose reply subjects the server replaces, bring changes back.
func TestReturnedAcrossAccounts(t *testing.T) {
	s := startFile(t, `accounts {
		A { users: [{user: a, password: a}], exports: [{service: "shared-plain"}] }
		B { users: [{user: b, password: b}], imports: [{service: {account: A, subject: "shared-plain"}}] }
	}`)
	auth := waybilltest.Authority(t, claims)
	as := func(user string) *nats.Conn {
		nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, user))
		check(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	a, b := as("a"), as("b")
	changing(t, a, newConn(t, auth, a), "shared")
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))
	_, err := newConn(t, auth, b).Request(timeout(t, ctx), &nats.Msg{Subject: "shared-plain"})
	check(t, err)
	wantClaims(t, ctx, "eu-3", 2, nil)
}

// startFile runs a server with a configuration file until the test ends.
func startFile(t testing.TB, text string) *server.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.conf")
	check(t, os.WriteFile(file, []byte(text), 0o600))
	opts, err := server.ProcessConfigFile(file)
	check(t, err)
	return start(t, func(o *server.Options) {
		host, port, dir := o.Host, o.Port, o.StoreDir
		*o = *opts
		o.Host, o.Port, o.StoreDir, o.NoLog, o.NoSigs = host, port, dir, true, true
	})
}

// No trace event of the server contains a token: not for a destination that a message names, and
// not for the account's, which sampled trace contexts use. Messages without a waybill are traced.
func TestTraceEventsContainNoToken(t *testing.T) {
	s := startFile(t, `accounts {
		A { users: [{user: a, password: a}], msg_trace: {dest: "events.account", sampling: 100} }
	}`)
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("a", "a"))
	check(t, err)
	t.Cleanup(nc.Close)
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth)
	tracers, _ := record(t)
	conn := newConn(t, auth, nc, waybillnats.TracerProvider(tracers))
	events := listen(t, nc, "events.>")
	const parent = "00-01000000000000000000000000000000-0200000000000000-01"
	headers := map[string]nats.Header{
		"plain":   nil,
		"named":   {"Nats-Trace-Dest": {"events.named"}},
		"sampled": {"TraceParent": {parent}},
		"both":    {"Nats-Trace-Dest": {"events.named"}, "traceparent": {parent}},
	}
	sampled := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}))
	for name, h := range headers {
		serve(t, nc, name, conn.Handler(func(ctx context.Context, m *waybillnats.Msg) {
			note(t, waybill.Update(ctx, Seats.To(2)))
			note(t, m.RespondMsg(&nats.Msg{Header: h}))
		}))
		serveMicro(t, nc, name+"-micro", conn.MicroHandler(func(ctx context.Context, r micro.Request) {
			note(t, waybill.Update(ctx, Seats.To(2)))
			note(t, r.Respond(nil, micro.WithHeaders(micro.Headers(h))))
		}))
		for _, subject := range []string{name, name + "-micro"} {
			ctx, err := auth.Start(sampled, Cell.To("eu-3"))
			check(t, err)
			_, err = conn.Request(timeout(t, ctx), &nats.Msg{Subject: subject, Header: h})
			check(t, err)
			wantClaims(t, ctx, "eu-3", 2, nil)
		}
	}
	// The server sends its events in order, so these two are the first if there were none before.
	check(t, conn.Publish(sampled, &nats.Msg{Subject: "untold"}))
	check(t, conn.Publish(t.Context(), &nats.Msg{Subject: "untold", Header: nats.Header{"Nats-Trace-Dest": {"events.named"}}}))
	for _, want := range []string{"events.account", "events.named"} {
		if m := next(t, events); m.Subject != want || !strings.Contains(string(m.Data), `"untold"`) {
			t.Errorf("trace event on %s, want one on %s about a message to untold: %s", m.Subject, want, m.Data)
		}
	}
}

// A message that fits only without its trace, or without its waybill, is sent so, and the loss of
// the waybill is counted. A message that does not fit alone is an error.
func TestMessageFitsWithoutWaybill(t *testing.T) {
	const limit = 1024
	s := start(t, func(o *server.Options) { o.MaxPayload = limit })
	nc := connect(t, s)
	auth := waybilltest.Authority(t, claims)
	propagate(t, auth)
	tracers, _ := record(t)
	ctx, root := tracers.Tracer("test").Start(waybilltest.Context(t, auth, Cell.To("eu-3")), "root")
	defer root.End()
	wb, err := waybill.FromContext(ctx)
	check(t, err)
	withToken := nats.Msg{Header: nats.Header{"Waybill": {wb.Token()}}}
	header := withToken.Size()
	serve(t, nc, "echo", func(m *nats.Msg) {
		if m.Reply != "" {
			note(t, m.Respond(nil))
		}
	})
	raw := listen(t, nc, "echo")
	for _, c := range []struct {
		name          string
		size          int
		trace, letter bool
		err           error
	}{
		{"both fit", 0, true, true, nil},
		{"the waybill fits", limit - header - 1, false, true, nil},
		{"neither fits", limit - header + len("NATS/1.0\r\n\r\n") + 1, false, false, nil},
		{"alone", limit, false, false, nil},
		{"not alone", limit + 1, false, false, nats.ErrMaxPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			provider, counted := count(t)
			conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider), waybillnats.TracerProvider(tracers))
			for name, send := range map[string]send{"Publish": conn.Publish, "Request": request(conn),
				"RequestMany": func(ctx context.Context, msg *nats.Msg) error {
					_, err := gather(t, ctx, conn, msg, waybillnats.Replies{Max: 1})
					return err
				}} {
				before := counted.of(t, "waybill.inject", "too_large")
				err := send(timeout(t, ctx), &nats.Msg{Subject: "echo", Data: make([]byte, c.size)})
				if err != c.err {
					t.Fatalf("%s: error %v, want %v", name, err, c.err)
				}
				if c.err != nil {
					continue
				}
				m := next(t, raw)
				if got := m.Header.Get("traceparent") != ""; got != c.trace {
					t.Errorf("%s: the message has a trace: %v, want %v", name, got, c.trace)
				}
				if got := len(spellings(m.Header)) > 0; got != c.letter {
					t.Errorf("%s: the message has a waybill: %v, want %v", name, got, c.letter)
				}
				if got := counted.of(t, "waybill.inject", "too_large") - before; (got == 1) == c.letter {
					t.Errorf("%s: counted too_large %d times, want once for a message that lost its waybill", name, got)
				}
			}
		})
	}
}

// A dead letter has the token and the trace of its original, and causes no trace event.
func TestDeadLetterStartsNoTrace(t *testing.T) {
	s := startFile(t, `jetstream: {}
	accounts {
		A { jetstream: enabled, users: [{user: a, password: a}], msg_trace: {dest: "events.account", sampling: 100} }
	}`)
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("a", "a"))
	check(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	check(t, err)
	source, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SOURCE", Subjects: []string{"source"}})
	check(t, err)
	dead, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead"}})
	check(t, err)
	cons, err := source.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	check(t, err)
	auth := waybilltest.Authority(t, claims)
	events := listen(t, nc, "events.>")
	stream := newStream(t, auth, js, waybilljetstream.DeadLetter("dead"), waybilljetstream.RequireClaims(Seats))
	h := nats.Header{"Waybill": {token(t, auth, Cell.To("eu-3"))}, "Nats-Trace-Dest": {"trace disabled"},
		"traceparent": {"00-01000000000000000000000000000000-0200000000000000-01"}}
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: "source", Header: h})
	check(t, err)
	m, err := cons.Next(jetstream.FetchMaxWait(patience))
	check(t, err)
	ctx, err := stream.Open(t.Context(), m)
	check(t, stream.Settle(ctx, m, err))
	letter, err := dead.GetLastMsgForSubject(t.Context(), "dead")
	check(t, err)
	if len(spellings(letter.Header)) != 1 || letter.Header.Get("traceparent") == "" {
		t.Errorf("the dead letter has headers %v, want the token and the trace", letter.Header)
	}
	delete(h, "Waybill")
	delete(h, "Nats-Trace-Dest")
	check(t, nc.PublishMsg(&nats.Msg{Subject: "untold", Header: h}))
	if m := next(t, events); !strings.Contains(string(m.Data), `"untold"`) {
		t.Errorf("a trace event about another message than the one to untold: %s", m.Data)
	}
}
