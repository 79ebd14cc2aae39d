package jwks_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/jwks"
)

// TestZeroRing: a ring whose keys are not loaded, nil or not, is answered with 503.
func TestZeroRing(t *testing.T) {
	for name, ring := range map[string]*keyring.Ring{"zero": new(keyring.Ring), "nil": nil} {
		w := httptest.NewRecorder()
		jwks.Handler(ring).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s ring: got %d, want 503", name, w.Code)
		}
	}
	ring := new(keyring.Ring)
	if err := ring.Swap(new(keyring.Set)); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	jwks.Handler(ring).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("a ring of a zero set: got %d, want 200 and no keys", w.Code)
	}
}
