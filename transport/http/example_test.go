package waybillhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Declared once, in a package that all services import.
var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// A service reads and changes claims in its handler. Here a front service calls it, and learns of the change.
func Example() {
	auth := exampleAuthority()

	// The inner service.
	cart := httptest.NewTLSServer(waybillhttp.Middleware(auth, waybillhttp.Required())(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cell, _ := Cell.Get(r.Context())
			if err := waybill.Update(r.Context(), Seats.To(2)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintf(w, "two seats in %s", cell)
		})))
	defer cart.Close()

	// The service that clients talk to. It names the hosts that may get waybills.
	u, _ := url.Parse(cart.URL)
	client := &http.Client{Transport: waybillhttp.NewTransport(auth, cart.Client().Transport, waybillhttp.AllowHosts(u.Host))}
	start := func(*http.Request) ([]waybill.Change, error) { return []waybill.Change{Cell.To("eu-3")}, nil }
	front := httptest.NewServer(waybillhttp.Middleware(auth, waybillhttp.Edge(start))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call, _ := http.NewRequestWithContext(r.Context(), "GET", cart.URL, nil)
			resp, err := client.Do(call)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			seats, _ := Seats.Get(r.Context())
			fmt.Fprintf(w, "%d: ", seats)
			io.Copy(w, resp.Body)
		})))
	defer front.Close()

	// A client that visits for the first time gets a waybill, and sends it next time as the header "waybill".
	resp, err := http.Get(front.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	wb, err := auth.Open(resp.Header.Get(waybill.HeaderUpdate))
	seats, _ := Seats.Of(wb)
	fmt.Printf("%s\nthe client's waybill says %d, %v\n", body, seats, err)
	// Output:
	// 2: two seats in eu-3
	// the client's waybill says 2, <nil>
}

// What is refused, and how.
func ExampleMiddleware() {
	handler := waybillhttp.Middleware(exampleAuthority(), waybillhttp.RequireClaims(Cell))(http.NotFoundHandler())

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	fmt.Println(w.Body)
	// Output:
	// 401 Waybill error="absent"
	// {"type":"about:blank","title":"Unauthorized","status":401,"reason":"absent"}
}

// exampleAuthority has a key made on the spot. A service opens its ring with keyring.LoadFile.
func exampleAuthority() *waybill.Authority {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(set), waybill.Claims(Cell, Seats))
	if err != nil {
		panic(err)
	}
	return auth
}
