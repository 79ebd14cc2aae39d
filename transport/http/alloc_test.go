//go:build !race

package waybillhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// A request without a token allocates its copy, which carries the context, and the scope and the
// writer. A token adds the header without the token, and the opened waybill.
func TestAllocations(t *testing.T) {
	auth := authority(t)
	h := handle(auth, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) })
	var w http.ResponseWriter = &discard{header: http.Header{}}
	for _, tt := range []struct {
		name, token string
		more        float64 // than the copy of the request
	}{
		{"no token", "", 2},
		{"token", issue(t, auth, cell.To("eu-3")), 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tt.token != "" {
				r.Header.Set(headerKey, tt.token)
			}
			got := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) })
			copied := testing.AllocsPerRun(1000, func() { sink = r.WithContext(context.WithoutCancel(r.Context())) }) - 1
			if got > copied+tt.more {
				t.Errorf("%v allocations for each request, want %v for its copy and at most %v more", got, copied, tt.more)
			}
		})
	}
}

// A request of a client allocates the copy of the request, the scope, the state of the visit and the writer;
// each token adds the header without it, and the opened waybill. A cookie adds the lists of its header.
func TestAllocationsOfAnEdge(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("eu-3"))
	never := waybillhttp.BeginsOn(func(*http.Request) bool { return false })
	for _, tt := range []struct {
		name, header, value string
		opts                []waybillhttp.EdgeOption
		more                float64 // than the copy of the request
	}{
		{"no token", "Accept", "*/*", []waybillhttp.EdgeOption{never}, 3},
		{"token", headerKey, token, nil, 9},
		{"cookie", "Cookie", "a=1; __Host-wb-a=" + token, []waybillhttp.EdgeOption{waybillhttp.Cookies()}, 12},
		{"other cookies", "Cookie", "a=1", []waybillhttp.EdgeOption{waybillhttp.Cookies(), never}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := handleEdge(auth, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }, tt.opts...)
			var w http.ResponseWriter = &discard{header: http.Header{}}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set(tt.header, tt.value)
			got := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) })
			copied := testing.AllocsPerRun(1000, func() { sink = r.WithContext(context.WithoutCancel(r.Context())) }) - 1
			if got > copied+tt.more {
				t.Errorf("%v allocations for each request, want %v for its copy and at most %v more", got, copied, tt.more)
			}
			t.Logf("%v allocations, %v for the copy", got, copied)
		})
	}
}

// A request that is sent allocates its copy with the headers, the call, and one slice for all values
// of our headers.
func TestAllocationsOfForwarding(t *testing.T) {
	auth := authority(t)
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	tr := must(waybillhttp.NewTransport(auth, roundTrip(func(*http.Request) (*http.Response, error) { return resp, nil }),
		waybillhttp.AllowHosts("a.example")))
	r := request(t, waybilltest.Context(t, auth), "GET", "https://a.example")
	r.Header.Set("Accept", "text/html")
	got := testing.AllocsPerRun(1000, func() { tr.RoundTrip(r) })
	cloned := testing.AllocsPerRun(1000, func() { sink = r.WithContext(r.Context()); sink.Header = r.Header.Clone() })
	if got > cloned+2 {
		t.Errorf("%v allocations for each request, want %v for its copy and at most 2 more", got, cloned)
	}
}

var sink *http.Request
