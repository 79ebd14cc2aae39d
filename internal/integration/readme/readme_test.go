// Package readme runs the snippets of the README in one piece: a browser's request to an HTTP server, which calls a gRPC
// server, which asks a NATS service and publishes to a stream.
package readme

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
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

func authority(t *testing.T, path string) *waybill.Authority {
	ctx := t.Context()

	ring, err := keyring.LoadFile(ctx, path) // polled; a new file replaces the keys
	if err != nil {
		t.Fatal(err)
	}
	auth, err := waybill.New("shop", ring, waybill.Claims(Cell, Seats))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { ring.Close() })
	return auth
}

// ringFile writes what "waybill keys new" writes.
func ringFile(t *testing.T) string {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(90 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ring.jwks")
	if err := os.WriteFile(path, set.SecretJWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// health is the gRPC service at hand; it asks for a price over NATS and orders a ticket.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	nc *nats.Conn
	js jetstream.JetStream
}

func (h *health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	nc, js := h.nc, h.js

	reply, err := waybillnats.Request(ctx, nc, nats.NewMsg("quotes"))

	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg("orders.placed")
	msg.Data = reply.Data

	_, err = waybilljetstream.Publish(ctx, js, msg)

	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, err
}

func TestReadme(t *testing.T) {
	path := ringFile(t)
	ctx := t.Context()
	nc, js := broker(t)
	auth := authority(t, path)

	quote := func(ctx context.Context, msg *waybillnats.Msg) {
		if err := waybill.Update(ctx, Seats.To(2)); err != nil {
			t.Error(err)
		}
		msg.Respond([]byte("42 EUR"))
	}
	orders := make(chan string, 1)
	ticket := func(ctx context.Context, msg jetstream.Msg) error {
		cell, _ := Cell.Get(ctx)
		seats, _ := Seats.Get(ctx)
		orders <- fmt.Sprintf("%s in %s for %d", msg.Data(), cell, seats)
		return nil
	}

	// NATS
	sub, err := nc.QueueSubscribe("quotes", "pricing", waybillnats.Handler(auth, nc, quote))

	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	consumer, err := js.CreateOrUpdateConsumer(ctx, "orders", jetstream.ConsumerConfig{Durable: "tickets", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}

	// JetStream
	run, err := waybilljetstream.Consume(ctx, auth, consumer, ticket)

	if err != nil {
		t.Fatal(err)
	}
	defer run.Stop()

	// gRPC
	srv := grpc.NewServer(waybillgrpc.ServerOptions(auth, waybillgrpc.Required())...)

	grpc_health_v1.RegisterHealthServer(srv, &health{nc: nc, js: js})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(lis)
	defer srv.Stop()
	options := append(waybillgrpc.DialOptions(auth, waybillgrpc.AllowPlaintext()),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(lis.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /book", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, new(grpc_health_v1.HealthCheckRequest)); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}

		cell, ok := Cell.Get(ctx)       // verified
		seats, err := Seats.Lookup(ctx) // the error tells absent from ill-typed

		fmt.Fprint(w, cell, ok, seats, err)
	})
	start := func(*http.Request) ([]waybill.Change, error) {
		return []waybill.Change{Cell.To("eu-3")}, nil
	}

	// HTTP
	handler := waybillhttp.Middleware(auth, waybillhttp.Edge(start))(mux)

	edge := httptest.NewServer(handler)
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
	if got, want := <-orders, "42 EUR in eu-3 for 2"; got != want {
		t.Errorf("order: got %s, want %s", got, want)
	}
	wb, err := auth.Open(resp.Header.Get("Waybill-Update"))
	if err != nil {
		t.Fatal(err)
	}
	if seats, _ := Seats.Of(wb); seats != 2 {
		t.Errorf("the client's waybill has %d seats, want 2", seats)
	}
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
