package waybillhttp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// seen remembers the tokens that a server received.
type seen struct {
	mu     sync.Mutex
	tokens []string
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, values := range r.Header {
		if strings.EqualFold(key, headerKey) || strings.EqualFold(key, returnKey) {
			s.tokens = append(s.tokens, values...)
		}
	}
}

func (s *seen) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tokens)
}

func TestNothingLeavesByAccident(t *testing.T) {
	auth := authority(t)
	foreign := otherDomain(t, newKey(t))
	const host = "cart.shop.internal"
	for _, tt := range []struct {
		name    string
		opts    []waybillhttp.ClientOption
		url     string
		auth    *waybill.Authority
		sent    bool
		outcome string
	}{
		{"no list", nil, "https://" + host, auth, false, "suppressed"},
		{"another host", []waybillhttp.ClientOption{waybillhttp.AllowHosts("shop.internal")}, "https://" + host, auth, false, "suppressed"},
		{"plain http", []waybillhttp.ClientOption{waybillhttp.AllowHosts(host)}, "http://" + host, auth, false, "suppressed"},
		{"another scheme", []waybillhttp.ClientOption{waybillhttp.AllowHosts(host), waybillhttp.AllowPlaintext()}, "ftp://" + host, auth, false, "suppressed"},
		{"plain http to another host", []waybillhttp.ClientOption{waybillhttp.AllowPlaintext()}, "http://" + host, auth, false, "suppressed"},
		{"another Authority's waybill", []waybillhttp.ClientOption{waybillhttp.AllowHosts(host)}, "https://" + host, foreign, false, "foreign_domain"},
		{"no waybill", []waybillhttp.ClientOption{waybillhttp.AllowHosts(host)}, "https://" + host, nil, false, "absent"},
		{"approved", []waybillhttp.ClientOption{waybillhttp.AllowHosts(host)}, "https://" + host, auth, true, "sent"},
		{"approved plain http", []waybillhttp.ClientOption{waybillhttp.AllowHosts(host), waybillhttp.AllowPlaintext()}, "http://" + host, auth, true, "sent"},
	} {
		for name, byHand := range map[string]http.Header{
			"":                {},
			", set by hand":   {headerKey: {"by hand"}, returnKey: {"by hand"}},
			", set otherwise": {"waybill": {"by hand"}, "waybill-update": {"by hand"}, "WAYBILL": {"by hand"}},
		} {
			t.Run(tt.name+name, func(t *testing.T) {
				m := &meter{}
				ctx := t.Context()
				want := ""
				if tt.auth != nil {
					ctx = waybilltest.Context(t, tt.auth, cell.To("eu-3"))
					if wb, _ := waybill.FromContext(ctx); tt.sent {
						want = wb.Token()
					}
				}
				var got *http.Request
				tr := must(waybillhttp.NewTransport(auth, roundTrip(func(r *http.Request) (*http.Response, error) {
					got = r
					return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
				}), append(tt.opts, waybillhttp.MeterProvider(m), waybillhttp.Logger(nolog))...))
				r := request(t, ctx, "GET", tt.url)
				r.Header = byHand.Clone()
				if _, err := tr.RoundTrip(r); err != nil {
					t.Fatal(err)
				}
				for key, values := range got.Header {
					if strings.EqualFold(key, headerKey) && (key != headerKey || want == "" || !slices.Equal(values, []string{want})) ||
						strings.EqualFold(key, returnKey) {
						t.Errorf("%s went out, want only the approved token", key)
					}
				}
				if sent := got.Header.Get(headerKey) != ""; sent != tt.sent {
					t.Errorf("sent: %v, want %v", sent, tt.sent)
				}
				if fmt.Sprint(r.Header) != fmt.Sprint(byHand) {
					t.Errorf("the caller's header is now %v, want it untouched", r.Header)
				}
				if got := m.count("waybill.inject", tt.outcome); got != 1 || len(m.all()) != 1 {
					t.Errorf("counted %v, want %s once", m.all(), tt.outcome)
				}
			})
		}
	}
}

// roundTrip is a RoundTripper for requests that no local server can answer.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, approved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d approved=%v", status, approved), func(t *testing.T) {
				auth, other := authority(t), &seen{}
				target := serve(t, other)
				first := &seen{}
				s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					first.ServeHTTP(w, r)
					handle(auth, func(w http.ResponseWriter, r *http.Request) {
						check(t, waybill.Update(r.Context(), seats.To(6)))
						http.Redirect(w, r, target.URL, status)
					}).ServeHTTP(w, r)
				}))
				servers := []*httptest.Server{s}
				if approved {
					servers = append(servers, target)
				}
				ctx, err := auth.Start(t.Context(), seats.To(1))
				check(t, err)
				sent, _ := waybill.FromContext(ctx)
				r, err := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader("body"))
				check(t, err)
				r.Header.Set(headerKey, sent.Token()) // by hand: net/http copies it to redirects
				if a := do(t, client(t, auth, servers, waybillhttp.Logger(nolog)), r); a.Request.URL.Host != host(target) {
					t.Fatalf("the answer is of %s, want the redirect's target", a.Request.URL.Host)
				}
				if got := first.all(); len(got) != 1 || got[0] != sent.Token() {
					t.Errorf("the first host got %d tokens, want the one", len(got))
				}
				if got := seatsOf(ctx); got != 6 {
					t.Errorf("%d seats, want the change of the redirecting response", got)
				}
				got := other.all()
				if !approved {
					if len(got) != 0 {
						t.Errorf("the foreign host got %d tokens, want none", len(got))
					}
					return
				}
				now, _ := waybill.FromContext(ctx)
				if len(got) != 1 || got[0] != now.Token() {
					t.Errorf("the target got %d tokens, want one, with the merged change", len(got))
				}
			})
		}
	}
}

func TestExpiredIsRefusedHere(t *testing.T) {
	var offset time.Duration // used by one goroutine
	auth := authority(t, waybill.Clock(func() time.Time { return time.Now().Add(offset) }))
	got := &seen{}
	s := serve(t, got)
	ctx := waybilltest.Context(t, auth, seats.To(1))
	offset = time.Hour
	m := &meter{}
	c := client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m))

	body := &closing{Reader: strings.NewReader("body")}
	r := request(t, ctx, "POST", s.URL)
	r.Body = body
	_, err := c.Transport.RoundTrip(r)
	if !errors.Is(err, waybill.ErrExpired) || !strings.Contains(err.Error(), "Reissue") {
		t.Errorf("got %v, want ErrExpired with the advice to Reissue", err)
	}
	if !body.closed {
		t.Error("the request's body is open, want it closed")
	}
	if len(got.all()) != 0 || m.count("waybill.inject", "expired") != 1 {
		t.Errorf("sent %d tokens, counted %v; want none and expired", len(got.all()), m.all())
	}

	// A host that is not approved gets its request.
	if a := get(t, ctx, &http.Client{Transport: must(waybillhttp.NewTransport(auth, base(t, s), waybillhttp.Logger(nolog)))}, s.URL); a.StatusCode != 200 {
		t.Errorf("a host that is not approved: %d, want 200", a.StatusCode)
	}
	fresh, err := waybill.Reissue(ctx)
	check(t, err)
	if get(t, fresh, c, s.URL); len(got.all()) != 1 {
		t.Errorf("sent %d tokens after Reissue, want 1", len(got.all()))
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// The received token is invalid, and ReportOnly let the request pass: there is no waybill to send.
func TestInvalidInboundTokenGoesNowhere(t *testing.T) {
	auth, got := authority(t), &seen{}
	inner := serve(t, got)
	outer := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if a := get(t, r.Context(), client(t, auth, []*httptest.Server{inner}), inner.URL); a.StatusCode != 200 {
			t.Errorf("the call: %d, want 200", a.StatusCode)
		}
	}, waybillhttp.ReportOnly()))
	present(t, outer, issue(t, authority(t, at(-time.Hour))))
	if n := len(got.all()); n != 0 {
		t.Errorf("%d tokens went on, want none", n)
	}
}

func TestSuppressionIsLoggedOnce(t *testing.T) {
	auth := authority(t)
	var logged bytes.Buffer
	tr := must(waybillhttp.NewTransport(auth, roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil)))))
	ctx := waybilltest.Context(t, auth)
	for range 3 {
		for _, u := range []string{"https://user:secret@a.example/path?q=secret", "https://b.example"} {
			if _, err := tr.RoundTrip(request(t, ctx, "GET", u)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, host := range []string{"a.example", "b.example"} {
		if n := strings.Count(logged.String(), "destination="+host); n != 1 {
			t.Errorf("%s is logged %d times, want once:\n%s", host, n, &logged)
		}
	}
	if strings.Contains(logged.String(), "secret") {
		t.Errorf("the log holds more than the host:\n%s", &logged)
	}
}

// anywhere returns a transport that connects to one of the two servers, whatever the name.
func anywhere(t testing.TB, secure, plain *httptest.Server) http.RoundTripper {
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := secure
			if strings.HasSuffix(addr, ":80") {
				to = plain
			}
			return new(net.Dialer).DialContext(ctx, network, to.Listener.Addr().String())
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// destinations are places to which a client of cart.shop.internal and of *.eu.internal:8443 may be
// led.
var destinations = []struct {
	name, url string
	approved  bool
}{
	{"foreign host", "https://evil.example", false},
	{"sub-domain", "https://a.cart.shop.internal", false},
	{"parent domain", "https://shop.internal", false},
	{"look-alike suffix", "https://cart.shop.internal.evil.example", false},
	{"look-alike prefix", "https://xcart.shop.internal", false},
	{"look-alike letter", "https://\u0441art.shop.internal", false}, // Cyrillic
	{"user name", "https://cart.shop.internal@evil.example", false},
	{"IP literal", "https://127.0.0.1", false},
	{"IP literal of version 6", "https://[::1]", false},
	{"IP literal as a number", "https://2130706433", false},
	{"plain http", "http://cart.shop.internal", false},
	{"another port", "https://a.eu.internal:8444", false},
	{"two labels", "https://a.b.eu.internal:8443", false},
	{"no label", "https://eu.internal:8443", false},
	{"approved", "https://cart.shop.internal/next", true},
	{"approved in capitals", "https://CART.Shop.Internal.:8443", true},
	{"approved label", "https://a.eu.internal:8443", true},
}

// The waybill is sent to approved hosts only, directly and over every redirect, even if the
// application set the header itself, which net/http copies to redirects.
func TestDestinations(t *testing.T) {
	for _, tt := range destinations {
		t.Run(tt.name, func(t *testing.T) {
			for _, status := range []int{0, 301, 302, 303, 307, 308} {
				t.Run(fmt.Sprintf("redirect=%d", status), func(t *testing.T) {
					auth, first, other := authority(t), &seen{}, &seen{}
					h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/first" {
							first.ServeHTTP(w, r)
							w.Header().Set("Location", tt.url)
							w.WriteHeader(status)
							return
						}
						other.ServeHTTP(w, r)
					})
					tr := must(waybillhttp.NewTransport(auth, anywhere(t, serve(t, h), plainServer(t, h)),
						waybillhttp.AllowHosts("cart.shop.internal", "*.eu.internal:8443"), waybillhttp.Logger(nolog)))
					from := "https://cart.shop.internal/first"
					if status == 0 {
						from = tt.url
					}
					ctx := waybilltest.Context(t, auth, cell.To("eu-3"))
					sent, _ := waybill.FromContext(ctx)
					r := request(t, ctx, "POST", from)
					r.Header.Set(headerKey, sent.Token())
					if a := do(t, &http.Client{Transport: tr}, r); a.StatusCode != 200 {
						t.Fatalf("got %d, want the destination's 200", a.StatusCode)
					}
					if n := len(first.all()); status != 0 && n != 1 {
						t.Errorf("the first host got %d tokens, want 1", n)
					}
					if got := len(other.all()); got != map[bool]int{true: 1}[tt.approved] {
						t.Errorf("%s got %d tokens, approved: %v", tt.url, got, tt.approved)
					}
				})
			}
		})
	}
}

func plainServer(t testing.TB, h http.Handler) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// A handler that copies its request into a new one forwards no token, whatever client it uses.
func TestCopiedInboundHeaders(t *testing.T) {
	for name, makeRequest := range map[string]func(*http.Request, string) *http.Request{
		"headers": func(r *http.Request, to string) *http.Request {
			out := request(t, r.Context(), "GET", to)
			out.Header = r.Header.Clone()
			return out
		},
		"request": func(r *http.Request, to string) *http.Request {
			out := r.Clone(r.Context())
			out.URL, _ = url.Parse(to)
			out.RequestURI = ""
			return out
		},
	} {
		t.Run(name, func(t *testing.T) {
			auth, got := authority(t), &seen{}
			inner := serve(t, got)
			s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
				for _, rt := range []http.RoundTripper{
					base(t, inner),
					must(waybillhttp.NewTransport(auth, base(t, inner), waybillhttp.Logger(nolog))),
				} {
					do(t, &http.Client{Transport: rt}, makeRequest(r, inner.URL))
				}
			}))
			r := request(t, t.Context(), "GET", s.URL)
			r.Header[headerKey] = []string{issue(t, auth)}
			r.Header[returnKey] = []string{issue(t, auth)}
			do(t, s.Client(), r)
			if n := len(got.all()); n != 0 {
				t.Errorf("%d tokens went on, want none", n)
			}
		})
	}
}
