// Package chi_test shows waybills with github.com/go-chi/chi, whose Use accepts the middleware.
package chi_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/examples/shop"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

func Example() {
	auth := shop.Authority()
	edge, err := waybillhttp.NewEdge(auth, waybillhttp.StartWith(shop.Start))
	if err != nil {
		log.Fatal(err)
	}
	router := chi.NewRouter()
	router.Use(middleware.Recoverer) // outside, so that a panic returns no token
	router.Use(edge.Middleware)
	router.Get("/seats/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(chi.URLParam(r, "n"))
		if err != nil {
			http.Error(w, "not a number", http.StatusBadRequest)
			return
		}
		if err := waybill.Update(r.Context(), shop.Seats.To(n)); err != nil {
			http.Error(w, "try again", http.StatusInternalServerError)
			return
		}
		cell, _ := shop.Cell.Get(r.Context())
		fmt.Fprintf(w, "%d seats in %s", n, cell)
	})
	router.Get("/seats", func(w http.ResponseWriter, r *http.Request) {
		n, _ := shop.Seats.Get(r.Context())
		fmt.Fprintf(w, "still %d seats", n)
	})

	server := httptest.NewServer(router)
	defer server.Close()
	client := shop.Client{Auth: auth}
	client.Get(server.URL + "/seats/2")
	client.Get(server.URL + "/seats")
	// Output:
	// 200 2 seats in eu-3; waybill updated: cell=eu-3 seats=2 coupon=""
	// 200 still 2 seats; waybill as it was: cell=eu-3 seats=2 coupon=""
}
