package waybillhttp_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// proxy returns a ReverseProxy to s.
func proxy(s *httptest.Server, tr http.RoundTripper) *httputil.ReverseProxy {
	to, _ := url.Parse(s.URL)
	return &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport: tr,
		ErrorLog:  silent,
	}
}

// A proxy without our transport forwards no token of the client, and no returned token of the
// upstream.
func TestBareProxy(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth, got := authority(t), &seen{}
			forged := issue(t, auth, seats.To(99))
			upstream := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got.ServeHTTP(w, r)
				w.Header().Set(returnKey, forged)
				w.WriteHeader(103)
				w.Header().Set(returnKey, forged)
				w.Header().Set("Trailer", returnKey+", X-Sum")
				flushed(w)
				w.Header().Set(returnKey, forged)
				w.Header().Set("X-Sum", "42")
			}))
			front := p.start(t, must(waybillhttp.NewServer(auth)).Middleware(proxy(upstream, base(t, upstream))))
			r := request(t, t.Context(), "GET", front.URL)
			r.Header.Set(headerKey, issue(t, auth))
			r.Header.Set("Te", "trailers")
			a := do(t, front.Client(), r)
			if a.Header[returnKey] != nil || a.Trailer[returnKey] != nil || a.body != "bo" {
				t.Errorf("got %q, header %v, trailer %v; want the body and no returned token", a.body, a.Header, a.Trailer)
			}
			if a.Trailer.Get("X-Sum") != "42" {
				t.Errorf("trailer %v, want the upstream's X-Sum", a.Trailer)
			}
			if n := len(got.all()); n != 0 {
				t.Errorf("the upstream got %d tokens, want none", n)
			}
		})
	}
}

// A proxy with our transport is an ordinary hop, including trailers.
func TestProxy(t *testing.T) {
	for _, p := range protocols {
		for te, want := range map[string]int{"": 4, "trailers": 5} {
			t.Run(p.name+"/te="+te, func(t *testing.T) {
				auth := authority(t)
				upstream := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
					if got := seatsOf(r.Context()); got != 1 {
						t.Errorf("the upstream sees %d seats, want 1", got)
					}
					check(t, waybill.Update(r.Context(), seats.To(4)))
					flushed(w)
					waybill.Update(r.Context(), seats.To(5))
					io.WriteString(w, "dy")
				}, waybillhttp.Required()))
				tr := must(waybillhttp.NewTransport(auth, base(t, upstream), waybillhttp.AllowHosts(host(upstream))))
				front := p.start(t, must(waybillhttp.NewServer(auth)).Middleware(proxy(upstream, tr)))
				r := request(t, t.Context(), "GET", front.URL)
				r.Header.Set(headerKey, issue(t, auth, seats.To(1)))
				if te != "" {
					r.Header.Set("Te", te)
					r.Header.Set(hopKey, "1")
				}
				a := do(t, front.Client(), r)
				if n, _ := seats.Of(a.claims(t, auth)); n != 4 || a.body != "body" {
					t.Errorf("got %q and %d seats in the header, want body and 4", a.body, n)
				}
				got := 4
				if late := a.Trailer.Get(returnKey); late != "" {
					wb, err := auth.Open(late)
					if err != nil {
						t.Fatal(err)
					}
					got, _ = seats.Of(wb)
				}
				if got != want {
					t.Errorf("%d seats at the end, want %d", got, want)
				}
			})
		}
	}
}

// An upgraded connection passes through a proxy with our transport, which removes the returned
// token.
func TestProxyOfUpgrade(t *testing.T) {
	auth := authority(t)
	forged := issue(t, auth, seats.To(99))
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"+
			"Waybill-Update: "+forged+"\r\n\r\n")
		line, _ := buf.ReadString('\n')
		io.WriteString(conn, line)
	}))
	tr := must(waybillhttp.NewTransport(auth, base(t, upstream), waybillhttp.Logger(nolog)))
	front := serve(t, must(waybillhttp.NewServer(auth)).Middleware(proxy(upstream, tr)))
	r := request(t, t.Context(), "GET", front.URL)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	r.Header.Set(headerKey, issue(t, auth))
	resp, err := front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 101 || resp.Header[returnKey] != nil {
		t.Fatalf("got %d, header %v; want 101 without a returned token", resp.StatusCode, resp.Header)
	}
	conn := resp.Body.(io.ReadWriter)
	io.WriteString(conn, "hello\n")
	if line, _ := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
		t.Errorf("echo %q, want hello", line)
	}
}
