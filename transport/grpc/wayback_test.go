package waybillgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-go/waybill"
	waybillgrpc "github.com/waybill-go/waybill/transport/grpc"
)

// Every kind of call brings the update back before its caller sees the result, and what the caller asked gRPC for is there.
func TestWayBack(t *testing.T) {
	auth := authority(t)
	var fail error
	client := pair(t, auth, func(ctx context.Context) error {
		if cell, err := Cell.Lookup(ctx); cell != "eu-3" {
			t.Errorf("handler: cell is %q (%v), want eu-3", cell, err)
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("theirs", "trailer")); err != nil {
			t.Error(err)
		}
		if err := waybill.Update(ctx, Seats.To(5), Booked.To(true)); err != nil {
			t.Error(err)
		}
		return fail
	})
	for _, kind := range kinds {
		for _, fail = range []error{nil, status.Error(codes.NotFound, "no such train")} {
			t.Run(fmt.Sprintf("%s, %v", kind.name, status.Code(fail)), func(t *testing.T) {
				ctx := start(t, auth, Cell.To("eu-3"), Seats.To(1))
				var header, trailer metadata.MD
				finished := make(chan error, 1)
				opts := []grpc.CallOption{
					grpc.Header(&header), grpc.Trailer(&trailer), grpc.OnFinish(func(err error) { finished <- err }),
				}
				got, err := kind.call(ctx, client, opts...)

				if status.Code(err) != status.Code(fail) {
					t.Fatalf("call: got %v, want %v", err, fail)
				}
				if seats, _ := Seats.Get(ctx); seats != 5 {
					t.Errorf("seats after the call: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
				}
				if booked, _ := Booked.Get(ctx); booked != (fail == nil) {
					t.Errorf("booked, a claim of successful calls: got %v, want %v", booked, fail == nil)
				}
				if got := trailer.Get("theirs"); !slices.Equal(got, []string{"trailer"}) {
					t.Errorf("the caller's grpc.Trailer: got %v, want the handler's", trailer)
				}
				if err := <-finished; status.Code(err) != status.Code(fail) {
					t.Errorf("the caller's grpc.OnFinish: got %v, want %v", err, fail)
				}
				for where, md := range map[string]metadata.MD{
					"grpc.Header": header, "grpc.Trailer": trailer, "Header()": got.header, "Trailer()": got.trailer,
				} {
					if md.Get(waybill.HeaderReturn) != nil {
						t.Errorf("%s shows the update to the caller", where)
					}
				}
				if kind.name != "unary" && got.trailer.Get("theirs") == nil {
					t.Errorf("Trailer(): got %v, want the handler's", got.trailer)
				}
			})
		}
	}
}

// Updates of parallel calls meet in one scope.
func TestParallelCalls(t *testing.T) {
	auth := authority(t)
	client := pair(t, auth, func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		seats, _ := Seats.Get(ctx)
		return waybill.Update(ctx, Seats.To(seats+1), Stops.With(func(s []string) []string { return append(s, md["stop"]...) }))
	})
	ctx := start(t, auth, Seats.To(1))
	var want []string
	var calls sync.WaitGroup
	for i := range 8 {
		for _, kind := range kinds {
			stop := fmt.Sprintf("%s-%d", strings.ReplaceAll(kind.name, " ", "-"), i)
			want = append(want, stop)
			calls.Go(func() {
				if _, err := kind.call(metadata.AppendToOutgoingContext(ctx, "stop", stop), client); err != nil {
					t.Errorf("%s: %v", stop, err)
				}
				if stops, _ := Stops.Get(ctx); !slices.Contains(stops, stop) {
					t.Errorf("stops after the call of %s: got %v, want it among them", stop, stops)
				}
			})
		}
	}
	calls.Wait()
	if err := waybill.Lost(ctx); err != nil {
		t.Errorf("lost: %v", err)
	}
	slices.Sort(want)
	if stops, _ := Stops.Get(ctx); !slices.Equal(stops, want) {
		t.Errorf("stops: got %v, want %v", stops, want)
	}
	if seats, _ := Seats.Get(ctx); seats < 2 {
		t.Errorf("seats: got %d, want at least 2", seats)
	}
}

// An update that travelled two hops is the middle one's to merge.
func TestTwoHops(t *testing.T) {
	auth := authority(t)
	last := pair(t, auth, func(ctx context.Context) error {
		return waybill.Update(ctx, Stops.With(func(s []string) []string { return append(s, "last") }))
	})
	middle := pair(t, auth, func(ctx context.Context) error {
		if _, err := unary(ctx, last); err != nil {
			return err
		}
		return waybill.Update(ctx, Stops.With(func(s []string) []string { return append(s, "middle") }))
	})
	ctx := start(t, auth, Stops.To([]string{"first"}))
	if _, err := unary(ctx, middle); err != nil {
		t.Fatal(err)
	}
	if stops, _ := Stops.Get(ctx); !slices.Equal(stops, []string{"first", "last", "middle"}) {
		t.Errorf("stops: got %v, want first, last and middle; lost: %v", stops, waybill.Lost(ctx))
	}
}

// A handler that changes nothing sends nothing, and one that changes something sends it in the trailer alone.
func TestTrailerOnly(t *testing.T) {
	auth := authority(t)
	for _, tt := range []struct {
		name    string
		handle  func(ctx context.Context) error
		updates int
	}{
		{"unchanged", func(context.Context) error { return nil }, 0},
		{"changed", func(ctx context.Context) error { return waybill.Update(ctx, Seats.To(2)) }, 1},
	} {
		client := dial(t, serve(t, tt.handle, serverOptions(auth)...)) // without our interceptors
		for _, kind := range kinds {
			t.Run(tt.name+", "+kind.name, func(t *testing.T) {
				ctx := metadata.AppendToOutgoingContext(t.Context(), waybill.Header, token(t, start(t, auth, Seats.To(1))))
				var header, trailer metadata.MD
				if _, err := kind.call(ctx, client, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
					t.Fatal(err)
				}
				if got := header.Get(waybill.HeaderReturn); got != nil {
					t.Errorf("header: got an update, want none")
				}
				if got := trailer.Get(waybill.HeaderReturn); len(got) != tt.updates {
					t.Errorf("trailer: got %d updates, want %d", len(got), tt.updates)
				}
			})
		}
	}
}

// A server behind net/http answers as one of its own.
func TestServeHTTP(t *testing.T) {
	auth := authority(t)
	server := grpc.NewServer(serverOptions(auth)...)
	grpc_testing.RegisterTestServiceServer(server, &service{handle: func(ctx context.Context) error {
		if err := waybill.Update(ctx, Seats.To(5)); err != nil {
			t.Error(err)
		}
		return status.Error(codes.NotFound, "no such train")
	}})
	web := httptest.NewUnstartedServer(server)
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	client := dial(t, web.Listener.Addr().String(),
		append(dialOptions(auth), withTLS(&tls.Config{RootCAs: roots}))...)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			ctx := start(t, auth, Seats.To(1))
			if _, err := kind.call(ctx, client); status.Code(err) != codes.NotFound {
				t.Fatalf("call: got %v, want %v", err, codes.NotFound)
			}
			if seats, _ := Seats.Get(ctx); seats != 5 {
				t.Errorf("seats: got %d, want 5; lost: %v", seats, waybill.Lost(ctx))
			}
		})
	}
}

// What comes back without being an update of this call changes nothing, is reported, and does not touch the result.
func TestRefusedUpdates(t *testing.T) {
	auth := authority(t)
	journey := start(t, auth, Seats.To(1))
	pinned := token(t, journey)
	update := func(t *testing.T, of string) string {
		ctx, hop := auth.Receive(t.Context(), []string{of}, nil)
		if err := waybill.Update(ctx, Seats.To(5)); err != nil {
			t.Fatal(err)
		}
		return hop.Commit(waybill.Succeeded)[0]
	}
	good := update(t, pinned)
	for _, tt := range []struct {
		name    string
		updates []string
		want    error
	}{
		{"of another token", []string{update(t, token(t, start(t, auth)))}, waybill.ErrStale},
		{"the token itself", []string{pinned}, waybill.ErrStale},
		{"forged", []string{forged(good)}, waybill.ErrForged},
		{"five", slices.Repeat([]string{good}, 5), waybill.ErrMalformed},
		{"no token", []string{"x"}, waybill.ErrMalformed},
		{"too large", []string{strings.Repeat("x", waybill.DefaultAcceptLimit+1)}, waybill.ErrTooLarge},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+", "+kind.name, func(t *testing.T) {
				var sent []string
				target := serve(t, func(ctx context.Context) error { // not ours: it answers what it likes
					md, _ := metadata.FromIncomingContext(ctx)
					sent = md[waybill.Header]
					return grpc.SetTrailer(ctx, metadata.MD{waybill.HeaderReturn: tt.updates})
				})
				var metrics meters
				client := dial(t, target, dialOptions(auth,
					waybillgrpc.AllowPlaintext(), waybillgrpc.MeterProvider(&metrics))...)
				ctx, _ := auth.Receive(t.Context(), []string{pinned}, nil)

				if _, err := kind.call(ctx, client); err != nil {
					t.Errorf("call: got %v, want nil", err)
				}
				if !slices.Equal(sent, []string{pinned}) {
					t.Errorf("the server got %d tokens, want the pinned one", len(sent))
				}
				if seats, _ := Seats.Get(ctx); seats != 1 {
					t.Errorf("seats: got %d, want 1", seats)
				}
				if err := waybill.Lost(ctx); !errors.Is(err, tt.want) {
					t.Errorf("lost: got %v, want %v", err, tt.want)
				}
				outcome := "rejected"
				if tt.want == waybill.ErrTooLarge {
					outcome = "too_large"
				}
				metrics.want(t, map[string]int64{"waybill.inject sent": 1, "waybill.return " + outcome: 1})
			})
		}
	}
}

// A change for successful calls only stays behind on a server that fails, and is not taken from one that sends it.
func TestFailedCall(t *testing.T) {
	auth := authority(t)
	journey := start(t, auth)
	failed := status.Error(codes.NotFound, "no such train")
	ours := dial(t, serve(t, func(ctx context.Context) error {
		if err := waybill.Update(ctx, Seats.To(5), Booked.To(true)); err != nil {
			t.Error(err)
		}
		return failed
	}, serverOptions(auth)...))
	theirs := dial(t, serve(t, func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		hopCtx, hop := auth.Receive(ctx, md[waybill.Header], nil)
		if err := waybill.Update(hopCtx, Seats.To(5), Booked.To(true)); err != nil {
			t.Error(err)
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs(waybill.HeaderReturn, hop.Commit(waybill.Succeeded)[0])); err != nil {
			t.Error(err)
		}
		return failed
	}), dialOptions(auth, waybillgrpc.AllowPlaintext())...)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			var trailer metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), waybill.Header, token(t, journey))
			if _, err := kind.call(ctx, ours, grpc.Trailer(&trailer)); status.Code(err) != codes.NotFound {
				t.Fatalf("call of our server: got %v, want %v", err, failed)
			}
			wb, err := auth.Open(strings.Join(trailer[waybill.HeaderReturn], ""))
			seats, _ := Seats.Of(wb)
			if booked, _ := Booked.Of(wb); seats != 5 || booked {
				t.Errorf("our server sent %d seats, booked %v (%v); want 5 and not booked", seats, booked, err)
			}
			ctx = start(t, auth)
			if _, err := kind.call(ctx, theirs); status.Code(err) != codes.NotFound {
				t.Fatalf("call of our client: got %v, want %v", err, failed)
			}
			seats, _ = Seats.Get(ctx)
			if booked, _ := Booked.Get(ctx); seats != 5 || booked {
				t.Errorf("our client took %d seats, booked %v; want 5 and not booked; lost: %v", seats, booked, waybill.Lost(ctx))
			}
		})
	}
}

// A call whose waybill was held back takes no update, though it be of that very waybill.
func TestUpdateOfHeldBack(t *testing.T) {
	auth := authority(t)
	ctx := start(t, auth, Seats.To(1))
	hop, answer := auth.Receive(t.Context(), []string{token(t, ctx)}, nil)
	if err := waybill.Update(hop, Seats.To(5)); err != nil {
		t.Fatal(err)
	}
	update := metadata.Pairs(waybill.HeaderReturn, answer.Commit(waybill.Succeeded)[0])
	client := dial(t, serve(t, func(ctx context.Context) error { return grpc.SetTrailer(ctx, update) }),
		dialOptions(auth, waybillgrpc.Logger(slog.New(slog.DiscardHandler)))...)
	for _, kind := range kinds {
		if _, err := kind.call(ctx, client); err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		if seats, _ := Seats.Get(ctx); seats != 1 || waybill.Lost(ctx) != nil {
			t.Errorf("%s: got %d seats, lost %v; want 1, nothing", kind.name, seats, waybill.Lost(ctx))
		}
	}
}

// Who sends no waybill takes none, and does not show the caller what came.
func TestUninvitedUpdate(t *testing.T) {
	auth := authority(t)
	update := metadata.Pairs(waybill.HeaderReturn, token(t, start(t, auth)), "theirs", "1")
	client := dial(t, serve(t, func(ctx context.Context) error {
		return errors.Join(grpc.SetHeader(ctx, update), grpc.SetTrailer(ctx, update))
	}), dialOptions(auth, waybillgrpc.AllowPlaintext())...)
	for _, kind := range kinds {
		if kind.name == "server stream" || kind.name == "bidirectional stream" {
			continue // their headers have left when the handler runs
		}
		t.Run(kind.name, func(t *testing.T) {
			ctx, _ := auth.Receive(t.Context(), nil, nil)
			var header, trailer metadata.MD
			got, err := kind.call(ctx, client, grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			if wb, err := waybill.FromContext(ctx); wb != nil {
				t.Errorf("after the call: got %v, %v, want no waybill", wb, err)
			}
			all := []metadata.MD{header, trailer}
			if kind.name != "unary" {
				all = append(all, got.header, got.trailer)
			}
			for _, md := range all {
				if keys := slices.Collect(maps.Keys(md)); md.Get(waybill.HeaderReturn) != nil || md.Get("theirs") == nil {
					t.Errorf("the caller sees %v, want theirs and no update", keys)
				}
			}
		})
	}
}

func TestAcceptBack(t *testing.T) {
	auth := authority(t)
	target := serve(t, func(ctx context.Context) error {
		return waybill.Update(ctx, Seats.To(5), Cell.To("us-1"))
	}, serverOptions(auth)...)
	client := dial(t, target, dialOptions(auth, waybillgrpc.AllowPlaintext(), waybillgrpc.OnlyAccept(Seats))...)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			ctx := start(t, auth, Seats.To(1), Cell.To("eu-3"))
			if _, err := kind.call(ctx, client); err != nil {
				t.Fatal(err)
			}
			seats, _ := Seats.Get(ctx)
			cell, _ := Cell.Get(ctx)
			if seats != 5 || cell != "eu-3" {
				t.Errorf("after the call: got %d seats in %s, want 5 in eu-3", seats, cell)
			}
			if err := waybill.Lost(ctx); !errors.Is(err, waybill.ErrNotAccepted) {
				t.Errorf("lost: got %v, want %v", err, waybill.ErrNotAccepted)
			}
		})
	}
}

// An update that does not fit beside what the handler answers stays behind; the answer does not fail because of it.
func TestUpdateBesideLargeAnswer(t *testing.T) {
	auth := authority(t)
	const limit = 8 << 10 // of the client, as that of other implementations
	detailed := func(n int) *status.Status {
		st, err := status.New(codes.NotFound, "no such train").WithDetails(&errdetails.DebugInfo{Detail: strings.Repeat("x", n)})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	for _, tt := range []struct {
		name   string
		key    string // of the trailer that the handler sets
		bytes  int
		status *status.Status
		want   string
	}{
		{"small", "theirs", 10, nil, "answered"},
		{"just fits", "theirs", 7000, nil, "answered"},
		{"trailer", "theirs", 7800, nil, "too_large"},
		{"binary trailer, just fits", "theirs-bin", 5200, nil, "answered"},
		{"binary trailer", "theirs-bin", 5800, nil, "too_large"},
		{"message, just fits", "theirs", 10, status.New(codes.NotFound, strings.Repeat("x", 6900)), "answered"},
		{"message", "theirs", 10, status.New(codes.NotFound, strings.Repeat("x", 7500)), "too_large"},
		{"message, percent-encoded", "theirs", 10, status.New(codes.NotFound, strings.Repeat("é", 1250)), "too_large"},
		{"details, just fit", "theirs", 10, detailed(5000), "answered"},
		{"details", "theirs", 10, detailed(5600), "too_large"},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+", "+kind.name, func(t *testing.T) {
				var metrics meters
				target := serve(t, func(ctx context.Context) error {
					if err := waybill.Update(ctx, Seats.To(5)); err != nil {
						t.Error(err)
					}
					if err := grpc.SetTrailer(ctx, metadata.Pairs(tt.key, strings.Repeat("x", tt.bytes))); err != nil {
						t.Error(err)
					}
					return tt.status.Err()
				}, serverOptions(auth, waybillgrpc.MeterProvider(&metrics))...)
				client := dial(t, target, append(dialOptions(auth, waybillgrpc.AllowPlaintext()),
					grpc.WithMaxHeaderListSize(limit))...)
				ctx := start(t, auth, Seats.To(1))

				_, err := kind.call(ctx, client)
				if got, want := status.Code(err), tt.status.Code(); got != want {
					t.Errorf("call: got %v, want %v", got, want)
				}
				metrics.want(t, map[string]int64{"waybill.open ok": 1, "waybill.return " + tt.want: 1})
				if seats, _ := Seats.Get(ctx); (seats == 5) != (tt.want == "answered") {
					t.Errorf("seats: got %d, with an update that is %s", seats, tt.want)
				}
			})
		}
	}
}
