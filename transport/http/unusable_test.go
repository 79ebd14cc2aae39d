package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// The page of a refusal cannot make its token cacheable, nor replace it.
func TestRefusalIsNotCached(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	for _, c := range carriers {
		for _, status := range []int{0, 200, 304} {
			h := handleEdge(auth, func(http.ResponseWriter, *http.Request) { t.Error("not refused") }, append(c.options,
				waybillhttp.RequireClaims(tenant), waybillhttp.Logger(nolog), waybillhttp.Unusable(func(w http.ResponseWriter, _ *http.Request, _ string) {
					h := w.Header()
					delete(h, returnKey)
					delete(h, "Set-Cookie")
					h.Set("Cache-Control", "public, max-age=60")
					h.Set("CDN-Cache-Control", "max-age=60")
					if status != 0 {
						w.WriteHeader(status)
					}
				}))...)
			r := httptest.NewRequest("GET", "/", nil)
			give(r, c.name, forge(token))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			res := w.Result().Header
			if res.Get("Cache-Control") != "no-store" || res.Get("CDN-Cache-Control") != "no-store" {
				t.Errorf("%s, %d: %v, want no-store", c.name, status, res)
			}
			if c.name == "header" && res[returnKey] == nil || c.name == "cookies" && res["Set-Cookie"] == nil {
				t.Errorf("%s, %d: %v, want the client to forget", c.name, status, res)
			}
		}
	}
}

// A page that flushes first has the status of the refusal.
func TestRefusalThatFlushes(t *testing.T) {
	w := httptest.NewRecorder()
	handleEdge(authority(t), nil, waybillhttp.Required(), waybillhttp.Unusable(func(w http.ResponseWriter, _ *http.Request, _ string) {
		check(t, http.NewResponseController(w).Flush())
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusUnauthorized || !w.Flushed {
		t.Errorf("got %d, flushed: %v; want 401", w.Code, w.Flushed)
	}
}
