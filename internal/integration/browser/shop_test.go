package browser

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// shop is a web application that keeps numbered claims of each client by some means.
type shop struct {
	set func(w http.ResponseWriter, r *http.Request, n int) error
	get func(r *http.Request) []int
}

// handler returns the application: /change sets a claim after a while, /claims lists those that are
// set.
func (s shop) handler(t *testing.T) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /change", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(ms) * time.Millisecond) // the work of the handler
		if err := s.set(w, r, n); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /claims", func(w http.ResponseWriter, r *http.Request) {
		claims := s.get(r)
		if claims == nil {
			claims = []int{}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(claims)
	})
	return mux
}
