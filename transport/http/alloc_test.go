//go:build !race

package waybillhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A request without a token allocates the copy of the request, the scope and the writer. One with a
// token also allocates the header without the token and the opened waybill.
func TestAllocationsWithoutToken(t *testing.T) {
	h := handle(authority(t), func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) })
	r := httptest.NewRequest("GET", "/", nil)
	var w http.ResponseWriter = &discard{header: http.Header{}}
	got := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) })
	copied := testing.AllocsPerRun(1000, func() { sink = r.WithContext(context.WithoutCancel(r.Context())) }) - 1
	if got > copied+2 {
		t.Errorf("%v allocations for each request, want %v for its copy and at most 2 more", got, copied)
	}
}

var sink *http.Request
