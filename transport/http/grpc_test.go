package waybillhttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// A gRPC response returns the token in the trailer, or in the header of a response that has only a
// header. A gRPC-Web response, whose trailers are in the body, returns it in the header.
func TestWhereGRPCHasItsUpdate(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, te string
		write                 func(http.ResponseWriter)
		trailer, succeeded    bool
	}{
		{"grpc", "application/grpc", "trailers", answerRPC("0"), true, true},
		{"codec", "application/grpc+proto", "trailers", answerRPC("0"), true, true},
		{"parameter", "Application/gRPC; x=y", "trailers", answerRPC("0"), true, true},
		{"failed", "application/grpc", "trailers", answerRPC("9"), true, false},
		{"failed without a message", "application/grpc", "trailers", func(w http.ResponseWriter) {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "9")
		}, true, false},
		{"no status", "application/grpc", "trailers", func(w http.ResponseWriter) { io.WriteString(w, "body") }, true, false},
		{"trailers only", "application/grpc", "trailers", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "9") }, false, false},
		{"without TE", "application/grpc", "", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "0") }, false, true},
		{"web", "application/grpc-web+proto", "trailers", func(w http.ResponseWriter) { io.WriteString(w, "body") }, false, true},
		{"web, failed", "application/grpc-web+proto", "trailers", func(w http.ResponseWriter) { w.Header().Set("Grpc-Status", "9") }, false, false},
		{"lookalike", "application/grpcx", "trailers", func(w http.ResponseWriter) { io.WriteString(w, "body") }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auth := authority(t)
			s := serveHTTP2(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Update(r.Context(), seats.To(4), coupon.To("used")))
				w.Header().Set("Content-Type", tt.contentType)
				tt.write(w)
			}))
			r := request(t, t.Context(), "POST", s.URL)
			r.Header.Set(headerKey, issue(t, auth))
			if tt.te != "" {
				r.Header.Set("Te", tt.te)
			}
			a := do(t, s.Client(), r)
			if tt.trailer {
				if a.Header[returnKey] != nil {
					t.Error("the header has a returned token, want it in the trailer only")
				}
				a.Header = a.Trailer
			}
			if _, ok := coupon.Of(a.claims(t, auth)); ok != tt.succeeded {
				t.Errorf("the OnSuccess claim went back: %v, want %v", ok, tt.succeeded)
			}
		})
	}
}

// answerRPC writes a response as grpc-go does.
func answerRPC(status string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		flushed(w)
		w.Header().Set("Grpc-Status", status)
	}
}

func TestRefusalOfRPC(t *testing.T) {
	s := serveHTTP2(t, must(waybillhttp.NewServer(authority(t), waybillhttp.Required())).Middleware(http.NotFoundHandler()))
	for _, contentType := range []string{"application/grpc", "application/grpc-web+proto"} {
		r := request(t, t.Context(), "POST", s.URL)
		r.Header.Set("Content-Type", contentType)
		a := do(t, s.Client(), r)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != contentType ||
			a.Header.Get("Grpc-Status") != "16" || a.Header.Get("Grpc-Message") != "waybill refused: absent" {
			t.Errorf("%s: got %d, header %v; want status 16 and the reason", contentType, a.StatusCode, a.Header)
		}
	}
}

// The caller decides about OnSuccess claims by the status of the call, which follows the body, or
// is in the header of a response that has only a header.
func TestFailedRPCKeepsOnSuccessClaims(t *testing.T) {
	used := waybill.NewClaim[string]("coupon")
	for name, tt := range map[string]struct {
		write func(http.ResponseWriter, string)
		want  bool
	}{
		"ok":     {answerWith("0"), true},
		"failed": {answerWith("9"), false},
		"web": {func(w http.ResponseWriter, update string) {
			w.Header().Set("Content-Type", "application/grpc-web+proto")
			w.Header().Set("Grpc-Status", "9")
			w.Header().Set(returnKey, update)
		}, false},
		"trailers only": {func(w http.ResponseWriter, update string) {
			w.Header().Set("Grpc-Status", "9")
			w.Header().Set(returnKey, update)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			auth := authority(t)
			lax := waybilltest.Authority(t, waybill.Claims(used, seats))
			s := serveHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, hop := lax.Receive(r.Context(), r.Header[headerKey], nil)
				check(t, waybill.Update(ctx, used.To("used"), seats.To(4)))
				w.Header().Set("Content-Type", "application/grpc")
				tt.write(w, hop.Commit(waybill.Succeeded)[0])
			}))
			ctx, err := auth.Start(t.Context())
			check(t, err)
			get(t, ctx, client(t, auth, []*httptest.Server{s}), s.URL)
			if _, ok := coupon.Get(ctx); ok != tt.want || seatsOf(ctx) != 4 {
				t.Errorf("the OnSuccess claim came back: %v, with %d seats; want %v and 4", ok, seatsOf(ctx), tt.want)
			}
		})
	}
}

func answerWith(status string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, update string) {
		w.Header().Set("Trailer", strings.Join([]string{"Grpc-Status", returnKey}, ", "))
		flushed(w)
		w.Header().Set("Grpc-Status", status)
		w.Header().Set(returnKey, update)
	}
}
