package natstest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	"github.com/waybill-go/waybill/waybilltest"
)

// peer is a service that the handler of a durable message calls. It reports the cell that it saw.
type peer struct {
	grpc_testing.UnimplementedTestServiceServer
	saw chan string
}

func (p peer) see(ctx context.Context) {
	cell, _ := Cell.Get(ctx)
	p.saw <- cell
}

func (p peer) ServeHTTP(_ http.ResponseWriter, r *http.Request) { p.see(r.Context()) }

func (p peer) EmptyCall(ctx context.Context, _ *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	p.see(ctx)
	return &grpc_testing.Empty{}, nil
}

// call is an onward call, in the context of a message.
type call = func(ctx context.Context) error

func (p peer) http(t *testing.T, auth *waybill.Authority) call {
	side, err := waybillhttp.NewServer(auth, waybillhttp.Required())
	check(t, err)
	server := httptest.NewTLSServer(side.Middleware(p))
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL)
	check(t, err)
	client := server.Client()
	client.Transport, err = waybillhttp.NewTransport(auth, client.Transport, waybillhttp.AllowHosts(target.Host))
	check(t, err)
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %s, want 200", res.Status)
		}
		return res.Body.Close()
	}
}

func (p peer) grpc(t *testing.T, auth *waybill.Authority) call {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	receiver, err := waybillgrpc.NewServer(auth, waybillgrpc.Required())
	check(t, err)
	sender, err := waybillgrpc.NewClient(auth, waybillgrpc.AllowPlaintext())
	check(t, err)
	server := grpc.NewServer(receiver.ServerOptions()...)
	grpc_testing.RegisterTestServiceServer(server, p)
	go func() { note(t, server.Serve(listener)) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), append(sender.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	check(t, err)
	t.Cleanup(func() { note(t, conn.Close()) })
	client := grpc_testing.NewTestServiceClient(conn)
	return func(ctx context.Context) error {
		_, err := client.EmptyCall(ctx, &grpc_testing.Empty{})
		return err
	}
}

// nats returns the calls of auth over NATS to one subscriber, which has its own Authority.
func (p peer) nats(t *testing.T, auth, own *waybill.Authority, q *queue) map[string]call {
	subscriber := newConn(t, own, q.nc, waybillnats.Required())
	serve(t, q.nc, "onward", subscriber.Handler(func(ctx context.Context, m *waybillnats.Msg) {
		p.see(ctx)
		if m.Reply != "" {
			note(t, m.Respond(nil))
		}
	}))
	_, err := q.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ONWARD", Subjects: []string{"stream.onward"}})
	check(t, err)
	// A subscriber judges messages to the stream, because the services' clocks are two hours ahead
	// of the server's.
	serve(t, q.nc, "stream.onward", subscriber.Handler(func(ctx context.Context, _ *waybillnats.Msg) { p.see(ctx) }))
	conn, stream := newConn(t, auth, q.nc), newStream(t, auth, q.js)
	msg := &nats.Msg{Subject: "onward"}
	return map[string]call{
		"Publish": func(ctx context.Context) error { return conn.Publish(ctx, msg) },
		"Request": func(ctx context.Context) error {
			_, err := conn.Request(ctx, msg)
			return err
		},
		"RequestMany": func(ctx context.Context) error {
			_, err := gather(t, ctx, conn, msg, waybillnats.Replies{Max: 1})
			return err
		},
		"stream Publish": func(ctx context.Context) error {
			_, err := stream.Publish(ctx, &nats.Msg{Subject: "stream.onward"})
			return err
		},
		"stream PublishAsync": func(ctx context.Context) error {
			future, err := stream.PublishAsync(ctx, &nats.Msg{Subject: "stream.onward"})
			if err != nil {
				return err
			}
			select {
			case <-future.Ok():
				return nil
			case err := <-future.Err():
				return err
			}
		},
	}
}

// A handler of a durable message must send on a fresh waybill. Every transport refuses to send an
// expired one, with an error that says what to do, and the peer accepts it once it is reissued.
func TestOnward(t *testing.T) {
	q := newQueue(t)
	later := newClock(2 * time.Hour).option()
	auth := waybilltest.Authority(t, claims, later)
	p := peer{saw: make(chan string, 8)}
	calls := p.nats(t, auth, waybilltest.Authority(t, claims, later), q)
	calls["HTTP"], calls["gRPC"] = p.http(t, auth), p.grpc(t, auth)
	stream, consumer := newStream(t, auth, q.js), q.consumer(t)
	for range calls {
		q.publish(t, waybilltest.Authority(t, claims), "", Cell.To("eu-3"))
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			m, err := consumer.Next(jetstream.FetchMaxWait(patience))
			check(t, err)
			ctx, err := stream.Open(t.Context(), m)
			check(t, err)
			defer func() { note(t, stream.Settle(ctx, m, nil)) }()
			err = call(timeout(t, ctx))
			if err == nil || !errors.Is(err, waybill.ErrExpired) && !strings.Contains(err.Error(), "expired") {
				t.Fatalf("without Reissue: error %v, want %v", err, waybill.ErrExpired)
			}
			if !strings.Contains(err.Error(), "Reissue") {
				t.Errorf("without Reissue: error %q, want the advice to call it", err)
			}
			if n := len(p.saw); n != 0 {
				t.Fatalf("the peer got %d calls, want none", n)
			}
			fresh, err := waybill.Reissue(ctx)
			check(t, err)
			check(t, call(timeout(t, fresh)))
			if got := receive(t, p.saw, "the peer"); got != "eu-3" {
				t.Errorf("the peer saw cell %q, want %q", got, "eu-3")
			}
		})
	}
}
