// Hello takes a waybill through two services and back.
package main

import (
	"fmt"
	"log"
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
		seats, _ := Seats.Get(r.Context()) // verified
		must(0, waybill.Update(r.Context(), Seats.To(seats+2)))
	})))

	send := must(waybillhttp.NewTransport(auth, nil, waybillhttp.AllowHosts("127.0.0.1"), waybillhttp.AllowPlaintext()))
	edge := must(waybillhttp.NewEdge(auth)) // begins a journey for each new client
	shop := httptest.NewServer(edge.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		must(send.RoundTrip(must(http.NewRequestWithContext(r.Context(), "GET", pricing.URL, nil))))
		seats, _ := Seats.Get(r.Context())
		fmt.Fprintf(w, "after the call to pricing: %d seats", seats)
	})))

	response := must(http.Get(shop.URL))
	wb := must(auth.Open(response.Header.Get("Waybill-Update"))) // the client sends it as Waybill next time
	fmt.Println(wb, "with", string(wb.Payload()))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
