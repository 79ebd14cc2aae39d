package readme

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// carryingOver returns an edge whose new journeys keep the cell of an ended one, as in docs/edge.md.
func carryingOver(auth *waybill.Authority) (*waybillhttp.Edge, error) {
	start := func(r *http.Request) ([]waybill.Change, error) {
		changes := []waybill.Change{Seats.To(1)}
		ended, _ := waybill.Previous(r.Context())
		if cell, ok := Cell.Of(ended); ok { // not on a first visit
			changes = append(changes, Cell.To(cell))
		}
		return changes, nil
	}

	return waybillhttp.NewEdge(auth, waybillhttp.Cookies(), waybillhttp.StartWith(start))
}

// TestEdgeCarriesOver lets a journey end, and expects the next one to keep its cell.
func TestEdgeCarriesOver(t *testing.T) {
	var later atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats), waybill.Clock(clock))
	edge, err := carryingOver(auth)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		cell, _ := Cell.Get(r.Context())
		seats, _ := Seats.Get(r.Context())
		fmt.Fprint(w, cell, " ", seats, " ", waybill.Began(r.Context()))
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		if err := waybill.Update(r.Context(), Cell.To("eu-3"), Seats.To(4)); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewTLSServer(edge.Middleware(mux))
	defer server.Close()
	client := server.Client()
	if client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	send := func(method, want string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if got := string(body); err != nil || resp.StatusCode != 200 || got != want {
			t.Errorf("%s: got %d %q, %v, want %q", method, resp.StatusCode, got, err, want)
		}
	}
	send("GET", " 1 true")
	send("POST", "")
	send("GET", "eu-3 4 false")
	later.Store(int64(2 * time.Hour)) // idle
	send("GET", "eu-3 4 false")
	later.Store(int64(13 * time.Hour)) // ended
	send("GET", "eu-3 1 true")
	send("GET", "eu-3 1 false")
}
