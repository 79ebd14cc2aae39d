package readme

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// The functions below contain the snippets of docs/transports.md, and pass what these make to use.

func overHTTP(auth *waybill.Authority, mux http.Handler, use func(http.Handler, *http.Client)) error {
	server, err := waybillhttp.NewServer(auth, waybillhttp.RequireClaims(Cell))
	if err != nil {
		return err
	}
	handler := server.Middleware(mux)
	transport, err := waybillhttp.NewTransport(auth, http.DefaultTransport, waybillhttp.AllowHosts("*.shop.internal"))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport}

	use(handler, client)
	return nil
}

func overGRPC(auth *waybill.Authority, target string, creds credentials.TransportCredentials,
	use func(*grpc.Server, *grpc.ClientConn)) error {
	server, err := waybillgrpc.NewServer(auth, waybillgrpc.Required())
	if err != nil {
		return err
	}
	srv := grpc.NewServer(append(server.ServerOptions(), grpc.Creds(creds))...)
	client, err := waybillgrpc.NewClient(auth)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(target, append(client.DialOptions(), grpc.WithTransportCredentials(creds))...)

	if err != nil {
		return err
	}
	use(srv, conn)
	return nil
}

func overNATS(auth *waybill.Authority, nc *nats.Conn, use func(*waybillnats.Conn)) error {
	bus, err := waybillnats.New(auth, nc)
	if err != nil {
		return err
	}
	quote := func(ctx context.Context, m *waybillnats.Msg) {
		err := waybill.Update(ctx, Seats.To(2))
		if err = errors.Join(err, m.Respond([]byte("42"))); err != nil {
			slog.WarnContext(ctx, "quote failed", "error", err)
		}
	}
	sub, err := nc.QueueSubscribe("quotes", "pricing", bus.Handler(quote))

	if err != nil {
		return err
	}
	use(bus)
	return sub.Unsubscribe()
}

func overJetStream(ctx context.Context, auth *waybill.Authority, js jetstream.JetStream, consumer jetstream.Consumer,
	use func(*waybilljetstream.JetStream)) error {
	durable, err := waybilljetstream.New(auth, js, waybilljetstream.DeadLetter("dead.tickets"))
	if err != nil {
		return err
	}
	ticket := func(ctx context.Context, m jetstream.Msg) error {
		_, err := Cell.Lookup(ctx)
		return err
	}
	run, err := durable.Consume(ctx, consumer, ticket)

	if err != nil {
		return err
	}
	defer run.Stop()
	use(durable)
	return nil
}

func TestTransportsHTTP(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats))
	mux := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	err := overHTTP(auth, mux, func(handler http.Handler, client *http.Client) {
		for _, test := range []struct {
			claims []waybill.Change
			want   int
		}{{[]waybill.Change{Cell.To("eu-3")}, 200}, {nil, 403}} {
			wb, err := auth.Issue(test.claims...)
			if err != nil {
				t.Fatal(err)
			}
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.Header.Set("Waybill", wb.Token())
			handler.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("claims %v: got status %d, want %d", test.claims, w.Code, test.want)
			}
		}
		client.CloseIdleConnections()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTransportsGRPC(t *testing.T) {
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats))
	err := overGRPC(auth, "127.0.0.1:1", insecure.NewCredentials(), func(srv *grpc.Server, conn *grpc.ClientConn) {
		srv.Stop()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTransportsNATS(t *testing.T) {
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready after 10 s")
	}
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats))
	ctx, cancel := context.WithTimeout(waybilltest.Context(t, auth, Cell.To("eu-3"), Seats.To(1)), 20*time.Second)
	defer cancel()

	err = overNATS(auth, nc, func(bus *waybillnats.Conn) {
		reply, err := bus.Request(ctx, nats.NewMsg("quotes"))
		if err != nil || string(reply.Data) != "42" {
			t.Errorf("got %v, %v, want 42", reply, err)
		}
		if seats, _ := Seats.Get(ctx); seats != 2 {
			t.Errorf("got %d seats, want 2", seats)
		}
	})
	if err != nil {
		t.Error(err)
	}

	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "tickets", Subjects: []string{"tickets"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "tickets"})
	if err != nil {
		t.Fatal(err)
	}
	err = overJetStream(ctx, auth, js, consumer, func(durable *waybilljetstream.JetStream) {
		if _, err := durable.Publish(ctx, nats.NewMsg("tickets")); err != nil {
			t.Error(err)
		}
		until(t, "the message is acknowledged", func() bool {
			info, err := stream.Info(ctx)
			return err == nil && info.State.LastSeq == 1 && info.State.Msgs == 0
		})
	})
	if err != nil {
		t.Error(err)
	}
}
