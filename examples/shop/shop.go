// Package shop contains what the services of the examples share: the claims, the Authority, and a
// client that keeps its waybill.
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

// Authority returns an Authority with a new key. A service loads its ring with keyring.LoadFile.
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

// Start returns the claims of a new journey.
func Start(*http.Request) ([]waybill.Change, error) {
	return []waybill.Change{Cell.To("eu-3")}, nil
}

// Client keeps its waybill: it sends the last one that it received.
type Client struct {
	Auth  *waybill.Authority // to print the waybill; a real client does not need it
	token string
}

// Get sends a request, and prints the response and the claims of the client's waybill.
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
	if returned := resp.Header.Get(waybill.HeaderReturn); returned != "" {
		c.token, changed = returned, "updated"
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
