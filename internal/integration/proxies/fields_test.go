package integrationproxies

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/waybill-go/waybill"
)

// fields are the ways in which a handler can allow caches to store its page.
var fields = []struct {
	name string
	set  func(h http.Header)
}{
	{"nothing", func(h http.Header) {}},
	{"public", func(h http.Header) { h.Set("Cache-Control", "public, max-age=60") }},
	{"max-age", func(h http.Header) { h.Set("Cache-Control", "max-age=60") }},
	{"s-maxage", func(h http.Header) { h.Set("Cache-Control", "s-maxage=60") }},
	{"immutable", func(h http.Header) { h.Set("Cache-Control", "public, max-age=60, immutable") }},
	{"stale", func(h http.Header) {
		h.Set("Cache-Control", "public, max-age=0, stale-while-revalidate=60, stale-if-error=60")
	}},
	{"expires", func(h http.Header) { h.Set("Expires", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)) }},
	{"cdn", func(h http.Header) { h.Set("CDN-Cache-Control", "max-age=60") }},
	{"one-cdn", func(h http.Header) { h.Set("Cloudflare-CDN-Cache-Control", "max-age=60") }},
	{"surrogate", func(h http.Header) { h.Set("Surrogate-Control", "max-age=60") }},
	{"accel", func(h http.Header) { h.Set("X-Accel-Expires", "60") }},
	{"etag", func(h http.Header) { h.Set("Etag", `"v1"`); h.Set("Cache-Control", "public, max-age=60") }},
	{"validated", func(h http.Header) { h.Set("Etag", `"v1"`); h.Set("Cache-Control", "public, no-cache") }},
	{"modified", func(h http.Header) {
		h.Set("Last-Modified", time.Now().Add(-100*time.Hour).UTC().Format(http.TimeFormat))
	}},
	{"everything", func(h http.Header) {
		h.Set("Cache-Control", "public, max-age=60, s-maxage=60")
		h.Set("Expires", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
		h.Set("CDN-Cache-Control", "public, max-age=60")
		h.Set("Surrogate-Control", "max-age=60")
		h.Set("X-Accel-Expires", "60")
		h.Set("Etag", `"v1"`)
	}},
}

// setFields sets the fields of a name. It reports whether the client has the page already: a handler
// that is not careful uses one ETag for the pages of all journeys.
func setFields(w http.ResponseWriter, r *http.Request) (notModified bool) {
	for _, f := range fields {
		if f.name == r.PathValue("field") {
			f.set(w.Header())
		}
	}
	if etag := w.Header().Get("Etag"); etag != "" && r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	return false
}

// The kinds of pages behind the edge.
var kinds = []string{
	"read",  // shows a claim
	"blind", // uses no claim
	"write", // changes a claim and shows another
}

// served counts the pages, so that each one is different.
var served atomic.Int64

func cachedPage(w http.ResponseWriter, r *http.Request) {
	name := ""
	if r.PathValue("kind") != "blind" {
		name, _ = guest.Get(r.Context())
	}
	if r.PathValue("kind") == "write" {
		waybill.Update(r.Context(), tier.To(fmt.Sprint(served.Load())))
	}
	if !setFields(w, r) {
		fmt.Fprintf(w, "%s %d", name, served.Add(1))
	}
}

// controlPage is outside of the edge: a cache may store it.
func controlPage(w http.ResponseWriter, r *http.Request) {
	if !setFields(w, r) {
		fmt.Fprintf(w, "control %d", served.Add(1))
	}
}
