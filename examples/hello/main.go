package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

var Seats = waybill.NewClaim[int]("seats")

func main() {
	keys := must(keyring.DefaultPolicy().Genesis("shop", time.Now())) // in production: keyring.LoadFile
	auth := must(waybill.New("shop", keyring.NewRing(keys), waybill.Claims(Seats)))

	server := must(waybillhttp.NewServer(auth, waybillhttp.Required()))
	pricing := httptest.NewServer(server.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := waybill.Update(r.Context(), Seats.To(2)); err != nil { // deep in the chain
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})))
	send := must(waybillhttp.NewTransport(auth, nil, waybillhttp.AllowHosts("127.0.0.1"), waybillhttp.AllowPlaintext()))
	edge := must(waybillhttp.NewEdge(auth)) // begins a client's journey with its first claim
	shop := httptest.NewServer(edge.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		must(send.RoundTrip(must(http.NewRequestWithContext(r.Context(), "GET", pricing.URL, nil)))).Body.Close()
		seats, ok := Seats.Get(r.Context()) // verified
		fmt.Println("the shop sees", seats, "seats:", ok)
	})))
	fmt.Println("the client gets", must(http.Get(shop.URL)).Header.Get("Waybill-Update"))
}
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
