package waybillhttp_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A client needs the origin of the edge, and no keys. Changes that are made at the same time are
// all kept.
func ExampleJar() {
	shop := exampleShop()
	defer shop.Close()
	origin := shop.URL // such as https://shop.example

	jar, err := waybillhttp.NewJar(nil, origin)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: jar}

	var all sync.WaitGroup
	for _, path := range []string{"/seats", "/cell"} {
		all.Go(func() {
			resp, err := client.Post(origin+path, "", nil)
			if err != nil {
				log.Fatal(err)
			}
			resp.Body.Close()
		})
	}
	all.Wait()
	fmt.Println(examplePage(client, origin))
	// Output:
	// 2 seats in eu-3
}

// A program continues the journey of its last run.
func ExampleJar_Restore() {
	shop := exampleShop()
	defer shop.Close()
	origin := shop.URL
	jar, err := waybillhttp.NewJar(nil, origin)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: jar}
	resp, err := client.Post(origin+"/seats", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()

	// At the end, when all requests are answered: store them as carefully as a password.
	tokens := jar.Tokens()

	// In the next run:
	jar, err = waybillhttp.NewJar(nil, origin)
	if err != nil {
		log.Fatal(err)
	}
	jar.Restore(tokens)
	client = &http.Client{Transport: jar}
	fmt.Println(examplePage(client, origin))
	// Output:
	// 2 seats in
}

// exampleShop starts an edge.
func exampleShop() *httptest.Server {
	edge, err := waybillhttp.NewEdge(exampleAuthority())
	if err != nil {
		log.Fatal(err)
	}
	change := func(c waybill.Change) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if err := waybill.Update(r.Context(), c); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /seats", change(Seats.To(2)))
	mux.HandleFunc("POST /cell", change(Cell.To("eu-3")))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		seats, _ := Seats.Get(r.Context())
		cell, _ := Cell.Get(r.Context())
		fmt.Fprintf(w, "%d seats in %s", seats, cell)
	})
	return httptest.NewServer(edge.Middleware(mux))
}

// examplePage returns the page at url.
func examplePage(client *http.Client, url string) string {
	resp, err := client.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(page)
}
