package waybillhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var silent = log.New(io.Discard, "", 0) // servers log the panics that tests provoke

// handle is the middleware of a Server around a function.
func handle(auth *waybill.Authority, f http.HandlerFunc, opts ...waybillhttp.ServerOption) http.Handler {
	return must(waybillhttp.NewServer(auth, opts...)).Middleware(f)
}

// handleEdge is the middleware of an Edge around a function.
func handleEdge(auth *waybill.Authority, f http.HandlerFunc, opts ...waybillhttp.EdgeOption) http.Handler {
	return must(waybillhttp.NewEdge(auth, opts...)).Middleware(f)
}

func TestTwoHopsForwardAndBack(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth := authority(t)
			inner := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				if got, _ := cell.Get(r.Context()); got != "eu-3" {
					t.Errorf("inner service: cell %q, want eu-3", got)
				}
				if r.ProtoMajor != p.major {
					t.Errorf("inner service: protocol %s, want version %d", r.Proto, p.major)
				}
				check(t, waybill.Update(r.Context(), seats.To(2)))
				io.WriteString(w, "inner")
			}, waybillhttp.Required()))
			outer := p.start(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
				a := get(t, r.Context(), client(t, auth, []*httptest.Server{inner}), inner.URL)
				if a.body != "inner" {
					t.Errorf("inner response %q, want inner", a.body)
				}
				if a.Header[returnKey] != nil {
					t.Error("the caller sees the returned token in the response header, want it removed")
				}
				if got := seatsOf(r.Context()); got != 2 {
					t.Errorf("outer service: %d seats after the call, want 2", got)
				}
				io.WriteString(w, "outer")
			}))
			a := present(t, outer, issue(t, auth, cell.To("eu-3")))
			if a.body != "outer" || a.StatusCode != 200 {
				t.Fatalf("got %d %q, want 200 outer", a.StatusCode, a.body)
			}
			wb := a.claims(t, auth)
			if n, _ := seats.Of(wb); n != 2 {
				t.Errorf("the client's returned token has %d seats, want 2", n)
			}
			if got := a.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q next to a returned token, want no-store", got)
			}
		})
	}
}

func TestUnchangedResponseIsNotTouched(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		io.WriteString(w, "ok")
	}))
	a := present(t, s, issue(t, auth, seats.To(1)))
	if a.Header[returnKey] != nil || a.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("header %v, want no returned token and the handler's Cache-Control", a.Header)
	}
	if a.Header.Get("Content-Length") != "2" {
		t.Errorf("Content-Length %q, want 2", a.Header.Get("Content-Length"))
	}
}

func TestFailureKeepsOnSuccessClaims(t *testing.T) {
	for status, want := range map[int]bool{200: true, 302: true, 404: false, 500: false} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			auth := authority(t)
			s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Update(r.Context(), seats.To(5), coupon.To("used")))
				w.WriteHeader(status)
			}))
			r := request(t, t.Context(), "GET", s.URL)
			r.Header.Set(headerKey, issue(t, auth))
			resp, err := s.Client().Transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			wb := answer{Response: resp}.claims(t, auth)
			if _, got := coupon.Of(wb); got != want {
				t.Errorf("the OnSuccess claim went back with %d: %v, want %v", status, got, want)
			}
			if n, _ := seats.Of(wb); n != 5 {
				t.Errorf("%d seats went back with %d, want 5", n, status)
			}
		})
	}
}

func TestHandlerSeesNoToken(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, seats.To(1))
	for name, opts := range map[string][]waybillhttp.ServerOption{
		"opened":      nil,
		"skipped":     {waybillhttp.Skip(func(*http.Request) bool { return true })},
		"report only": {waybillhttp.ReportOnly()},
	} {
		t.Run(name, func(t *testing.T) {
			var inside http.Header
			h := handle(auth, func(_ http.ResponseWriter, r *http.Request) { inside = r.Header }, opts...)
			var outside http.Header
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r)
				outside = r.Header
			}))
			r := request(t, t.Context(), "GET", s.URL)
			r.Header.Set(headerKey, token)
			r.Header.Set(returnKey, token)
			r.Header.Set("X-Other", "kept")
			do(t, s.Client(), r)
			for _, key := range []string{headerKey, returnKey} {
				if _, ok := inside[key]; ok {
					t.Errorf("the handler sees %s, want it removed", key)
				}
				if outside.Get(key) != token {
					t.Errorf("the original request lost %s, want it untouched", key)
				}
			}
			if inside.Get("X-Other") != "kept" {
				t.Errorf("X-Other is %q, want kept", inside.Get("X-Other"))
			}
		})
	}
}

// The server removes the files of the form in its own request, and instrumentation reads the
// pattern there.
func TestFormAndPatternAreHandedUp(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth)
	for name, opts := range map[string][]waybillhttp.ServerOption{
		"opened":  nil,
		"skipped": {waybillhttp.Skip(func(*http.Request) bool { return true })},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("POST /carts/{id}", func(_ http.ResponseWriter, r *http.Request) {
				check(t, r.ParseMultipartForm(1))
				panic(http.ErrAbortHandler) // also when it panics
			})
			var outside *http.Request
			h := must(waybillhttp.NewServer(auth, opts...)).Middleware(mux)
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() { recover() }()
				outside = r
				h.ServeHTTP(w, r)
			}))
			r, err := http.NewRequest("POST", s.URL+"/carts/7", strings.NewReader("--b\r\n"+
				"Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\ncontent\r\n--b--\r\n"))
			check(t, err)
			r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			r.Header.Set(headerKey, token)
			do(t, s.Client(), r)
			s.Close()
			if outside.MultipartForm == nil || outside.Pattern != "POST /carts/{id}" {
				t.Errorf("the original request has form %v, pattern %q; want those of the handler", outside.MultipartForm, outside.Pattern)
			}
		})
	}
}

func TestSkipOpensNothing(t *testing.T) {
	auth, m := authority(t), &meter{}
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if _, err := waybill.FromContext(r.Context()); !errors.Is(err, waybill.ErrNoWaybill) {
			t.Errorf("a skipped request has a waybill (%v), want none", err)
		}
	}, waybillhttp.Required(), waybillhttp.MeterProvider(m),
		waybillhttp.Skip(func(r *http.Request) bool { return r.URL.Path == "/healthz" })))
	for path, want := range map[string]int{"/healthz": 200, "/": 401} {
		if a := get(t, t.Context(), s.Client(), s.URL+path); a.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, a.StatusCode, want)
		}
	}
	if got := fmt.Sprint(m.all()); got != "[waybill.open absent waybill.refuse absent]" {
		t.Errorf("counted %v, want the one request that was not skipped", got)
	}
}

func TestReportOnlyRefusesNothing(t *testing.T) {
	auth, m := authority(t), &meter{}
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if wb, err := waybill.FromContext(r.Context()); wb != nil {
			t.Errorf("an invalid token gave %v (%v), want none", wb, err)
		}
	}, waybillhttp.Required(), waybillhttp.RequireClaims(tenant), waybillhttp.ReportOnly(), waybillhttp.MeterProvider(m)))
	for _, token := range []string{"", "garbage", forge(issue(t, auth))} {
		if a := present(t, s, token); a.StatusCode != 200 {
			t.Errorf("token of %d bytes: %d, want 200", len(token), a.StatusCode)
		}
	}
	want := "[waybill.observe absent waybill.observe forged waybill.observe malformed " +
		"waybill.open absent waybill.open forged waybill.open malformed]"
	if got := fmt.Sprint(m.all()); got != want {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// layer is a middleware that counts.
type layer func(waybillhttp.Option, http.Handler) http.Handler

func TestNestedMiddleware(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, seats.To(1))
	server := func(opts ...waybillhttp.ServerOption) layer {
		return func(counted waybillhttp.Option, next http.Handler) http.Handler {
			return must(waybillhttp.NewServer(auth, append(opts, counted)...)).Middleware(next)
		}
	}
	edge := func(counted waybillhttp.Option, next http.Handler) http.Handler {
		return must(waybillhttp.NewEdge(auth, counted)).Middleware(next)
	}
	for _, tt := range []struct {
		name  string
		outer layer
		inner layer
		token string
		want  int
	}{
		{"plain", server(), server(), token, 200},
		{"no token", server(), server(), "", 200},
		{"inner requires", server(), server(waybillhttp.Required()), token, 200},
		{"inner requires what is absent", server(), server(waybillhttp.Required()), "", 401},
		{"inner requires a claim", server(), server(waybillhttp.RequireClaims(tenant)), token, 403},
		{"inner refuses what outer reports", server(waybillhttp.ReportOnly()), server(), "garbage", 400},
		{"edge outside", edge, server(waybillhttp.Required()), "", 200},
		{"edge inside", server(), edge, "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &meter{}
			count := waybillhttp.MeterProvider(m)
			h := tt.inner(count, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := waybill.FromContext(r.Context()); err == nil {
					check(t, waybill.Update(r.Context(), seats.To(9)))
				}
				w.WriteHeader(200)
			}))
			h = tt.outer(count, http.StripPrefix("", h))
			a := present(t, serve(t, h), tt.token)
			if a.StatusCode != tt.want {
				t.Fatalf("status %d, want %d", a.StatusCode, tt.want)
			}
			opened := int64(0)
			for _, outcome := range []string{"ok", "absent", "malformed"} {
				opened += m.count("waybill.open", outcome)
			}
			if opened != 1 {
				t.Errorf("opened %d times (%v), want once", opened, m.all())
			}
			if tt.token == token && tt.want == 200 {
				if n, _ := seats.Of(a.claims(t, auth)); n != 9 {
					t.Errorf("the returned token has %d seats, want 9", n)
				}
			}
		})
	}
}

// A middleware continues the hop of its own header map only. Another request without a token, whose
// context is derived from the first one's, has no waybill.
func TestInheritedContextIsMasked(t *testing.T) {
	auth := authority(t)
	inner := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if wb, _ := waybill.FromContext(r.Context()); wb != nil {
			t.Errorf("a request without a token has %v, want none", wb)
		}
	})
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		other := httptest.NewRequestWithContext(r.Context(), "GET", "/", nil)
		inner.ServeHTTP(httptest.NewRecorder(), other)
	}))
	present(t, s, issue(t, auth))
}

// A token that a layer in between puts into the header is opened.
func TestTokenSetInBetween(t *testing.T) {
	auth := authority(t)
	inner := handle(auth, func(_ http.ResponseWriter, r *http.Request) {
		if got := seatsOf(r.Context()); got != 2 {
			t.Errorf("the handler sees %d seats, want those of the token set in between: 2", got)
		}
	})
	other := issue(t, auth, seats.To(2))
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(headerKey, other)
		inner.ServeHTTP(w, r)
	}))
	present(t, s, issue(t, auth, seats.To(1)))
}

// An edge inside a handler that hid the waybill begins a journey, and returns no token.
func TestEdgeBehindWithout(t *testing.T) {
	auth := authority(t)
	edge := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		if got, _ := cell.Get(r.Context()); got != "new" {
			t.Errorf("the handler sees cell %q, want new", got)
		}
	}, waybillhttp.Required(), waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) {
		return []waybill.Change{cell.To("new")}, nil
	}))
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		edge.ServeHTTP(w, r.WithContext(waybill.Without(r.Context())))
	}))
	if a := present(t, s, issue(t, auth, cell.To("old"))); a.StatusCode != 200 || a.Header[returnKey] != nil {
		t.Errorf("got %d, header %v; want 200 without a returned token", a.StatusCode, a.Header)
	}
}

func TestPanicSendsNothingBack(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth := authority(t)
			var inside context.Context
			cause := errors.New("cause")
			h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
				inside = r.Context()
				check(t, waybill.Update(inside, seats.To(7)))
				w.Header().Set(returnKey, "copied from elsewhere")
				w.Header().Set(http.TrailerPrefix+returnKey, "copied from elsewhere")
				panic(cause)
			})
			s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if got := recover(); got != cause {
						t.Errorf("recovered %v, want the handler's panic", got)
					}
					w.WriteHeader(500)
				}()
				h.ServeHTTP(w, r)
			}))
			a := present(t, s, issue(t, auth))
			if a.StatusCode != 500 || a.Header[returnKey] != nil || a.Trailer[returnKey] != nil {
				t.Errorf("got %d, header %v, trailer %v; want 500 without a returned token", a.StatusCode, a.Header, a.Trailer)
			}
			if err := waybill.Update(inside, seats.To(8)); !errors.Is(err, waybill.ErrCommitted) {
				t.Errorf("Update after the panic: %v, want ErrCommitted", err)
			}
		})
	}
}

func TestUpdateAfterTheResponse(t *testing.T) {
	auth := authority(t)
	var inside context.Context
	s := serve(t, handle(auth, func(_ http.ResponseWriter, r *http.Request) { inside = r.Context() }))
	present(t, s, issue(t, auth))
	s.Close() // waits for the handler
	if err := waybill.Update(inside, seats.To(1)); !errors.Is(err, waybill.ErrCommitted) {
		t.Errorf("Update after the response: %v, want ErrCommitted", err)
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkMiddleware(b *testing.B) {
	auth := authority(b)
	ok := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }
	for _, bb := range []struct {
		name, token string
		h           http.Handler
	}{
		{"none", "", http.HandlerFunc(ok)},
		{"no token", "", handle(auth, ok)},
		{"token", issue(b, auth, cell.To("eu-3")), handle(auth, ok)},
		{"changed", issue(b, auth, cell.To("eu-3")), handle(auth, func(w http.ResponseWriter, r *http.Request) {
			waybill.Update(r.Context(), seats.To(2))
			w.WriteHeader(200)
		})},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			if bb.token != "" {
				r.Header.Set(headerKey, bb.token)
			}
			var w http.ResponseWriter = &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				bb.h.ServeHTTP(w, r)
			}
		})
	}
}

// forge returns a token whose signature does not match.
func forge(token string) string {
	i := strings.LastIndexByte(token, '.') + 5
	c := byte('A')
	if token[i] == c {
		c = 'B'
	}
	return token[:i] + string(c) + token[i+1:]
}

func TestLogsHoldNoToken(t *testing.T) {
	auth := authority(t)
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := serve(t, handle(auth, func(http.ResponseWriter, *http.Request) {}, waybillhttp.Logger(logger)))
	token := forge(issue(t, auth, cell.To("eu-3")))
	a := present(t, s, token)
	s.Close()
	for _, part := range strings.Split(token, ".") {
		if strings.Contains(logged.String(), part) || strings.Contains(a.body, part) {
			t.Errorf("the log or the response holds a part of the token:\n%s%s", &logged, a.body)
		}
	}
	if !strings.Contains(logged.String(), "reason=forged") {
		t.Errorf("log %q, want the refusal with reason=forged", &logged)
	}
}

// The context of waybilltest is like a handler's: a request made in it is a new hop, which returns
// its own token.
func TestContextOfATest(t *testing.T) {
	auth := authority(t)
	ctx := waybilltest.Context(t, auth, seats.To(3))
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Header.Set(headerKey, wb.Token())
	w := httptest.NewRecorder()
	handle(auth, func(_ http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(4)))
	}).ServeHTTP(w, r)
	if got := seatsOf(ctx); got != 3 || w.Header().Get(returnKey) == "" {
		t.Errorf("%d seats in the caller's context, returned token of %d bytes; want 3, and a returned token", got, len(w.Header().Get(returnKey)))
	}
}
