package waybillhttp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// seen remembers the tokens that a server got.
type seen struct {
	mu     sync.Mutex
	tokens []string
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, values := range r.Header {
		if strings.EqualFold(key, headerKey) || strings.EqualFold(key, updateKey) {
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
	foreign, err := waybill.New("other", otherDomain(t).Ring(), declared)
	if err != nil {
		t.Fatal(err)
	}
	const host = "cart.shop.internal"
	for _, tt := range []struct {
		name    string
		opts    []waybillhttp.Option
		url     string
		auth    *waybill.Authority
		sent    bool
		outcome string
	}{
		{"no list", nil, "https://" + host, auth, false, "suppressed"},
		{"another host", []waybillhttp.Option{waybillhttp.AllowHosts("shop.internal")}, "https://" + host, auth, false, "suppressed"},
		{"plain http", []waybillhttp.Option{waybillhttp.AllowHosts(host)}, "http://" + host, auth, false, "suppressed"},
		{"another scheme", []waybillhttp.Option{waybillhttp.AllowHosts(host), waybillhttp.AllowPlaintext()}, "ftp://" + host, auth, false, "suppressed"},
		{"plain http to another host", []waybillhttp.Option{waybillhttp.AllowPlaintext()}, "http://" + host, auth, false, "suppressed"},
		{"another Authority's waybill", []waybillhttp.Option{waybillhttp.AllowHosts(host)}, "https://" + host, foreign, false, "foreign_domain"},
		{"no waybill", []waybillhttp.Option{waybillhttp.AllowHosts(host)}, "https://" + host, nil, false, "absent"},
		{"approved", []waybillhttp.Option{waybillhttp.AllowHosts(host)}, "https://" + host, auth, true, "sent"},
		{"approved plain http", []waybillhttp.Option{waybillhttp.AllowHosts(host), waybillhttp.AllowPlaintext()}, "http://" + host, auth, true, "sent"},
	} {
		for name, byHand := range map[string]http.Header{
			"":                {},
			", set by hand":   {headerKey: {"by hand"}, updateKey: {"by hand"}},
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
				tr := waybillhttp.NewTransport(auth, roundTrip(func(r *http.Request) (*http.Response, error) {
					got = r
					return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
				}), append(tt.opts, waybillhttp.MeterProvider(m), waybillhttp.Logger(nolog))...)
				r := request(t, ctx, "GET", tt.url)
				r.Header = byHand.Clone()
				if _, err := tr.RoundTrip(r); err != nil {
					t.Fatal(err)
				}
				for key, values := range got.Header {
					if strings.EqualFold(key, headerKey) && (key != headerKey || want == "" || !slices.Equal(values, []string{want})) ||
						strings.EqualFold(key, updateKey) {
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

// roundTrip is a RoundTripper for what no server on this machine can answer.
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
				r.Header.Set(headerKey, sent.Token()) // by hand: net/http would pass it on
				if a := do(t, client(t, auth, servers, waybillhttp.Logger(nolog)), r); a.Request.URL.Host != host(target) {
					t.Fatalf("the answer is of %s, want the redirect's target", a.Request.URL.Host)
				}
				if got := first.all(); len(got) != 1 || got[0] != sent.Token() {
					t.Errorf("the first host got %d tokens, want the one", len(got))
				}
				if got := seatsOf(ctx); got != 6 {
					t.Errorf("%d seats, want the update of the redirecting answer", got)
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
					t.Errorf("the target got %d tokens, want one: that with the update", len(got))
				}
			})
		}
	}
}

func TestExpiredIsRefusedHere(t *testing.T) {
	var offset time.Duration // one goroutine
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

	// A host that would get no waybill gets its request.
	if a := get(t, ctx, &http.Client{Transport: waybillhttp.NewTransport(auth, base(t, s), waybillhttp.Logger(nolog))}, s.URL); a.StatusCode != 200 {
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

// The token that came was refused, or let pass by a policy that observes: there is no waybill to send.
func TestInvalidInboundTokenGoesNowhere(t *testing.T) {
	auth, got := authority(t), &seen{}
	inner := serve(t, got)
	outer := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		if a := get(t, r.Context(), client(t, auth, []*httptest.Server{inner}), inner.URL); a.StatusCode != 200 {
			t.Errorf("the call: %d, want 200", a.StatusCode)
		}
	}, waybillhttp.Observe()))
	present(t, outer, issue(t, authority(t, at(-time.Hour))))
	if n := len(got.all()); n != 0 {
		t.Errorf("%d tokens went on, want none", n)
	}
}

func TestSuppressionIsLoggedOnce(t *testing.T) {
	auth := authority(t)
	var logged bytes.Buffer
	tr := waybillhttp.NewTransport(auth, roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil))))
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
