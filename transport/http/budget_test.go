package waybillhttp_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// exchange sends bytes to a server without TLS and returns what it answers until it closes.
func exchange(t testing.TB, s *httptest.Server, raw string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, raw)
	b, err := io.ReadAll(conn)
	check(t, err)
	return string(b)
}

// text returns n bytes that HPACK does not compress much.
func text(n int) string {
	b := make([]byte, n/2)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// A returned token that does not fit next to the other headers is left out, or sent in the trailer
// if the client reads it there. The response is what it would be without a token.
func TestHeaderBudget(t *testing.T) {
	large := text(1300) // a token of about 1.9 kB
	for _, p := range protocols {
		for name, tt := range map[string]struct {
			others  int // bytes of other headers
			opts    []waybillhttp.ServerOption
			hop     bool
			header  bool
			trailer bool
		}{
			"fits":                       {others: 1000, header: true},
			"does not fit":               {others: 2200},
			"does not fit, hop":          {others: 2200, hop: true, trailer: true},
			"greater budget":             {others: 2200, opts: []waybillhttp.ServerOption{waybillhttp.HeaderBudget(8 << 10)}, header: true},
			"smaller budget":             {others: 100, opts: []waybillhttp.ServerOption{waybillhttp.HeaderBudget(1 << 10)}},
			"smaller than a trailer too": {others: 100, opts: []waybillhttp.ServerOption{waybillhttp.HeaderBudget(1 << 10)}, hop: true},
		} {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				auth, m, done := authority(t), &meter{}, make(chan struct{})
				var logged bytes.Buffer
				opts := append(tt.opts, waybillhttp.MeterProvider(m), waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil))))
				h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
					check(t, waybill.Update(r.Context(), cell.To(large)))
					w.Header().Set("X-Theirs", text(tt.others))
					w.Header().Set("Cache-Control", "private")
					w.WriteHeader(202)
					io.WriteString(w, "body")
				}, opts...)
				s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					h.ServeHTTP(w, r)
				}))
				r := request(t, t.Context(), "GET", s.URL)
				r.Header.Set(headerKey, issue(t, auth))
				if tt.hop {
					r.Header.Set("Te", "trailers")
					r.Header.Set(hopKey, "1")
				}
				a := do(t, s.Client(), r)
				<-done
				if a.StatusCode != 202 || a.body != "body" || len(a.Header.Get("X-Theirs")) != tt.others {
					t.Errorf("got %d %q, want the handler's response", a.StatusCode, a.body)
				}
				if header, trailer := a.Header[returnKey] != nil, a.Trailer[returnKey] != nil; header != tt.header || trailer != tt.trailer {
					t.Errorf("a token in the header: %v, in the trailer: %v; want %v and %v", header, trailer, tt.header, tt.trailer)
				}
				left := int64(1)
				if tt.header || tt.trailer {
					left = 0
				}
				if m.count("waybill.return", "too_large") != left || m.count("waybill.return", "answered") != 1-left {
					t.Errorf("counted %v, want too_large %d times", m.all(), left)
				}
				if told := strings.Contains(logged.String(), "HeaderBudget"); told != (left == 1) || strings.Contains(logged.String(), "eyJ") {
					t.Errorf("logged %q, want the budget named: %v", &logged, left == 1)
				}
			})
		}
	}
}

// A trailer beyond the buffer of an HTTP/1.1 client would fail the reading of the body.
func TestTrailerBudget(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			limits := []waybill.Option{waybill.IssueLimit(7168), waybill.AcceptLimit(7168)}
			auth, m := authority(t, limits...), &meter{}
			large := text(3000)
			s := p.start(t, handle(authority(t, limits...), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "X-Sum")
				flushed(w)
				check(t, waybill.Update(r.Context(), cell.To(large)))
				w.Header().Set("X-Sum", "42")
			}, waybillhttp.HeaderBudget(16<<10), waybillhttp.MeterProvider(m), waybillhttp.Logger(nolog)))
			ctx := waybilltest.Context(t, auth)
			a := get(t, ctx, client(t, auth, []*httptest.Server{s}), s.URL)
			s.Close()
			got, _ := cell.Get(ctx)
			if arrived := got == large; arrived != (p.major == 2) || a.Trailer.Get("X-Sum") != "42" || a.body != "bo" {
				t.Errorf("the change arrived: %v, trailer %v; want it over HTTP/2 only", arrived, a.Trailer)
			}
			if n := m.count("waybill.return", "too_large"); n != int64(2-p.major) {
				t.Errorf("too_large counted %d times", n)
			}
		})
	}
}

// A waybill that exceeds the limit that an HTTP/2 server announced is left out: the call succeeds.
func TestRequestOverTheServersLimit(t *testing.T) {
	auth, m := authority(t), &meter{}
	got, bodies := &seen{}, make(chan string, 8)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.ServeHTTP(w, r)
		b, err := io.ReadAll(r.Body)
		check(t, err)
		bodies <- string(b)
	}))
	s.EnableHTTP2 = true
	s.Config.MaxHeaderBytes = 1 << 10
	s.StartTLS()
	t.Cleanup(s.Close)
	var logged bytes.Buffer
	c := client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m), waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil))))
	get(t, t.Context(), c, s.URL) // the server announces its limit
	<-bodies
	for _, body := range []string{"", "body"} {
		ctx := waybilltest.Context(t, auth, cell.To(text(1300)))
		r, err := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader(body))
		check(t, err)
		if a := do(t, c, r); a.StatusCode != 200 || a.Request != r {
			t.Errorf("got %d, want 200, and the caller's request", a.StatusCode)
		}
		if got := <-bodies; got != body {
			t.Errorf("the server got body %q, want %q", got, body)
		}
		check(t, waybill.Lost(ctx))
	}
	if n := len(got.all()); n != 0 || m.count("waybill.inject", "too_large") != 2 || m.count("waybill.inject", "sent") != 0 {
		t.Errorf("%d tokens sent, counted %v; want none, and too_large", n, m.all())
	}
	if !strings.Contains(logged.String(), "does not fit") || strings.Contains(logged.String(), "eyJ") {
		t.Errorf("logged %q, want the reason", &logged)
	}

	// A body that cannot be sent twice has been closed, so the error remains.
	r := request(t, waybilltest.Context(t, auth, cell.To(text(1300))), "POST", s.URL)
	r.Body = io.NopCloser(strings.NewReader("body"))
	if _, err := c.Do(r); err == nil {
		t.Error("a body that cannot be sent again: got no error")
	}
}
