package waybillhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// A Transport says that it is a hop, with each waybill and nowhere else, and lists TE in Connection
// where HTTP has that field. Connections are used again.
func TestTransportSaysThatItIsAHop(t *testing.T) {
	for _, p := range protocols {
		for name, tt := range map[string]struct {
			allowed, waybill, upgrade bool
			hop                       bool
		}{
			"approved":      {allowed: true, waybill: true, hop: true},
			"not approved":  {waybill: true},
			"no waybill":    {allowed: true},
			"other options": {allowed: true, waybill: true, upgrade: true, hop: true},
		} {
			if tt.upgrade && p.major == 2 {
				continue // HTTP/2 has no upgrades
			}
			t.Run(p.name+"/"+name, func(t *testing.T) {
				auth := authority(t)
				got := make(chan http.Header, 2)
				s := p.start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Clone() }))
				var opts []waybillhttp.ClientOption
				if tt.allowed {
					opts = append(opts, waybillhttp.AllowHosts(host(s)))
				}
				tr := must(waybillhttp.NewTransport(auth, base(t, s), append(opts, waybillhttp.Logger(nolog))...))
				ctx := t.Context()
				if tt.waybill {
					ctx = waybilltest.Context(t, auth)
				}
				reused := false
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
				for range 2 {
					r := request(t, ctx, "GET", s.URL)
					r.Header["waybill-hop"] = []string{"by hand"}
					if tt.upgrade {
						r.Header.Set("Connection", "Upgrade")
						r.Header.Set("Upgrade", "theirs")
					}
					do(t, &http.Client{Transport: tr}, r)
					h := <-got
					want := map[bool][]string{true: {"1"}}[tt.hop]
					if !slices.Equal(h[hopKey], want) {
						t.Errorf("%s %q, want %q", hopKey, h[hopKey], want)
					}
					te := tt.hop && !tt.upgrade
					if got := h.Get("Te") == "trailers"; got != te {
						t.Errorf("TE %q, want trailers: %v", h["Te"], te)
					}
					connection := map[bool][]string{true: {"TE"}}[te && p.major == 1]
					if tt.upgrade {
						connection = []string{"Upgrade"}
					}
					if !slices.Equal(h["Connection"], connection) {
						t.Errorf("Connection %q, want %q", h["Connection"], connection)
					}
				}
				if !reused && !tt.upgrade {
					t.Error("the second request made another connection, want the first one's")
				}
			})
		}
	}
}

// Handlers do not see that the request came from a hop, so that a proxy does not pass it on.
func TestHandlersDoNotSeeTheHop(t *testing.T) {
	auth := authority(t)
	see := func(w http.ResponseWriter, r *http.Request) {
		if r.Header[hopKey] != nil {
			t.Errorf("the handler sees %s: %q", hopKey, r.Header[hopKey])
		}
	}
	skip := waybillhttp.Skip(func(*http.Request) bool { return true })
	for _, h := range []http.Handler{handle(auth, see), handleEdge(auth, see), handle(auth, see, skip)} {
		for _, token := range []string{"", issue(t, auth)} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set(hopKey, "1")
			if token != "" {
				r.Header.Set(headerKey, token)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if r.Header.Get(hopKey) != "1" {
				t.Error("the original request has changed")
			}
		}
	}
}

// An edge treats a hop as a server does: its waybill is not renewed, so the hop's own changes and
// those of the edge's handler merge. It begins no journey either.
func TestEdgeServesAHopAsAServerDoes(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			old := issue(t, authority(t, at(-8*time.Minute)), cell.To("kept"))
			auth := authority(t)
			s := p.start(t, handleEdge(authority(t), func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/early":
					check(t, waybill.Update(r.Context(), seats.To(4)))
				case "/late":
					flushed(w)
					check(t, waybill.Update(r.Context(), seats.To(5)))
				}
			}))
			c := client(t, auth, []*httptest.Server{s})
			for path, want := range map[string]int{"/": -1, "/early": 4, "/late": 5} {
				ctx, _ := auth.Receive(t.Context(), []string{old}, nil)
				a := get(t, ctx, c, s.URL+path)
				if got := seatsOf(ctx); got != want || a.StatusCode != 200 {
					t.Errorf("%s: %d, %d seats; want 200 and %d", path, a.StatusCode, got, want)
				}
				check(t, waybill.Lost(ctx))
				if a.Header.Get("Cache-Control") != map[bool]string{true: "no-store"}[path == "/early"] {
					t.Errorf("%s: Cache-Control %q, want no-store next to a token only", path, a.Header.Get("Cache-Control"))
				}
			}
			r := request(t, t.Context(), "GET", s.URL)
			r.Header.Set(hopKey, "1")
			r.Header.Set(headerKey, issue(t, authority(t, at(-time.Hour))))
			if a := do(t, s.Client(), r); a.StatusCode != 401 || a.Header[returnKey] != nil {
				t.Errorf("an expired waybill: %d, header %v; want 401 and no journey begun", a.StatusCode, a.Header)
			}
		})
	}
}

// A client that calls itself a hop gains nothing: without a waybill it is a client, whose journey
// the edge begins, or refuses to begin.
func TestHopWithoutAWaybillIsAClient(t *testing.T) {
	auth := authority(t)
	begun := waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) { return nil, nil })
	declined := waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) { return nil, waybill.ErrNoWaybill })
	for name, tt := range map[string]struct {
		opts   []waybillhttp.EdgeOption
		status int
	}{"begins": {[]waybillhttp.EdgeOption{begun}, 200}, "declines": {[]waybillhttp.EdgeOption{declined}, 401}} {
		s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			flushed(w)
			if err := waybill.Update(r.Context(), seats.To(4)); !errors.Is(err, waybill.ErrTooLate) {
				t.Errorf("late Update: %v, want ErrTooLate", err)
			}
		}, tt.opts...))
		r := request(t, t.Context(), "GET", s.URL)
		r.Header.Set(hopKey, "1")
		r.Header.Set("Te", "trailers")
		if a := do(t, s.Client(), r); a.StatusCode != tt.status || (a.Header[returnKey] != nil) != (tt.status == 200) {
			t.Errorf("%s: got %d, header %v; want %d", name, a.StatusCode, a.Header, tt.status)
		}
	}
}

// An edge inside a server sees what the server's request was, and a layer in between may copy it.
func TestEdgeInsideAServerKnowsTheHop(t *testing.T) {
	auth := authority(t)
	token := issue(t, authority(t, at(-8*time.Minute)), cell.To("kept"))
	edge := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		if got, _ := cell.Get(r.Context()); got != "kept" {
			t.Errorf("cell %q, want kept", got)
		}
	})
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		edge.ServeHTTP(unwrapping{w}, r.Clone(r.Context()))
	}))
	for hop, renewed := range map[string]bool{"": true, "1": false, "2": true} {
		r := request(t, t.Context(), "GET", s.URL)
		r.Header.Set(headerKey, token)
		if hop != "" {
			r.Header.Set(hopKey, hop)
		}
		if a := do(t, s.Client(), r); (a.Header[returnKey] != nil) != renewed {
			t.Errorf("%s %q: returned token %v, want one: %v", hopKey, hop, a.Header[returnKey] != nil, renewed)
		}
	}
}

// A middleware takes a request for the outer one's only if its writer and its context are.
func TestAnotherRequestInsideIsNotTheSame(t *testing.T) {
	auth := authority(t)
	inner := handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if got, err := cell.Lookup(r.Context()); !errors.Is(err, waybill.ErrNoWaybill) {
			t.Errorf("%s: cell %q, %v; want no waybill", r.URL.Path, got, err)
		}
	})
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		other := httptest.NewRequestWithContext(r.Context(), "GET", "/own-writer", nil)
		inner.ServeHTTP(httptest.NewRecorder(), other)
		other = httptest.NewRequestWithContext(waybill.Without(r.Context()), "GET", "/own-context", nil)
		inner.ServeHTTP(w, other)
	}))
	present(t, s, issue(t, auth, cell.To("eu-3")))
}

// A middleware of another Authority shows nothing of the outer one's waybill.
func TestAnotherAuthorityInsideSeesNoWaybill(t *testing.T) {
	auth := authority(t)
	derived, err := auth.Derive("other", declared)
	check(t, err)
	inner := handle(derived, func(w http.ResponseWriter, r *http.Request) {
		if got, err := cell.Lookup(r.Context()); !errors.Is(err, waybill.ErrNoWaybill) {
			t.Errorf("cell %q, %v; want no waybill", got, err)
		}
	})
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r.Clone(r.Context())) }))
	present(t, s, issue(t, auth, cell.To("eu-3")))
}

// A browser asks for trailers and reads none: its own cache may store static files behind an edge.
func TestStaticFilesBehindAnEdge(t *testing.T) {
	for _, p := range protocols {
		for name, hop := range map[string]string{"browser": "", "hop": "1"} {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				auth := authority(t)
				s := p.start(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/cached" {
						w.Header().Set("Cache-Control", "max-age=60")
					}
					http.ServeContent(w, r, "a.css", time.Now(), strings.NewReader("body"))
				}, waybillhttp.Logger(nolog)))
				wants := map[string]string{"/cached": "private, max-age=60", "/": "private"}
				if hop != "" {
					wants = map[string]string{"/cached": "max-age=60", "/": ""}
				}
				for path, want := range wants {
					r := request(t, t.Context(), "GET", s.URL+path)
					r.Header.Set(headerKey, issue(t, auth))
					r.Header.Set("Te", "trailers")
					if hop != "" {
						r.Header.Set(hopKey, hop)
					}
					if a := do(t, s.Client(), r); a.Header.Get("Cache-Control") != want || a.body != "body" {
						t.Errorf("%s: Cache-Control %q, want %q", path, a.Header.Get("Cache-Control"), want)
					}
				}
			})
		}
	}
}

// Trailers of a request reach the handler, whether the client announced them or not. Over HTTP/2,
// net/http drops those that were not announced.
func TestRequestTrailers(t *testing.T) {
	for name, h := range map[string]func(*waybill.Authority, http.HandlerFunc) http.Handler{
		"server": func(auth *waybill.Authority, f http.HandlerFunc) http.Handler { return handle(auth, f) },
		"edge":   func(auth *waybill.Authority, f http.HandlerFunc) http.Handler { return handleEdge(auth, f) },
		"skipped": func(auth *waybill.Authority, f http.HandlerFunc) http.Handler {
			return handle(auth, f, waybillhttp.Skip(func(*http.Request) bool { return true }))
		},
	} {
		for _, announced := range []string{"", "Trailer: X-Sum\r\n"} {
			auth := authority(t)
			s := plainServer(t, h(auth, func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				check(t, err)
				if r.Trailer.Get("X-Sum") != "42" || string(b) != "body" {
					t.Errorf("%s, announced %q: body %q, trailer %v; want X-Sum: 42", name, announced, b, r.Trailer)
				}
			}))
			raw := "POST / HTTP/1.1\r\nHost: a\r\nWaybill: " + issue(t, auth) + "\r\nTransfer-Encoding: chunked\r\n" + announced +
				"Connection: close\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n"
			if got := exchange(t, s, raw); !strings.HasPrefix(got, "HTTP/1.1 200") {
				t.Errorf("%s: got %q, want 200", name, got)
			}
		}
	}
}

// While a deployment rolls, callers without Waybill-Hop call servers that look for it, and callers
// with it call servers that look at TE only. A change that a handler could make arrives.
func TestHopWhileADeploymentRolls(t *testing.T) {
	for _, p := range protocols {
		for _, oldCaller := range []bool{false, true} {
			for _, oldServer := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/old caller=%v old server=%v", p.name, oldCaller, oldServer), func(t *testing.T) {
					auth := authority(t)
					late := make(chan error, 1)
					h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
						check(t, waybill.Update(r.Context(), seats.To(4)))
						flushed(w)
						late <- waybill.Update(r.Context(), seats.To(5))
					})
					s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if oldServer {
							r.Header.Set(hopKey, "1") // every caller with TE gets a trailer
						}
						h.ServeHTTP(w, r)
					}))
					rt := base(t, s)
					if oldCaller {
						rt = withoutHop{rt}
					}
					ctx := waybilltest.Context(t, auth)
					tr := must(waybillhttp.NewTransport(auth, rt, waybillhttp.AllowHosts(host(s))))
					get(t, ctx, &http.Client{Transport: tr}, s.URL)
					want := 5
					if err := <-late; err != nil {
						want = 4
						if !oldCaller || oldServer || !errors.Is(err, waybill.ErrTooLate) {
							t.Errorf("late Update: %v, want an error for an old caller of a new server only", err)
						}
					}
					if got := seatsOf(ctx); got != want {
						t.Errorf("%d seats, want %d", got, want)
					}
					check(t, waybill.Lost(ctx))
				})
			}
		}
	}
}

// withoutHop sends requests as a Transport did before there was Waybill-Hop.
type withoutHop struct{ http.RoundTripper }

func (t withoutHop) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del(hopKey)
	delete(r.Header, "connection")
	return t.RoundTripper.RoundTrip(r)
}
