package waybillhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// No field that controls caches allows to store a token. Without a token the fields stay.
func TestNoCachingFieldOutlivesAToken(t *testing.T) {
	fields := map[string]string{ // with the value next to a token
		"Cache-Control":                "no-store",
		"Cdn-Cache-Control":            "no-store",
		"Cloudflare-Cdn-Cache-Control": "no-store",
		"Vercel-Cdn-Cache-Control":     "no-store",
		"Surrogate-Control":            "no-store",
		"Edge-Control":                 "no-store",
		"X-Accel-Expires":              "0",
		"Expires":                      "0",
	}
	for _, p := range protocols {
		for _, changes := range []bool{false, true} {
			for _, buffered := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/changes=%v buffered=%v", p.name, changes, buffered), func(t *testing.T) {
					auth := authority(t)
					h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
						if changes {
							check(t, waybill.Update(r.Context(), seats.To(4)))
						}
						if buffered {
							w.WriteHeader(200)
						}
						for key := range fields {
							w.Header().Set(key, "max-age=60")
						}
						w.Header().Del("Vercel-Cdn-Cache-Control")
						w.Header()["vercel-CDN-cache-control"] = []string{"max-age=60"}
					})
					if buffered {
						h = http.TimeoutHandler(h, 1<<40, "") // sends the header when the handler has returned
					}
					a := present(t, p.start(t, h), issue(t, auth))
					for key, want := range fields {
						if !changes {
							want = "max-age=60"
						}
						if got := a.Header[key]; !slices.Equal(got, []string{want}) {
							t.Errorf("%s: %q, want %q", key, got, want)
						}
					}
				})
			}
		}
	}
}

// A response that may depend on the waybill says so to caches, whether the request had one or not.
func TestVary(t *testing.T) {
	auth := authority(t)
	skip := waybillhttp.Skip(func(*http.Request) bool { return true })
	for name, tt := range map[string]struct {
		method string
		opts   []waybillhttp.ServerOption
		set    []string
		cc     string
		want   []string
	}{
		"GET":             {"GET", nil, nil, "", []string{"Waybill"}},
		"HEAD":            {"HEAD", nil, nil, "max-age=60", []string{"Waybill"}},
		"POST":            {"POST", nil, nil, "", nil},
		"not stored":      {"GET", nil, nil, "no-store", nil},
		"skipped":         {"GET", []waybillhttp.ServerOption{skip}, nil, "", nil},
		"next to others":  {"GET", nil, []string{"Origin"}, "", []string{"Origin", "Waybill"}},
		"there already":   {"GET", nil, []string{"Origin, waybill"}, "", []string{"Origin, waybill"}},
		"everything else": {"GET", nil, []string{"*"}, "", []string{"*"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := handle(auth, func(w http.ResponseWriter, r *http.Request) {
				if tt.set != nil {
					w.Header()["Vary"] = tt.set
				}
				if tt.cc != "" {
					w.Header().Set("Cache-Control", tt.cc)
				}
			}, tt.opts...)
			for _, token := range []string{"", issue(t, auth)} {
				r := httptest.NewRequest(tt.method, "/", nil)
				if token != "" {
					r.Header.Set(headerKey, token)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if got := w.Result().Header["Vary"]; !slices.Equal(got, tt.want) {
					t.Errorf("token of %d bytes: Vary %q, want %q", len(token), got, tt.want)
				}
			}
		})
	}
}
