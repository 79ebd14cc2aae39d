package waybillhttp_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// Claims are declared once, in a package that all services import.
var (
	Cell  = waybill.NewClaim[string]("cell")
	Seats = waybill.NewClaim[int]("seats").Merge(waybill.Max)
)

// The cart service changes a claim in its handler. The edge, which clients talk to, calls it and
// sees the change.
func Example() {
	auth := exampleAuthority()

	// The cart service.
	server, err := waybillhttp.NewServer(auth, waybillhttp.Required())
	if err != nil {
		log.Fatal(err)
	}
	cart := httptest.NewTLSServer(server.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cell, _ := Cell.Get(r.Context())
		if err := waybill.Update(r.Context(), Seats.To(2)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "two seats in %s", cell)
	})))
	defer cart.Close()

	// The edge. Its client sends waybills to the cart service only.
	edge, err := waybillhttp.NewEdge(auth, waybillhttp.StartWith(
		func(*http.Request) ([]waybill.Change, error) { return []waybill.Change{Cell.To("eu-3")}, nil }))
	if err != nil {
		log.Fatal(err)
	}
	u, _ := url.Parse(cart.URL)
	transport, err := waybillhttp.NewTransport(auth, cart.Client().Transport, waybillhttp.AllowHosts(u.Host))
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	front := httptest.NewServer(edge.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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

	// On its first visit a client gets a waybill. It sends the waybill next time, as the header
	// "waybill".
	resp, err := http.Get(front.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	wb, err := auth.Open(resp.Header.Get(waybill.HeaderReturn))
	seats, _ := Seats.Of(wb)
	fmt.Printf("%s\nthe client's waybill says %d, %v\n", body, seats, err)
	// Output:
	// 2: two seats in eu-3
	// the client's waybill says 2, <nil>
}

// A refusal says what is wrong with the waybill, in the status and in the body.
func ExampleServer_Middleware() {
	server, err := waybillhttp.NewServer(exampleAuthority(), waybillhttp.RequireClaims(Cell))
	if err != nil {
		log.Fatal(err)
	}
	handler := server.Middleware(http.NotFoundHandler())

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	fmt.Println(w.Body)
	// Output:
	// 401 Waybill error="absent"
	// {"type":"about:blank","title":"Unauthorized","status":401,"reason":"absent"}
}

// The error of a constructor says what is wrong, and what is right.
func ExampleAllowHosts() {
	_, err := waybillhttp.NewTransport(exampleAuthority(), nil, waybillhttp.AllowHosts("https://cart.shop.internal"))
	fmt.Println(err)
	// Output:
	// waybillhttp: AllowHosts("https://cart.shop.internal"): port "//cart.shop.internal" is not a number from 1 to 65535; a pattern is host, *.host or an IP address, with :port to allow only that port
}

// exampleAuthority returns an Authority with a new key. A service loads its ring with
// keyring.LoadFile.
func exampleAuthority() *waybill.Authority {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(set), waybill.Claims(Cell, Seats))
	if err != nil {
		log.Fatal(err)
	}
	return auth
}
