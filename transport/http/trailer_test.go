package waybillhttp_test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// lateCase is a response that starts before the handler changes a claim.
type lateCase struct {
	name      string
	protocol  string // "": both
	method    string
	te        string
	begin     func(http.ResponseWriter)
	edge      bool // the server is an Edge
	browser   bool // the request does not say that it comes from a hop
	delivered bool
}

var lateCases = []lateCase{
	{name: "streamed", te: "trailers", begin: flushed, delivered: true},
	{name: "short", te: "trailers", begin: written, delivered: true},
	{name: "status only", te: "trailers", begin: status(200), delivered: true},
	{name: "failed", te: "trailers", begin: status(500), delivered: true},
	{name: "among other codings", te: "gzip;q=0.5, Trailers", protocol: "http1", begin: flushed, delivered: true},
	{name: "not cacheable", te: "trailers", begin: with("Cache-Control", "private, max-age=1"), delivered: true},
	{name: "cacheable by nobody", te: "trailers", begin: with("Surrogate-Control", "no-store", "X-Accel-Expires", "0", "Expires", "-1"), delivered: true},
	{name: "event stream", te: "trailers", begin: with("Cache-Control", "no-cache"), delivered: true},
	{name: "length known", te: "trailers", protocol: "http2", begin: with("Content-Length", "4"), delivered: true},
	{name: "chunked by name", te: "trailers", protocol: "http1", begin: with("Transfer-Encoding", "chunked"), delivered: true},
	{name: "edge", te: "trailers", begin: flushed, edge: true, delivered: true},

	{name: "length known", te: "trailers", protocol: "http1", begin: with("Content-Length", "4")},
	{name: "not chunked", te: "trailers", protocol: "http1", begin: with("Transfer-Encoding", "identity")},
	{name: "not asked for", te: "", begin: flushed},
	{name: "something else asked for", te: "trailers-not", protocol: "http1", begin: flushed},
	{name: "HEAD", te: "trailers", method: "HEAD", begin: flushed},
	{name: "no content", te: "trailers", begin: status(204)},
	{name: "not modified", te: "trailers", begin: status(304)},
	{name: "cacheable", te: "trailers", begin: with("Cache-Control", "public, max-age=1")},
	{name: "cacheable if valid", te: "trailers", begin: with("Cache-Control", "no-cache", "Etag", `"1"`)},
	{name: "cacheable but for a field", te: "trailers", begin: with("Cache-Control", `private="Set-Cookie", max-age=9`)},
	{name: "cacheable for a while", te: "trailers", begin: with("Cache-Control", "s-maxage=1")},
	{name: "cacheable by a CDN", te: "trailers", begin: with("Cache-Control", "private", "CDN-Cache-Control", "max-age=9")},
	{name: "cacheable by a surrogate", te: "trailers", begin: with("Cache-Control", "no-store", "Surrogate-Control", "max-age=9")},
	{name: "cacheable by nginx", te: "trailers", begin: with("Cache-Control", "no-store", "X-Accel-Expires", "9")},
	{name: "cacheable until a date", te: "trailers", begin: with("Expires", "Thu, 01 Jan 2099 00:00:00 GMT")},
	{name: "static file", te: "trailers", begin: with("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")},
	{name: "browser", te: "trailers", begin: flushed, browser: true},
	{name: "browser at the edge", te: "trailers", begin: flushed, browser: true, edge: true},
}

func flushed(w http.ResponseWriter) {
	io.WriteString(w, "bo")
	w.(http.Flusher).Flush()
}

func written(w http.ResponseWriter) { io.WriteString(w, "bo") }

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func with(pairs ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for pair := range slices.Chunk(pairs, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		io.WriteString(w, "bo")
	}
}

func TestLateChange(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			for _, tt := range lateCases {
				if tt.protocol != "" && tt.protocol != p.name {
					continue
				}
				t.Run(tt.name, func(t *testing.T) {
					for _, early := range []bool{false, true} {
						t.Run(fmt.Sprintf("early=%v", early), func(t *testing.T) { tt.run(t, p.start, early) })
					}
				})
			}
		})
	}
}

// run changes a claim after the response has started, and, if early, also before.
func (tt lateCase) run(t *testing.T, start func(testing.TB, http.Handler) *httptest.Server, early bool) {
	auth, m := authority(t), &meter{}
	change := func(w http.ResponseWriter, r *http.Request) {
		if early {
			check(t, waybill.Update(r.Context(), seats.To(4)))
		}
		tt.begin(w)
		err := waybill.Update(r.Context(), seats.To(5), coupon.To("used"))
		switch {
		case tt.delivered:
			check(t, err)
		case !errors.Is(err, waybill.ErrTooLate):
			t.Errorf("late Update: %v, want ErrTooLate", err)
		}
		io.WriteString(w, "dy")
	}
	h := handle(auth, change, waybillhttp.MeterProvider(m))
	if tt.edge {
		h = handleEdge(auth, change, waybillhttp.MeterProvider(m))
	}
	done := make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done) // over HTTP/2, a server that closes does not wait for its handlers
		h.ServeHTTP(w, r)
	}))
	method := "GET"
	if tt.method != "" {
		method = tt.method
	}
	r := request(t, t.Context(), method, s.URL)
	r.Header.Set(headerKey, issue(t, auth))
	if tt.te != "" {
		r.Header.Set("Te", tt.te)
	}
	if !tt.browser {
		r.Header.Set(hopKey, "1")
	}
	a := do(t, s.Client(), r)

	if early {
		if n, _ := seats.Of(a.claims(t, auth)); n != 4 {
			t.Errorf("the header's returned token has %d seats, want 4", n)
		}
	} else if a.Header[returnKey] != nil {
		t.Error("the header has a returned token, want none yet")
	}
	late := a.Trailer[returnKey]
	if !tt.delivered {
		if len(late) != 0 {
			t.Error("the trailer has a returned token, want none")
		}
		<-done
		if got := m.count("waybill.return", "too_late"); got != 1 {
			t.Errorf("too_late counted %d times, want once", got)
		}
		return
	}
	if len(late) != 1 {
		t.Fatalf("%d returned tokens in the trailer %v, want 1", len(late), a.Trailer)
	}
	wb, err := auth.Open(late[0])
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := seats.Of(wb); n != 5 {
		t.Errorf("the trailer's returned token has %d seats, want 5", n)
	}
	if _, ok := coupon.Of(wb); ok != (a.StatusCode < 400) {
		t.Errorf("OnSuccess claim went back with %d: %v", a.StatusCode, ok)
	}
	want := int64(1)
	if early {
		want = 2
	}
	if got := m.count("waybill.return", "answered"); got != want || m.count("waybill.return", "too_late") != 0 {
		t.Errorf("answered counted %d times (%v), want %d and no too_late", got, m.all(), want)
	}
}

// An HTTP/1.0 client cannot read a trailer, whatever it asks for.
func TestLateChangeHTTP10(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		flushed(w)
		if err := waybill.Update(r.Context(), seats.To(5)); !errors.Is(err, waybill.ErrTooLate) {
			t.Errorf("late Update: %v, want ErrTooLate", err)
		}
	}))
	conn, err := tls.Dial("tcp", host(s), &tls.Config{RootCAs: base(t, s).(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.0\r\nTE: trailers\r\nWaybill-Hop: 1\r\nWaybill: %s\r\n\r\n", issue(t, auth))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "bo" {
		t.Errorf("body %q, %v; want bo", b, err)
	}
}

// A writer that cannot flush sends no trailer.
func TestLateChangeWithoutFlush(t *testing.T) {
	auth := authority(t)
	s := serve(t, http.TimeoutHandler(handle(auth, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "body")
		if err := waybill.Update(r.Context(), seats.To(5)); !errors.Is(err, waybill.ErrTooLate) {
			t.Errorf("late Update: %v, want ErrTooLate", err)
		}
	}), time.Minute, ""))
	r := request(t, t.Context(), "GET", s.URL)
	r.Header.Set(headerKey, issue(t, auth))
	r.Header.Set("Te", "trailers")
	r.Header.Set(hopKey, "1")
	do(t, s.Client(), r)
}

func TestHeaderAndTrailerAreMerged(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth, m := authority(t), &meter{}
			s := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Update(r.Context(), seats.To(4), cell.To("eu-1")))
				w.Header().Set("Trailer", "X-Sum, "+returnKey)
				flushed(w)
				check(t, waybill.Update(r.Context(), seats.To(5), tags.To([]string{"late"})))
				io.WriteString(w, "dy")
				w.Header().Set("X-Sum", "42")
			}))
			ctx, err := auth.Start(t.Context())
			check(t, err)
			resp, err := client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m)).Do(request(t, ctx, "GET", s.URL))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := seatsOf(ctx); got != 4 {
				t.Errorf("%d seats behind the header, want 4", got)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || string(b) != "body" {
				t.Errorf("body %q, %v; want body", b, err)
			}
			if got := seatsOf(ctx); got != 5 {
				t.Errorf("%d seats behind the trailer, want 5", got)
			}
			if got, _ := cell.Get(ctx); got != "eu-1" {
				t.Errorf("cell %q, want what the header brought", got)
			}
			if got, _ := tags.Get(ctx); len(got) != 1 {
				t.Errorf("tags %v, want what the trailer brought", got)
			}
			if _, ok := resp.Trailer[returnKey]; ok || resp.Trailer.Get("X-Sum") != "42" {
				t.Errorf("trailer %v, want X-Sum and no returned token", resp.Trailer)
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("a read behind the end: %d, %v; want EOF", n, err)
			}
			if got := m.count("waybill.return", "merged") + m.count("waybill.return", "relayed"); got != 2 {
				t.Errorf("%d returned tokens merged (%v), want 2", got, m.all())
			}
			if err := waybill.Lost(ctx); err != nil {
				t.Errorf("lost: %v", err)
			}
		})
	}
}

// Over HTTP/2 a trailer can also follow a body of known length.
func TestTrailerBehindKnownLength(t *testing.T) {
	auth := authority(t)
	s := serveHTTP2(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		flushed(w)
		check(t, waybill.Update(r.Context(), seats.To(5)))
	}))
	ctx, err := auth.Start(t.Context())
	check(t, err)
	a := get(t, ctx, client(t, auth, []*httptest.Server{s}), s.URL)
	if got := seatsOf(ctx); got != 5 || a.ContentLength != 2 {
		t.Errorf("%d seats behind a body of %d bytes, want 5 and 2", got, a.ContentLength)
	}
}

// net/http decompresses gzip around our body. The trailer is still merged at the end.
func TestTrailerBehindGzip(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth := authority(t)
			s := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				io.WriteString(z, "body")
				z.Close()
				w.(http.Flusher).Flush()
				check(t, waybill.Update(r.Context(), seats.To(5)))
			}))
			ctx, err := auth.Start(t.Context())
			check(t, err)
			a := get(t, ctx, client(t, auth, []*httptest.Server{s}), s.URL)
			if a.body != "body" || !a.Uncompressed {
				t.Errorf("body %q, uncompressed %v; want body and true", a.body, a.Uncompressed)
			}
			if got := seatsOf(ctx); got != 5 {
				t.Errorf("%d seats, want 5", got)
			}
		})
	}
}

// A truncated trailer returns no token.
func TestClosedBodyBringsNothing(t *testing.T) {
	auth, done := authority(t), make(chan struct{})
	s := serve(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		flushed(w)
		check(t, waybill.Update(r.Context(), seats.To(5)))
		<-done
	}))
	ctx, err := auth.Start(t.Context())
	check(t, err)
	resp, err := client(t, auth, []*httptest.Server{s}).Do(request(t, ctx, "GET", s.URL))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	close(done)
	s.Close()
	if got := seatsOf(ctx); got != -1 {
		t.Errorf("%d seats, want none", got)
	}
}

// A token returned after the first byte of the response cannot be returned further, and Lost says
// so.
func TestMergeTooLate(t *testing.T) {
	auth, m := authority(t), &meter{}
	inner := serve(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(5)))
	}))
	outer := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		flushed(w)
		c := client(t, auth, []*httptest.Server{inner}, waybillhttp.MeterProvider(m))
		if a := get(t, r.Context(), c, inner.URL); a.StatusCode != 200 {
			t.Errorf("the call: %d, want 200", a.StatusCode)
		}
		if err := waybill.Lost(r.Context()); !errors.Is(err, waybill.ErrTooLate) {
			t.Errorf("lost: %v, want ErrTooLate", err)
		}
	}))
	present(t, outer, issue(t, auth))
	if got := m.count("waybill.return", "too_late"); got != 1 {
		t.Errorf("too_late counted %d times (%v), want once", got, m.all())
	}
}

func TestTransportAsksForTrailers(t *testing.T) {
	for _, p := range protocols {
		for name, tt := range map[string]struct{ set, want string }{
			"unset":       {"", "trailers"},
			"set already": {"trailers", "trailers"},
		} {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				auth := authority(t)
				var got []string
				s := p.start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header["Te"] }))
				ctx, err := auth.Start(t.Context())
				check(t, err)
				r := request(t, ctx, "GET", s.URL)
				if tt.set != "" {
					r.Header.Set("Te", tt.set)
				}
				do(t, client(t, auth, []*httptest.Server{s}), r)
				s.Close()
				if strings.Join(got, "|") != tt.want {
					t.Errorf("TE %q, want %q", got, tt.want)
				}
				if r.Header.Get("Te") != tt.set {
					t.Errorf("the caller's request has TE %q now, want it untouched", r.Header.Get("Te"))
				}
			})
		}
	}
}

// Each event arrives when it is sent, also through a proxy, and the last change arrives after all
// events.
func TestEventStream(t *testing.T) {
	for _, p := range protocols {
		for _, proxied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/proxied=%v", p.name, proxied), func(t *testing.T) {
				auth, next := authority(t), make(chan struct{})
				s := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					w.Header().Set("Cache-Control", "no-cache")
					for n := range 3 {
						check(t, waybill.Update(r.Context(), seats.To(n+1)))
						fmt.Fprintf(w, "data: %d\n", n+1)
						w.(http.Flusher).Flush()
						<-next
					}
				}))
				if proxied {
					between := authority(t)
					tr := must(waybillhttp.NewTransport(between, base(t, s), waybillhttp.AllowHosts(host(s))))
					s = p.start(t, must(waybillhttp.NewServer(between)).Middleware(proxy(s, tr)))
				}
				ctx := waybilltest.Context(t, auth)
				resp, err := client(t, auth, []*httptest.Server{s}).Do(request(t, ctx, "GET", s.URL))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				events := bufio.NewScanner(resp.Body)
				for n := 1; events.Scan(); n++ {
					if got := events.Text(); got != fmt.Sprintf("data: %d", n) {
						t.Errorf("event %q, want number %d", got, n)
					}
					if got := seatsOf(ctx); got != 1 {
						t.Errorf("%d seats behind event %d, want the header's 1", got, n)
					}
					next <- struct{}{}
				}
				if got := seatsOf(ctx); got != 3 || events.Err() != nil {
					t.Errorf("%d seats at the end, %v; want 3", got, events.Err())
				}
			})
		}
	}
}
