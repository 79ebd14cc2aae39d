package waybillhttp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// The requests of a server inherit a context, with or without a waybill: a service, or a test,
// starts a second server while it handles a request. No request sees the inherited waybill, and no
// two requests share one.
func TestBaseContext(t *testing.T) {
	auth := authority(t)
	inherited := issue(t, auth, cell.To("inherited"))
	for name, token := range map[string]string{"absent": "", "with a waybill": inherited, "refused": "garbage"} {
		for layer, around := range map[string]func(http.Handler) http.Handler{
			"one middleware": must(waybillhttp.NewEdge(auth)).Middleware,
			"two": func(h http.Handler) http.Handler {
				return must(waybillhttp.NewEdge(auth)).Middleware(must(waybillhttp.NewServer(auth, waybillhttp.Required())).Middleware(h))
			},
		} {
			t.Run(name+", "+layer, func(t *testing.T) {
				outer := serve(t, handle(auth, func(_ http.ResponseWriter, r *http.Request) {
					base := r.Context()
					_, before := waybill.FromContext(base)
					s := inheriting(t, base, around)
					checkJourneys(t, s)
					checkToken(t, s, issue(t, auth, cell.To("own")), "own")
					checkToken(t, s, inherited, "inherited")
					if _, after := waybill.FromContext(base); !errors.Is(after, before) || (after == nil) != (before == nil) {
						t.Errorf("the inherited context had %v, and has %v", before, after)
					}
					if got, _ := cell.Get(base); token == inherited && got != "inherited" {
						t.Errorf("the inherited context has cell %q", got)
					}
				}, waybillhttp.ReportOnly()))
				present(t, outer, token)
			})
		}
	}
}

// inheriting starts a server whose handlers report their journey and change it. The two requests of
// a pair wait for each other.
func inheriting(t *testing.T, base context.Context, around func(http.Handler) http.Handler) *httptest.Server {
	var pair sync.WaitGroup
	pair.Add(2)
	s := httptest.NewUnstartedServer(around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pair" {
			pair.Done()
			pair.Wait()
		}
		wb, err := waybill.FromContext(r.Context())
		if err != nil {
			t.Errorf("a request behind an edge: %v", err)
		}
		was, _ := cell.Get(r.Context())
		check(t, waybill.Update(r.Context(), cell.To("changed")))
		w.Header().Set("Sid", wb.ID())
		w.Header().Set("Was", was)
	})))
	s.Config.BaseContext = func(net.Listener) context.Context { return base }
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// checkJourneys sends two requests at the same time, both without a token.
func checkJourneys(t *testing.T, s *httptest.Server) {
	t.Helper()
	sids := make([]string, 2)
	var all sync.WaitGroup
	for i := range sids {
		all.Go(func() {
			resp, err := s.Client().Get(s.URL + "/pair")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			sids[i] = resp.Header.Get("Sid")
			if resp.Header.Get(returnKey) == "" || resp.Header.Get("Was") != "" {
				t.Errorf("request %d: its own journey did not come back, or cell %q was there before", i, resp.Header.Get("Was"))
			}
		})
	}
	all.Wait()
	if sids[0] == sids[1] || sids[0] == "" {
		t.Errorf("two requests are on the journeys %q", sids)
	}
}

// checkToken sends a request with a token.
func checkToken(t *testing.T, s *httptest.Server, token, want string) {
	t.Helper()
	a := present(t, s, token)
	if was := a.Header.Get("Was"); was != want || a.Header.Get(returnKey) == "" {
		t.Errorf("a request with a token: cell %q, returned token of %d bytes, want %s and a returned token", was, len(a.Header.Get(returnKey)), want)
	}
}
