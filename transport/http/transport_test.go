package waybillhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestForeignUpdateIsDropped(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth := authority(t)
			forged := issue(t, auth, seats.To(99))
			s := p.start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", returnKey)
				w.Header().Set(returnKey, forged)
				flushed(w)
				w.Header().Set(returnKey, forged)
			}))
			ctx, err := auth.Start(t.Context(), seats.To(1))
			check(t, err)
			c := &http.Client{Transport: must(waybillhttp.NewTransport(auth, base(t, s), waybillhttp.Logger(nolog)))}
			resp, err := c.Do(request(t, ctx, "GET", s.URL))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for _, when := range []string{"before", "after"} {
				if _, ok := resp.Trailer[returnKey]; ok || resp.Header[returnKey] != nil {
					t.Errorf("%s the body: header %v, trailer %v; want no returned token", when, resp.Header, resp.Trailer)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatal(err)
				}
			}
			if got := seatsOf(ctx); got != 1 {
				t.Errorf("%d seats, want the caller's 1", got)
			}
		})
	}
}

func TestRejectedTokens(t *testing.T) {
	auth := authority(t)
	base, err := auth.Start(t.Context(), seats.To(1), tenant.To("a"))
	check(t, err)
	wb, err := waybill.FromContext(base)
	check(t, err)
	updated := func(changes ...waybill.Change) string {
		ctx, hop := authority(t).Receive(t.Context(), []string{wb.Token()}, nil)
		check(t, waybill.Update(ctx, changes...))
		return hop.Commit(waybill.Succeeded)[0]
	}
	for _, tt := range []struct {
		name    string
		updates []string
		want    error
	}{
		{"of another journey", []string{issue(t, auth, seats.To(99))}, waybill.ErrStale},
		{"forged", []string{forge(updated(seats.To(99)))}, waybill.ErrForged},
		{"garbage", []string{"garbage"}, waybill.ErrMalformed},
		{"empty", []string{"", ""}, waybill.ErrMalformed},
		{"five", slices.Repeat([]string{updated(seats.To(99))}, 5), waybill.ErrMalformed},
		{"too large", []string{strings.Repeat("a", waybill.DefaultAcceptLimit+1)}, waybill.ErrTooLarge},
		{"of another protection", []string{issue(t, authority(t, waybill.Protect(waybill.Sealed)))}, waybill.ErrProtection},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &meter{}
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()[returnKey] = tt.updates
				io.WriteString(w, "body")
			}))
			ctx, _ := auth.Receive(t.Context(), []string{wb.Token()}, nil)
			a := get(t, ctx, client(t, auth, []*httptest.Server{s}, waybillhttp.MeterProvider(m)), s.URL)
			if a.body != "body" || a.StatusCode != 200 || a.Header[returnKey] != nil {
				t.Errorf("got %d %q, header %v; want the response without the returned token", a.StatusCode, a.body, a.Header)
			}
			if got := seatsOf(ctx); got != 1 {
				t.Errorf("%d seats, want 1", got)
			}
			if err := waybill.Lost(ctx); !errors.Is(err, tt.want) {
				t.Errorf("lost: %v, want %v", err, tt.want)
			}
			outcome := "rejected"
			if tt.want == waybill.ErrTooLarge {
				outcome = "too_large"
			}
			if got := m.count("waybill.return", outcome); got != 1 {
				t.Errorf("counted %v, want %s once", m.all(), outcome)
			}
		})
	}
}

func TestOnlyAccept(t *testing.T) {
	auth := authority(t)
	s := serve(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(5), cell.To("elsewhere")))
	}))
	ctx := waybilltest.Context(t, auth, seats.To(1), cell.To("eu-3"))
	get(t, ctx, client(t, auth, []*httptest.Server{s}, waybillhttp.OnlyAccept(seats)), s.URL)
	if got := seatsOf(ctx); got != 5 {
		t.Errorf("%d seats, want 5", got)
	}
	if got, _ := cell.Get(ctx); got != "eu-3" {
		t.Errorf("cell %q, want eu-3: it is not accepted back", got)
	}
	if err := waybill.Lost(ctx); !errors.Is(err, waybill.ErrNotAccepted) {
		t.Errorf("lost: %v, want ErrNotAccepted", err)
	}
}

// The caller enforces OnSuccess even if the callee does not.
func TestFailedCallKeepsOnSuccessClaims(t *testing.T) {
	for status, want := range map[int]bool{200: true, 399: true, 400: false, 500: false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			auth := authority(t)
			lax := waybilltest.Authority(t, waybill.Claims(waybill.NewClaim[string]("coupon")))
			s := serve(t, handle(lax, func(w http.ResponseWriter, r *http.Request) {
				check(t, waybill.Update(r.Context(), waybill.NewClaim[string]("coupon").To("used")))
				w.WriteHeader(status)
			}))
			ctx := waybilltest.Context(t, auth)
			get(t, ctx, client(t, auth, []*httptest.Server{s}), s.URL)
			if _, ok := coupon.Get(ctx); ok != want {
				t.Errorf("the claim came back with %d: %v, want %v", status, ok, want)
			}
		})
	}
}

// Fifty concurrent calls change shared claims and their own. Nothing is lost, whatever the order.
func TestParallelCallsMerge(t *testing.T) {
	const calls = 50
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			auth := authority(t)
			inner := p.start(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
				var n int
				fmt.Sscan(r.URL.Query().Get("n"), &n)
				add := func(all []string) []string { return append(all, fmt.Sprintf("%02d", n)) }
				raise := func(old int) int { return max(old, n) }
				check(t, waybill.Update(r.Context(), seats.With(raise), tags.With(add)))
			}))
			c := client(t, auth, []*httptest.Server{inner})
			outer := p.start(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
				var wg sync.WaitGroup
				for n := range calls {
					wg.Go(func() {
						resp, err := c.Do(request(t, r.Context(), "GET", fmt.Sprintf("%s?n=%d", inner.URL, n+1)))
						if err != nil {
							t.Errorf("call %d: %v", n, err)
							return
						}
						resp.Body.Close()
					})
				}
				check(t, waybill.Update(r.Context(), cell.To("mine")))
				wg.Wait()
				check(t, waybill.Lost(r.Context()))
			}))
			wb := present(t, outer, issue(t, auth, seats.To(0), cell.To("eu-3"))).claims(t, auth)
			if n, _ := seats.Of(wb); n != calls {
				t.Errorf("%d seats, want the greatest of all: %d", n, calls)
			}
			if all, _ := tags.Of(wb); len(all) != calls {
				t.Errorf("%d tags, want those of all %d calls", len(all), calls)
			}
			if got, _ := cell.Of(wb); got != "mine" {
				t.Errorf("cell %q, want the handler's own change", got)
			}
		})
	}
}

// A service that only forwards returns the token unchanged.
func TestRelayIsVerbatim(t *testing.T) {
	auth, m := authority(t), &meter{}
	var made string
	inner := serve(t, handle(authority(t), func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(3)))
		wb, _ := waybill.FromContext(r.Context())
		made = wb.Token()
	}))
	outer := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		get(t, r.Context(), client(t, auth, []*httptest.Server{inner}, waybillhttp.MeterProvider(m)), inner.URL)
	}))
	a := present(t, outer, issue(t, auth))
	inner.Close()
	if a.Header.Get(returnKey) != made || made == "" {
		t.Error("the client's returned token is not the inner service's, want it byte for byte")
	}
	if got := m.count("waybill.return", "relayed"); got != 1 {
		t.Errorf("counted %v, want relayed once", m.all())
	}
}

func TestBackgroundWork(t *testing.T) {
	auth, got := authority(t), &seen{}
	inner := serve(t, got)
	s := serve(t, handle(auth, func(w http.ResponseWriter, r *http.Request) {
		get(t, waybill.Detach(r.Context()), client(t, auth, []*httptest.Server{inner}), inner.URL)
		get(t, waybill.Without(r.Context()), client(t, auth, []*httptest.Server{inner}), inner.URL)
	}))
	token := issue(t, auth)
	present(t, s, token)
	if all := got.all(); len(all) != 1 || all[0] != token {
		t.Errorf("%d tokens went on, want one: of the detached context", len(all))
	}
}

func TestBaseOfTransport(t *testing.T) {
	auth := authority(t)
	down := errors.New("down")
	idle := 0
	tr := must(waybillhttp.NewTransport(auth, &closer{func(*http.Request) (*http.Response, error) { return nil, down }, &idle}, waybillhttp.Logger(nolog)))
	ctx := waybilltest.Context(t, auth)
	if resp, err := tr.RoundTrip(request(t, ctx, "GET", "https://a.example")); resp != nil || err != down {
		t.Errorf("got %v, %v; want the base's error", resp, err)
	}
	(&http.Client{Transport: tr}).CloseIdleConnections()
	if idle != 1 {
		t.Errorf("CloseIdleConnections reached the base %d times, want once", idle)
	}
	must(waybillhttp.NewTransport(auth, roundTrip(nil))).CloseIdleConnections() // a base without that method

	_, err := must(waybillhttp.NewTransport(auth, nil)).RoundTrip((&http.Request{Method: "GET"}).WithContext(ctx))
	if err == nil || !strings.Contains(err.Error(), "nil Request.URL") {
		t.Errorf("a request without a URL: %v, want net/http's error", err)
	}
}

type closer struct {
	roundTrip
	idle *int
}

func (c *closer) CloseIdleConnections() { *c.idle++ }

// The body of a switched protocol is a connection, and must not be wrapped.
func TestSwitchedProtocolKeepsItsBody(t *testing.T) {
	conn := struct {
		io.Reader
		io.WriteCloser
	}{}
	tr := must(waybillhttp.NewTransport(authority(t), roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 101, ContentLength: -1, Body: conn}, nil
	})))
	resp, err := tr.RoundTrip(request(t, t.Context(), "GET", "https://a.example"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != conn {
		t.Errorf("the body is a %T, want the base's", resp.Body)
	}
}

// A request without a header map gets one.
func TestNilHeader(t *testing.T) {
	auth := authority(t)
	var got http.Header
	tr := must(waybillhttp.NewTransport(auth, roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return &http.Response{StatusCode: 200}, nil
	}), waybillhttp.AllowHosts("a.example")))
	r := (&http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: "a.example"}}).WithContext(waybilltest.Context(t, auth))
	if _, err := tr.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if got.Get(headerKey) == "" {
		t.Error("no token went out, want it in a new header")
	}
}
