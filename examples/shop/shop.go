// Package shop is what the services of the examples have in common: the claims, declared once, the Authority, and a client
// that keeps its waybill.
package shop

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// The claims of a journey.
var (
	Cell   = waybill.NewClaim[string]("cell")
	Seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	Coupon = waybill.NewClaim[string]("coupon").OnSuccess()
)

// Authority has a key made on the spot. A service opens its ring with keyring.LoadFile, and returns the errors.
func Authority() *waybill.Authority {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(set), waybill.Claims(Cell, Seats, Coupon))
	if err != nil {
		panic(err)
	}
	return auth
}

// Start gives the claims of a new journey.
func Start(*http.Request) ([]waybill.Change, error) {
	return []waybill.Change{Cell.To("eu-3")}, nil
}

// Client is one that keeps its waybill: it sends the last one that it got.
type Client struct {
	Auth  *waybill.Authority // to show what the waybill says; a client has no need of it
	token string
}

// Get prints the answer to a request, and what the waybill says then.
func (c *Client) Get(url string) {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if c.token != "" {
		r.Header.Set(waybill.Header, c.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	changed := "as it was"
	if update := resp.Header.Get(waybill.HeaderReturn); update != "" {
		c.token, changed = update, "updated"
	}
	wb, err := c.Auth.Open(c.token)
	if err != nil {
		fmt.Println(err)
		return
	}
	cell, _ := Cell.Of(wb)
	seats, _ := Seats.Of(wb)
	coupon, _ := Coupon.Of(wb)
	fmt.Printf("%d %s; waybill %s: cell=%s seats=%d coupon=%q\n", resp.StatusCode, body, changed, cell, seats, coupon)
}
