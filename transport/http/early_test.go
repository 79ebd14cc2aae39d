package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// An informational response, which a proxy passes on, sets none of our cookies.
func TestNoCookieInAnInformationalResponse(t *testing.T) {
	w := httptest.NewRecorder() // it takes the first header for the final one
	handleEdge(authority(t), func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"__Host-wb-x=planted", "other=1"}
		w.WriteHeader(http.StatusEarlyHints)
	}, waybillhttp.Cookies()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Result().Header["Set-Cookie"]; len(got) != 1 || got[0] != "other=1" {
		t.Errorf("got %q, want the other cookie only", got)
	}
}
