package waybillhttp_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

var nolog = slog.New(slog.DiscardHandler)

// sid returns the journey of a token.
func sid(t testing.TB, token string) string {
	t.Helper()
	wb, _ := authority(t).OpenEnded(token)
	return wb.ID()
}

func TestEdge(t *testing.T) {
	auth := authority(t)
	strange, _ := unknownKey(t)
	const (
		began     = "began"     // another journey
		renewed   = "renewed"   // the same journey, with a new life
		unchanged = "unchanged" // no update
	)
	for _, tt := range []struct {
		name  string
		auth  *waybill.Authority
		token string
		want  string
	}{
		{"first visit", auth, "", began},
		{"expired within Idle", auth, issue(t, authority(t, at(-time.Hour)), cell.To("kept")), renewed},
		{"expired before Idle", auth, issue(t, authority(t, at(-3*time.Hour)), cell.To("old")), began},
		{"unknown key", auth, strange, began},
		{"young", auth, issue(t, auth, cell.To("kept")), unchanged},
		{"older than half of its life", auth, issue(t, authority(t, at(-8*time.Minute)), cell.To("kept")), renewed},
		{"near the end of the journey", auth,
			issue(t, authority(t, at(-8*time.Minute), waybill.Journey(15*time.Minute)), cell.To("kept")), unchanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, handleEdge(tt.auth, func(w http.ResponseWriter, r *http.Request) {
				want := "kept"
				if tt.want == began {
					want = "eu-1"
				}
				if got, _ := cell.Get(r.Context()); got != want {
					t.Errorf("the handler sees cell %q, want %q", got, want)
				}
			}, waybillhttp.StartWith(func(r *http.Request) ([]waybill.Change, error) {
				if r.Header.Get(headerKey) != "" {
					t.Error("start sees the token, want it removed")
				}
				return []waybill.Change{cell.To("eu-1"), tenant.To(r.Host)}, nil
			})))
			a := present(t, s, tt.token)
			if a.StatusCode != 200 {
				t.Fatalf("status %d, want 200: %s", a.StatusCode, a.body)
			}
			if tt.want == unchanged {
				if a.Header[returnKey] != nil {
					t.Errorf("got a returned token, want none")
				}
				return
			}
			wb := a.claims(t, tt.auth)
			if same := wb.ID() == sid(t, tt.token); same != (tt.want == renewed) {
				t.Errorf("same journey: %v, want it %s", same, tt.want)
			}
			if age := time.Since(wb.Issued()); age > time.Minute {
				t.Errorf("issued %v ago, want now", age)
			}
			if got, _ := tenant.Of(wb); (got == host(s)) != (tt.want == began) {
				t.Errorf("tenant %q in a journey that %s", got, tt.want)
			}
			if got := a.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
		})
	}
}

// A ring that has not been confirmed recently may lack a new key. The edge keeps the client's journey
// and asks it to come again.
func TestEdgeKeepsAJourneyUnderAnUnconfirmedKey(t *testing.T) {
	strange, _ := unknownKey(t)
	var started, ran bool
	start := waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) {
		started = true
		return nil, nil
	})
	for name, opts := range map[string][]waybillhttp.EdgeOption{"": {start}, "ReportOnly": {start, waybillhttp.ReportOnly()}} {
		started, ran = false, false
		s := serve(t, handleEdge(withRingAnd(t, newKey(t)), func(w http.ResponseWriter, r *http.Request) {
			ran = true
			if _, err := waybill.FromContext(r.Context()); !errors.Is(err, waybill.ErrUnknownKey) {
				t.Errorf("%s: the handler sees %v, want ErrUnknownKey", name, err)
			}
		}, opts...))
		want, retry := 503, "5"
		if name != "" {
			want, retry = 200, ""
		}
		a := present(t, s, strange)
		s.Close()
		if a.StatusCode != want || a.Header.Get("Retry-After") != retry || a.Header[returnKey] != nil {
			t.Errorf("%s: got %d, header %v; want %d, Retry-After %q and no returned token", name, a.StatusCode, a.Header, want, retry)
		}
		if started || ran != (name != "") {
			t.Errorf("%s: a journey begun: %v, handler ran: %v; want no journey", name, started, ran)
		}
	}
}

// withRingAnd returns an Authority whose ring contains this key and has lost its source.
func withRingAnd(t testing.TB, key *keyring.Key) *waybill.Authority {
	t.Helper()
	ring := staleRing(t)
	if err := ring.Swap(newSet(t, waybilltest.Domain, key)); err != nil {
		t.Fatal(err)
	}
	return withRing(t, ring)
}

func TestEdgeWithoutClaims(t *testing.T) {
	auth := authority(t)
	s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		check(t, waybill.Update(r.Context(), seats.To(1)))
	}))
	first := present(t, s, "")
	if n, ok := seats.Of(first.claims(t, auth)); n != 1 || !ok {
		t.Errorf("first response: seats %d, %v; want the handler's change in the new journey", n, ok)
	}
	second := present(t, s, first.Header.Get(returnKey))
	if second.StatusCode != 200 || second.Header[returnKey] != nil {
		t.Errorf("second visit: %d, header %v; want 200 and no returned token", second.StatusCode, second.Header)
	}
}

func TestEdgeCannotBegin(t *testing.T) {
	broken := errors.New("cell table is down at 10.0.0.9")
	for _, tt := range []struct {
		name   string
		auth   *waybill.Authority
		start  func(*http.Request) ([]waybill.Change, error)
		status int
		reason string
		logged bool
	}{
		{"start fails", authority(t), func(*http.Request) ([]waybill.Change, error) { return nil, broken }, 503, "error", true},
		{"start declines", authority(t), func(*http.Request) ([]waybill.Change, error) {
			return nil, waybill.ErrNoWaybill
		}, 401, "absent", false},
		{"too large to issue", authority(t), func(*http.Request) ([]waybill.Change, error) {
			return []waybill.Change{cell.To(strings.Repeat("x", waybill.DefaultIssueLimit))}, nil
		}, 503, "error", true},
		{"undeclared claim", waybilltest.Authority(t), func(*http.Request) ([]waybill.Change, error) {
			return []waybill.Change{cell.To("x")}, nil
		}, 503, "error", true},
		{"no key", withRing(t, keyring.NewRing(nil)), nil, 503, "no_key", true},
		{"start fails with a status", authority(t), func(*http.Request) ([]waybill.Change, error) {
			return nil, waybill.ErrMissingClaim
		}, 403, "missing_claim", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			logger := waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil)))
			ran := false
			opts := []waybillhttp.EdgeOption{logger}
			if tt.start != nil {
				opts = append(opts, waybillhttp.StartWith(tt.start))
			}
			s := serve(t, handleEdge(tt.auth, func(http.ResponseWriter, *http.Request) { ran = true }, opts...))
			a := present(t, s, "")
			if a.StatusCode != tt.status || !strings.Contains(a.body, `"reason":"`+tt.reason+`"`) || ran {
				t.Errorf("%d %s, handler ran: %v; want %d with reason %s and no handler", a.StatusCode, a.body, ran, tt.status, tt.reason)
			}
			if strings.Contains(a.body, "10.0.0.9") {
				t.Errorf("the body tells the cause: %s", a.body)
			}
			s.Close()
			if got := logged.Len() > 0; got != tt.logged {
				t.Errorf("logged %q, want something: %v", &logged, tt.logged)
			}

			opts = append(opts, waybillhttp.ReportOnly(), waybillhttp.Logger(nolog))
			reported := serve(t, handleEdge(tt.auth, func(http.ResponseWriter, *http.Request) {}, opts...))
			if a := present(t, reported, ""); a.StatusCode != 200 {
				t.Errorf("with ReportOnly: %d, want 200", a.StatusCode)
			}
		})
	}
}

// If a renewal fails, the client keeps a token that is still valid.
func TestEdgeCannotRenew(t *testing.T) {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{ // too old for another 15 minutes
		Created: now.Add(-time.Hour), NotBefore: now.Add(-time.Hour), Expires: now.Add(10 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	ring := keyring.NewRing(newSet(t, waybilltest.Domain, key))
	old := issue(t, withRing(t, ring, at(-8*time.Minute)), cell.To("kept"))
	var logged bytes.Buffer
	s := serve(t, handleEdge(withRing(t, ring), func(w http.ResponseWriter, r *http.Request) {
		if got, _ := cell.Get(r.Context()); got != "kept" {
			t.Errorf("cell %q, want kept", got)
		}
	}, waybillhttp.Logger(slog.New(slog.NewTextHandler(&logged, nil)))))
	for _, tokens := range []string{old, old, old + ", garbage"} {
		if a := present(t, s, tokens); a.StatusCode != 200 || a.Header[returnKey] != nil {
			t.Errorf("got %d, header %v; want 200, and nothing forgotten", a.StatusCode, a.Header)
		}
	}
	s.Close()
	if n := strings.Count(logged.String(), "not renewed"); n != 1 {
		t.Errorf("logged %d times, want once: %s", n, &logged)
	}
}

// A journey that passes half of its life while the handler works is renewed at the end.
func TestEdgeRenewsAtTheEnd(t *testing.T) {
	var offset atomic.Int64
	auth := authority(t, waybill.Clock(func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }))
	s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
		offset.Store(int64(8 * time.Minute))
		if r.URL.Path == "/silent" {
			return
		}
		w.WriteHeader(204)
	}))
	for _, path := range []string{"/", "/silent"} {
		offset.Store(0)
		r := request(t, t.Context(), "GET", s.URL+path)
		r.Header.Set(headerKey, issue(t, auth))
		wb := do(t, s.Client(), r).claims(t, auth)
		if wb.Issued().Before(time.Now().Add(7 * time.Minute)) {
			t.Errorf("GET %s: issued %v, want at the end of the request", path, wb.Issued())
		}
	}
}
