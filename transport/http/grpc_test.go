package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/waybill-go/waybill"
)

// A response of gRPC brings its update in the trailer alone, as gRPC's clients read it, and its status says whether the call
// failed. Other responses bring it in the header as long as they can.
func TestUpdateOfGRPC(t *testing.T) {
	for _, tt := range []struct {
		contentType string
		trailer     bool
	}{
		{"application/grpc", true},
		{"application/grpc+proto", true},
		{"application/grpc;charset=utf-8", true},
		{"application/grpc-web+proto", false},
		{"application/proto", false},
		{"", false},
	} {
		for _, failed := range []bool{false, true} {
			name := tt.contentType
			if failed {
				name += " failed"
			}
			t.Run(name, func(t *testing.T) {
				auth := authority(t)
				s := serveHTTP2(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", tt.contentType)
					check(t, waybill.Update(r.Context(), seats.To(4), coupon.To("early")))
					if failed {
						w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
					}
				}))
				r := request(t, t.Context(), http.MethodPost, s.URL)
				r.Header.Set("Te", "trailers")
				r.Header.Set(headerKey, issue(t, auth, seats.To(1)))
				a := do(t, s.Client(), r)

				got, other := a.Header[updateKey], a.Trailer[updateKey]
				if tt.trailer {
					got, other = other, got
				}
				if len(got) != 1 || other != nil {
					t.Fatalf("got %d updates where one is due, %d where none is", len(got), len(other))
				}
				wb, err := auth.Open(got[0])
				n, _ := seats.Of(wb)
				if _, ok := coupon.Of(wb); n != 4 || ok == failed {
					t.Errorf("the update has %d seats, and a coupon, which success brings: %v (%v)", n, ok, err)
				}
			})
		}
	}
}

// A client takes no more from a call of gRPC that failed than from any other, wherever its status stands.
func TestFailedGRPC(t *testing.T) {
	for _, where := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		for _, status := range []string{"0", "5"} {
			t.Run(where+" "+status, func(t *testing.T) {
				auth := authority(t)
				s := serveHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // not ours
					ctx, hop := auth.Receive(r.Context(), r.Header[headerKey])
					check(t, waybill.Update(ctx, seats.To(4), coupon.To("early")))
					w.Header().Set(where, status)
					w.WriteHeader(http.StatusOK)
					w.(http.Flusher).Flush()
					w.Header().Set(http.TrailerPrefix+updateKey, hop.Commit(false))
				}))
				ctx, err := auth.Start(t.Context(), seats.To(1))
				check(t, err)
				get(t, ctx, client(t, auth, []*httptest.Server{s}), s.URL)
				if _, ok := coupon.Get(ctx); seatsOf(ctx) != 4 || ok != (status == "0") {
					t.Errorf("got %d seats, and a coupon: %v; lost: %v", seatsOf(ctx), ok, waybill.Lost(ctx))
				}
			})
		}
	}
}
