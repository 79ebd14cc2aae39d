package natstest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// foreign returns an Authority of another trust domain.
func foreign(t testing.TB, domain string) *waybill.Authority {
	t.Helper()
	set, err := keyring.NewSet(domain, generate(t))
	check(t, err)
	auth, err := waybill.New(domain, keyring.NewRing(set), claims)
	check(t, err)
	return auth
}

// send sends a message, and waits for the answer if there is one.
type send = func(context.Context, *nats.Msg) error

// senders returns all ways to send a message to a subject.
func senders(t *testing.T, conn *waybillnats.Conn, stream *waybilljetstream.JetStream) map[string]send {
	return map[string]send{
		"Publish": conn.Publish,
		"Request": func(ctx context.Context, msg *nats.Msg) error {
			_, err := conn.Request(ctx, msg)
			return err
		},
		"RequestMany": func(ctx context.Context, msg *nats.Msg) error {
			_, err := gather(t, ctx, conn, msg, waybillnats.Replies{Max: 1})
			return err
		},
		"JetStream Publish": func(ctx context.Context, msg *nats.Msg) error {
			_, err := stream.Publish(ctx, msg)
			return err
		},
		"JetStream PublishAsync": func(ctx context.Context, msg *nats.Msg) error {
			f, err := stream.PublishAsync(ctx, msg)
			if err != nil {
				return err
			}
			_, err = settled(t, f)
			return err
		},
	}
}

// newAcceptor starts a server whose stream stores and acknowledges messages to "sent.>". raw gets a
// copy of each message.
func newAcceptor(t *testing.T) (nc *nats.Conn, js jetstream.JetStream, raw *nats.Subscription) {
	nc = connect(t, start(t))
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	check(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SENT", Subjects: []string{"sent.>"}})
	check(t, err)
	return nc, js, listen(t, nc, "sent.>")
}

// A waybill of another Authority of the same process is not sent: the message goes without it.
func TestForeignDomain(t *testing.T) {
	nc, js, raw := newAcceptor(t)
	auth, other := waybilltest.Authority(t, claims), foreign(t, "bank")
	now := newClock(0)
	expiring, err := waybill.New(waybilltest.Domain, ringOf(t, generate(t)), claims, now.option())
	check(t, err)
	expired := waybilltest.Context(t, expiring, Cell.To("secret-cell"))
	now.set(time.Hour)
	provider, counted := count(t)
	for name, send := range senders(t,
		newConn(t, auth, nc, waybillnats.MeterProvider(provider)),
		newStream(t, auth, js, waybilljetstream.MeterProvider(provider))) {
		t.Run(name, func(t *testing.T) {
			for what, ctx := range map[string]context.Context{
				"another domain": waybilltest.Context(t, other, Cell.To("secret-cell")),
				"another Authority of the domain": waybilltest.Context(t,
					waybilltest.Authority(t, claims), Cell.To("secret-cell")),
				"another Authority, expired": expired,
			} {
				before := counted.of(t, "waybill.inject", "foreign_domain")
				msg := &nats.Msg{Subject: "sent.foreign", Header: nats.Header{"X": {"1"}}}
				check(t, send(timeout(t, ctx), msg))
				m := next(t, raw)
				if got := spellings(m.Header); got != nil || m.Header.Get("X") != "1" {
					t.Errorf("%s: headers %v were sent, want X and no waybill", what, m.Header)
				}
				counted.want(t, "waybill.inject", "foreign_domain", before+1)
			}
			check(t, send(timeout(t, waybilltest.Context(t, auth, Cell.To("eu-3"))), &nats.Msg{Subject: "sent.own"}))
			if got := spellings(next(t, raw).Header); len(got) != 1 {
				t.Errorf("own waybill: headers %q, want one", got)
			}
		})
	}
	counted.want(t, "waybill.inject", "sent", 5)
	counted.want(t, "waybill.inject", "foreign_domain", 15)
	counted.want(t, "waybill.inject", "expired", 0)
}

// A reply to a request that carried no waybill, because it is of another Authority, changes
// nothing.
func TestForeignDomainReply(t *testing.T) {
	nc := connect(t, start(t))
	auth, other := waybilltest.Authority(t, claims), foreign(t, "bank")
	serve(t, nc, "evil", func(m *nats.Msg) {
		note(t, m.RespondMsg(&nats.Msg{Header: nats.Header{"Waybill-Update": {token(t, other, Cell.To("eu-9"))}}}))
	})
	provider, counted := count(t)
	ctx := waybilltest.Context(t, other, Cell.To("eu-3"))
	conn := newConn(t, auth, nc, waybillnats.MeterProvider(provider))
	_, err := conn.Request(timeout(t, ctx), &nats.Msg{Subject: "evil"})
	check(t, err)
	wantClaims(t, ctx, "eu-3", 0, nil)
	counted.want(t, "waybill.return", "rejected", 1)
}
