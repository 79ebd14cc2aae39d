// Package gin_test shows waybills with github.com/gin-gonic/gin. The middleware wraps the engine,
// and handlers use the context of the request.
package gin_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/examples/shop"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

func Example() {
	gin.SetMode(gin.ReleaseMode)
	auth := shop.Authority()
	edge, err := waybillhttp.NewEdge(auth, waybillhttp.StartWith(shop.Start))
	if err != nil {
		log.Fatal(err)
	}
	router := gin.New()
	router.GET("/seats/:n", func(c *gin.Context) {
		ctx := c.Request.Context() // or c itself, with router.ContextWithFallback
		n, err := strconv.Atoi(c.Param("n"))
		if err != nil {
			c.String(http.StatusBadRequest, "not a number")
			return
		}
		if err := waybill.Update(ctx, shop.Seats.To(n)); err != nil {
			c.String(http.StatusInternalServerError, "try again")
			return
		}
		cell, _ := shop.Cell.Get(ctx)
		c.String(http.StatusOK, "%d seats in %s", n, cell)
	})
	router.GET("/seats", func(c *gin.Context) {
		n, _ := shop.Seats.Get(c.Request.Context())
		c.String(http.StatusOK, "still %d seats", n)
	})

	server := httptest.NewServer(edge.Middleware(router))
	defer server.Close()
	client := shop.Client{Auth: auth}
	client.Get(server.URL + "/seats/2")
	client.Get(server.URL + "/seats")
	// Output:
	// 200 2 seats in eu-3; waybill updated: cell=eu-3 seats=2 coupon=""
	// 200 still 2 seats; waybill as it was: cell=eu-3 seats=2 coupon=""
}

// A stream of events returns its last changes in a trailer.
func Example_stream() {
	gin.SetMode(gin.ReleaseMode)
	auth := shop.Authority()
	inner, err := waybillhttp.NewServer(auth)
	if err != nil {
		log.Fatal(err)
	}
	router := gin.New()
	router.GET("/events", func(c *gin.Context) {
		for n := range 3 {
			if err := waybill.Update(c.Request.Context(), shop.Seats.To(n)); err != nil {
				c.SSEvent("error", "try again")
				return
			}
			c.Stream(func(io.Writer) bool { c.SSEvent("seats", n); return false })
		}
	})
	server := httptest.NewServer(inner.Middleware(router))
	defer server.Close()

	ctx, err := auth.Start(context.Background(), shop.Cell.To("eu-3"))
	if err != nil {
		log.Fatal(err)
	}
	transport, err := waybillhttp.NewTransport(auth, nil,
		waybillhttp.AllowHosts("127.0.0.1"), waybillhttp.AllowPlaintext())
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	r, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/events", nil)
	resp, err := client.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	seats, _ := shop.Seats.Get(ctx)
	fmt.Println(strings.Count(string(body), "event:seats"), "events,", seats, "seats at the end,", err)
	// Output:
	// 3 events, 2 seats at the end, <nil>
}
