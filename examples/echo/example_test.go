// Package echo_test shows waybills with github.com/labstack/echo. The middleware wraps the
// instance, so that it sees the responses that echo makes from the errors of handlers.
package echo_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/labstack/echo/v5"

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
	router := echo.New()
	router.GET("/seats/:n", func(c *echo.Context) error {
		ctx := c.Request().Context()
		n, err := strconv.Atoi(c.Param("n"))
		if err != nil {
			return c.String(http.StatusBadRequest, "not a number")
		}
		if err := waybill.Update(ctx, shop.Seats.To(n)); err != nil {
			return err
		}
		cell, _ := shop.Cell.Get(ctx)
		return c.String(http.StatusOK, fmt.Sprintf("%d seats in %s", n, cell))
	})
	router.GET("/buy", func(c *echo.Context) error {
		// The coupon is an OnSuccess claim: a failed response does not return it.
		if err := waybill.Update(c.Request().Context(), shop.Coupon.To("used")); err != nil {
			return err
		}
		return echo.NewHTTPError(http.StatusConflict, "sold out")
	})

	server := httptest.NewServer(edge.Middleware(router))
	defer server.Close()
	client := shop.Client{Auth: auth}
	client.Get(server.URL + "/seats/2")
	client.Get(server.URL + "/buy")
	// Output:
	// 200 2 seats in eu-3; waybill updated: cell=eu-3 seats=2 coupon=""
	// 409 {"message":"sold out"}
	// ; waybill as it was: cell=eu-3 seats=2 coupon=""
}
