package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Preflights, prefetches and the parts of a page begin no journey, and do not call the function of
// StartWith. A journey that the client has is used.
func TestWhichRequestsBeginAJourney(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	header := func(name string, values ...string) (all []http.Header) {
		for _, v := range values {
			all = append(all, http.Header{name: {v}})
		}
		return all
	}
	never := header("Sec-Fetch-Dest", "script", "style", "image", "font", "audio", "video", "track", "manifest", "worker",
		"sharedworker", "serviceworker", "report", "audioworklet", "paintworklet", "xslt", "unknown")
	never = append(never, header("Sec-Purpose", "prefetch", "prefetch;prerender")...)
	always := append(header("Sec-Fetch-Dest", "document", "iframe", "frame", "embed", "object", "empty", "websocket"), http.Header{})
	for _, c := range carriers {
		for _, tt := range []struct {
			headers []http.Header
			begins  bool
			opts    []waybillhttp.EdgeOption
		}{
			{never, false, nil},
			{always, true, nil},
			{always, false, []waybillhttp.EdgeOption{waybillhttp.BeginsOn(func(*http.Request) bool { return false })}},
			{never, true, []waybillhttp.EdgeOption{waybillhttp.BeginsOn(func(*http.Request) bool { return true })}},
		} {
			for _, h := range tt.headers {
				started := false
				edge := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
					_, err := waybill.FromContext(r.Context())
					if (err == nil) != tt.begins {
						t.Errorf("%s, %v: the handler's journey: %v", c.name, h, err)
					}
				}, append(append(tt.opts, c.options...), waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) {
					started = true
					return []waybill.Change{cell.To("new")}, nil
				}))...)
				r := httptest.NewRequest("GET", "/", nil)
				r.Header = h.Clone()
				w := httptest.NewRecorder()
				edge.ServeHTTP(w, r)
				brought := w.Header()["Set-Cookie"] != nil || w.Header()[returnKey] != nil || w.Header().Get("Referrer-Policy") != ""
				if started != tt.begins || brought != tt.begins || w.Code != 200 {
					t.Errorf("%s, %v: %d, start was called: %v, a token came: %v; want %v", c.name, h, w.Code, started, brought, tt.begins)
				}
			}
		}
	}
	for _, h := range append(never, always...) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = h.Clone()
		r.Header.Set("Cookie", "__Host-wb-a="+token)
		handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			if got, _ := cell.Get(r.Context()); got != "kept" {
				t.Errorf("%v with a token: cell %q, want kept", h, got)
			}
		}, waybillhttp.Cookies(), startIn).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// A preflight passes untouched, also where a journey is required and keys are away.
func TestPreflight(t *testing.T) {
	for _, c := range carriers {
		r := httptest.NewRequest("OPTIONS", "/?waybill=application", nil)
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		handleEdge(withRing(t, staleRing(t)), func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
		}, append(c.options, waybillhttp.Required(), startIn)...).ServeHTTP(w, r)
		if w.Code != 204 || len(w.Header()) != 0 {
			t.Errorf("%s: %d, header %v; want 204 and nothing added", c.name, w.Code, w.Header())
		}
	}
}

// Without StartWith a journey begins with its first claim: until then the client gets no token.
func TestLazyJourney(t *testing.T) {
	auth := authority(t)
	for _, c := range carriers {
		v := c.visitor(t, serve(t, handleEdge(auth, reporter(t), c.options...)))
		for range 2 {
			if a := v.visit(t, "GET", "/"); a.StatusCode != 200 || a.began || len(v.held()) != 0 {
				t.Errorf("%s: %d, began %v, %d tokens; want 200 and no token", c.name, a.StatusCode, a.began, len(v.held()))
			}
		}
		first := v.visit(t, "POST", "/cell=first")
		if len(v.held()) != 1 || first.cell != "first" {
			t.Errorf("%s: cell %q, %d tokens; want first and 1", c.name, first.cell, len(v.held()))
		}
		if a := v.visit(t, "GET", "/"); a.cell != "first" || a.sid != first.sid {
			t.Errorf("%s: cell %q in %q, want first in %q", c.name, a.cell, a.sid, first.sid)
		}
	}
}
