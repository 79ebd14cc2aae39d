package waybillhttp_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Layers of one Authority inside an edge see the edge's journey, and open nothing again.
func TestLayersInsideAnEdge(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers {
		for name, inner := range map[string]func(http.HandlerFunc) http.Handler{
			"server": func(f http.HandlerFunc) http.Handler { return handle(auth, f, waybillhttp.Required()) },
			"edge":   func(f http.HandlerFunc) http.Handler { return handleEdge(auth, f, append(c.options, startIn)...) },
		} {
			m := &meter{}
			h := must(waybillhttp.NewEdge(auth, append(c.options, startIn, waybillhttp.MeterProvider(m))...)).Middleware(
				http.StripPrefix("", inner(reporter(t))))
			v := c.visitor(t, serve(t, h))
			first := v.visit(t, "POST", "/cell=set")
			if a := v.visit(t, "GET", "/"); a.cell != "set" || a.sid != first.sid || len(v.held()) != 1 {
				t.Errorf("%s inside %s: cell %q in %q after %q, %d tokens", name, c.name, a.cell, a.sid, first.sid, len(v.held()))
			}
			if n := m.count("waybill.open", "ok") + m.count("waybill.open", "absent"); n != 2 {
				t.Errorf("%s inside %s: opened %d times in 2 requests", name, c.name, n)
			}
		}
	}
}

// An edge in a TimeoutHandler, and one around it, keep all changes that were made in time.
func TestEdgeAndTimeoutHandler(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers {
		edge := must(waybillhttp.NewEdge(auth, append(c.options, startIn)...)).Middleware
		for name, h := range map[string]http.Handler{
			"inside": http.TimeoutHandler(edge(reporter(t)), time.Minute, ""),
			"around": edge(http.TimeoutHandler(reporter(t), time.Minute, "")),
		} {
			v := c.visitor(t, serve(t, h))
			first := v.visit(t, "POST", "/cell=set")
			if a := v.visit(t, "GET", "/"); a.cell != "set" || a.sid != first.sid {
				t.Errorf("%s %s: cell %q in %q after %q", c.name, name, a.cell, a.sid, first.sid)
			}
		}
	}
}

// A hop at an edge with cookies is a hop: no cookies are set, its waybill is not renewed, and the
// cookies of its own client are hidden.
func TestHopAtAnEdgeWithCookies(t *testing.T) {
	auth := authority(t)
	for _, opts := range [][]waybillhttp.EdgeOption{nil, {waybillhttp.Skip(func(*http.Request) bool { return true })}} {
		s := serve(t, handleEdge(authority(t), func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Cookie"); got != "a=1" {
				t.Errorf("the handler sees Cookie %q, want a=1", got)
			}
			if opts == nil {
				check(t, waybill.Update(r.Context(), seats.To(3)))
			}
		}, append(opts, waybillhttp.Cookies())...))
		ctx, _ := auth.Receive(t.Context(), []string{issue(t, authority(t, at(-8*time.Minute)))}, nil)
		r := request(t, ctx, "GET", s.URL)
		r.Header.Set("Cookie", "a=1; __Host-wb-a="+issue(t, auth))
		a := do(t, client(t, auth, []*httptest.Server{s}), r)
		if got := seatsOf(ctx); a.Header["Set-Cookie"] != nil || opts == nil && got != 3 {
			t.Errorf("Set-Cookie %q, %d seats; want none and 3", a.Header["Set-Cookie"], got)
		}
		check(t, waybill.Lost(ctx))
	}
}

// Two edges on one host keep two journeys, if their cookies have two names.
func TestTwoEdgesOnOneHost(t *testing.T) {
	auth := authority(t)
	mux := http.NewServeMux()
	for _, name := range []string{"shop", "admin"} {
		mux.Handle("/"+name, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				check(t, waybill.Update(r.Context(), cell.To(name)))
			}
			in, _ := cell.Get(r.Context())
			io.WriteString(w, "cell="+in)
		}, waybillhttp.Cookies(waybillhttp.CookieName(name))))
	}
	b := newBrowser(t, serve(t, mux))
	for _, edge := range []string{"shop", "admin", "shop", "admin"} {
		b.visit(t, "POST", "/"+edge)
	}
	for _, edge := range []string{"shop", "admin"} {
		if a := b.visit(t, "GET", "/"+edge); a.cell != edge {
			t.Errorf("%s: cell %q", edge, a.cell)
		}
	}
}

// Parallel first visits are one journey.
func TestParallelFirstVisits(t *testing.T) {
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		for _, opts := range [][]waybillhttp.EdgeOption{{startIn}, nil} {
			var arrived sync.WaitGroup
			arrived.Add(6)
			b := newBrowser(t, serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					arrived.Done()
					arrived.Wait() // so that no request carries the token of another one's answer
					check(t, waybill.Update(r.Context(), tags.To([]string{r.URL.Path})))
				}
				reporter(t)(w, r)
			}, append(opts, waybillhttp.Cookies())...)))
			var all sync.WaitGroup
			for _, path := range []string{"/a", "/b", "/c", "/d", "/e", "/f"} {
				all.Go(func() { b.visit(t, "POST", path) })
			}
			all.Wait()
			first := b.visit(t, "GET", "/g")
			if n := len(b.held()); n != 1 {
				t.Errorf("%s: %d cookies after the next request, want 1", protection, n)
			}
			wb, err := auth.Open(b.held()[0])
			check(t, err)
			if got, _ := tags.Of(wb); len(got) != 6 || first.sid != wb.ID() {
				t.Errorf("%s: tags %v in %q, want 6 in %q", protection, got, wb.ID(), first.sid)
			}
		}
	}
}

// A handshake returns the token in cookies, for handlers that write the status and for ones that
// hijack.
func TestUpgradeWithCookies(t *testing.T) {
	auth := authority(t)
	young := issue(t, authority(t, at(-2*time.Minute)), cell.To("kept"))
	for _, path := range []string{"/status", "/hijack", "/refused"} {
		s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			check(t, waybill.Update(r.Context(), cell.To("changed")))
			switch path {
			case "/status":
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "test")
				w.WriteHeader(http.StatusSwitchingProtocols)
			case "/hijack":
				h := waybillhttp.UpgradeHeader(w)
				h.Set("Connection", "Upgrade")
				h.Set("Upgrade", "test")
				conn, buf, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(buf, "HTTP/1.1 101 Switching Protocols\r\n")
				h.Write(buf)
				io.WriteString(buf, "\r\n")
				buf.Flush()
			case "/refused":
				waybillhttp.UpgradeHeader(w)
				http.Error(w, "no", http.StatusBadRequest)
			}
		}, waybillhttp.Cookies()))
		b := newBrowser(t, s)
		b.hold(young)
		r := request(t, t.Context(), "GET", s.URL+path)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "test")
		resp, err := b.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		lines := resp.Header["Set-Cookie"]
		if len(lines) != 2 || !strings.Contains(lines[0], "=eyJ") || !strings.Contains(lines[1], "Max-Age=0") || resp.Header[returnKey] != nil {
			t.Errorf("%s: %d, Set-Cookie %q, want a token and an expiry", path, resp.StatusCode, lines)
		}
		held := b.held()
		if len(held) != 1 {
			t.Fatalf("%s: %d tokens, want 1", path, len(held))
		}
		wb, err := auth.Open(held[0])
		if got, _ := cell.Of(wb); got != "changed" || err != nil || time.Until(wb.Expires()) < 14*time.Minute {
			t.Errorf("%s: cell %q, %v, expires %v; want changed and a whole life", path, got, err, wb.Expires())
		}
	}
}

// A gRPC call at an edge is refused as one, whatever page the application has.
func TestRefusedCallAtAnEdge(t *testing.T) {
	auth := authority(t)
	page := waybillhttp.Unusable(func(http.ResponseWriter, *http.Request, string) { t.Error("the page was asked for") })
	for token, want := range map[string]string{"": "16", "garbage": "16"} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", "application/grpc-web+proto")
		r.Header.Set(headerKey, token)
		w := httptest.NewRecorder()
		handleEdge(auth, reporter(t), waybillhttp.Required(), page).ServeHTTP(w, r)
		if w.Code != 200 || w.Header().Get("Grpc-Status") != want {
			t.Errorf("%q: %d, header %v; want gRPC status %s", token, w.Code, w.Header(), want)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.Header = http.Header{"Content-Type": {"application/grpc-web"}, "Sec-Fetch-Site": {"cross-site"}}
	w := httptest.NewRecorder()
	handleEdge(auth, reporter(t), waybillhttp.Cookies(), page).ServeHTTP(w, r)
	if w.Header().Get("Grpc-Status") != "7" || w.Header().Get("Grpc-Message") != "waybill refused: cross_origin" {
		t.Errorf("cross-origin: header %v; want gRPC status 7", w.Header())
	}
}

// Logs of the edge and of inner layers hold no token, whatever carries it.
func TestEdgeLogsHoldNoToken(t *testing.T) {
	auth := authority(t)
	for protection, p := range protections {
		issuer := authority(t, waybill.Protect(p))
		for _, c := range carriers {
			var logged bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
			s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				logger.Info("request", "url", r.URL, "uri", r.RequestURI, "header", r.Header, "context", r.Context())
				if r.Method == http.MethodPost {
					check(t, r.ParseForm())
					logger.Info("form", "form", r.Form, "post", r.PostForm)
				}
				reporter(t)(w, r)
			}, append(c.options, startIn, waybillhttp.Logger(logger))...))
			for _, token := range []string{issue(t, issuer), forge(issue(t, issuer))} {
				for _, method := range []string{"GET", "POST"} {
					v := c.visitor(t, s)
					v.hold(token)
					v.visit(t, method, "/?to=/page")
				}
			}
			s.Close()
			if strings.Contains(logged.String(), "eyJ") {
				t.Errorf("%s %s: a log holds a token:\n%s", protection, c.name, &logged)
			}
		}
	}
}
