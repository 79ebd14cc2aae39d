// Package readme runs the snippets of the README in one piece: a browser's request to an HTTP server, which calls a gRPC
// server, which asks a NATS service and publishes to a stream.
package readme

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	waybillnats "github.com/waybill-go/waybill/transport/nats"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// ringFile writes what "waybill keys new" writes.
func ringFile(t *testing.T, path string) {
	t.Helper()
	set, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, set.SecretJWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// health is a gRPC service whose handler is run.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	handle func(context.Context) error
}

func (h health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, h.handle(ctx)
}

// services is the README's services in one process. Each of its fields is a snippet's result.
type services struct {
	auth    *waybill.Authority
	handler http.Handler
	nc      *nats.Conn
	js      jetstream.JetStream
	conn    *grpc.ClientConn

	quote  func(context.Context, *waybillnats.Msg)
	ticket func(context.Context, jetstream.Msg) error
	closes []func()
}

func (f *services) close() {
	for _, c := range f.closes {
		c()
	}
}

func (f *services) start(ctx context.Context, creds, clientCreds credentials.TransportCredentials, listener net.Listener) error {
	nc, js, quote, ticket := f.nc, f.js, f.quote, f.ticket

	ring, err := keyring.LoadFile(ctx, "ring.jwks") // follows the file: a new one replaces the keys
	if err != nil {
		return err
	}
	auth, err := waybill.New("shop", ring, waybill.Claims(Cell, Seats))
	if err != nil {
		return err
	}

	f.auth = auth
	f.closes = append(f.closes, func() { ring.Close() })

	messages, err := waybillnats.New(auth, nc)
	if err != nil {
		return err
	}
	sub, err := nc.QueueSubscribe("quotes", "pricing", messages.Handler(quote))

	if err != nil {
		return err
	}
	f.closes = append(f.closes, func() { sub.Unsubscribe() })
	consumer, err := js.CreateOrUpdateConsumer(ctx, "orders", jetstream.ConsumerConfig{Durable: "tickets", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}

	streams, err := waybilljetstream.New(auth, js)
	if err != nil {
		return err
	}
	run, err := streams.Consume(ctx, consumer, ticket)

	if err != nil {
		return err
	}
	f.closes = append(f.closes, run.Stop)

	incoming, err := waybillgrpc.NewServer(auth, waybillgrpc.Required())
	if err != nil {
		return err
	}
	server := grpc.NewServer(append(incoming.ServerOptions(), grpc.Creds(creds))...)

	grpc_health_v1.RegisterHealthServer(server, health{handle: func(ctx context.Context) error {
		reply, err := messages.Request(ctx, nats.NewMsg("quotes"))

		if err != nil {
			return err
		}
		if string(reply.Data) != "42 EUR" {
			return fmt.Errorf("quote: got %q", reply.Data)
		}

		_, err = streams.Publish(ctx, nats.NewMsg("orders.placed"))

		return err
	}})
	go server.Serve(listener)
	f.closes = append(f.closes, server.Stop)
	if err := f.dial(listener.Addr().String(), clientCreds); err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /book", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if _, err := grpc_health_v1.NewHealthClient(f.conn).Check(ctx, new(grpc_health_v1.HealthCheckRequest)); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}

		cell, ok := Cell.Get(ctx)       // verified
		seats, err := Seats.Lookup(ctx) // the error distinguishes absent from ill-typed

		fmt.Fprint(w, cell, ok, seats, err)
	})

	start := func(r *http.Request) ([]waybill.Change, error) {
		return []waybill.Change{Cell.To("eu-3")}, nil
	}
	edge, err := waybillhttp.NewEdge(auth, waybillhttp.Cookies(), waybillhttp.StartWith(start))
	if err != nil {
		return err
	}
	handler := edge.Middleware(mux)

	calls, err := waybillhttp.NewTransport(auth, nil, waybillhttp.AllowHosts("*.shop.internal"))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: calls}

	f.closes = append(f.closes, client.CloseIdleConnections)
	f.handler = handler
	return nil
}

func (f *services) dial(target string, creds credentials.TransportCredentials) error {
	auth := f.auth

	outgoing, err := waybillgrpc.NewClient(auth)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(target, append(outgoing.DialOptions(), grpc.WithTransportCredentials(creds))...)

	if err != nil {
		return err
	}
	f.conn = conn
	f.closes = append(f.closes, func() { conn.Close() })
	return nil
}

func TestReadme(t *testing.T) {
	t.Chdir(t.TempDir())
	ringFile(t, "ring.jwks")
	nc, js := broker(t)
	orders := make(chan string, 1)
	change := func(ctx context.Context) error {
		if err := waybill.Update(ctx, Seats.To(2)); err != nil {
			return err
		}

		return nil
	}
	f := &services{nc: nc, js: js,
		quote: func(ctx context.Context, msg *waybillnats.Msg) {
			if err := change(ctx); err != nil {
				t.Error(err)
			}
			msg.Respond([]byte("42 EUR"))
		},
		ticket: func(ctx context.Context, msg jetstream.Msg) error {
			cell, _ := Cell.Get(ctx)
			seats, _ := Seats.Get(ctx)
			orders <- fmt.Sprintf("%s for %d", cell, seats)
			return nil
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	serverCreds, clientCreds := transportCredentials(t)
	if err := f.start(t.Context(), serverCreds, clientCreds, listener); err != nil {
		t.Fatal(err)
	}

	edge := httptest.NewServer(f.handler)
	defer edge.Close()
	resp, err := http.Get(edge.URL + "/book")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if got, want := string(body), "eu-3true 2 <nil>"; resp.StatusCode != 200 || got != want {
		t.Fatalf("got %d %s, want %s", resp.StatusCode, got, want)
	}
	if got, want := <-orders, "eu-3 for 2"; got != want {
		t.Errorf("order: got %s, want %s", got, want)
	}
	if len(resp.Cookies()) != 1 {
		t.Fatalf("got %d cookies, want 1", len(resp.Cookies()))
	}
	wb, err := f.auth.Open(resp.Cookies()[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if seats, _ := Seats.Of(wb); seats != 2 {
		t.Errorf("the client's waybill has %d seats, want 2", seats)
	}
}

// transportCredentials are those of a server with the certificate that httptest makes, and of its clients.
func transportCredentials(t *testing.T) (server, client credentials.TransportCredentials) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return credentials.NewServerTLSFromCert(&s.TLS.Certificates[0]),
		credentials.NewClientTLSFromCert(roots, "example.com")
}

func TestHandlerAlone(t *testing.T) {
	handler := func(ctx context.Context) string {
		cell, _ := Cell.Get(ctx)
		return cell
	}

	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats))
	ctx := waybilltest.Context(t, auth, Cell.To("eu-3"))

	if got := handler(ctx); got != "eu-3" {
		t.Errorf("got cell %q, want eu-3", got)
	}
}

func broker(t *testing.T) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server did not start")
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
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders.>"}})
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}
