package driver

import (
	"net/http"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/services/sticky"
)

// Lane is a way to keep sessions, as a traveller's browser sees it.
type Lane struct {
	Name string // "waybill", "sticky", "store"

	path string                    // of the steps
	send func(http.Header, string) // adds what the browser keeps to a request
	keep func(http.Header) string  // what an answer gives it to keep; empty if nothing new
}

// The lanes.
var (
	Waybill = Lane{"waybill", "/", sendToken, keepToken}
	Sticky  = Lane{"sticky", sticky.Memory, sendCookie, keepCookie}
	Store   = Lane{"store", sticky.Store, sendCookie, keepCookie}
)

func sendToken(h http.Header, token string) { h.Set(waybill.Header, token) }
func keepToken(h http.Header) string        { return h.Get(waybill.HeaderUpdate) }

func sendCookie(h http.Header, value string) {
	h.Set("Cookie", (&http.Cookie{Name: sticky.Cookie, Value: value}).String())
}

func keepCookie(h http.Header) string {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.Name == sticky.Cookie {
			return c.Value
		}
	}
	return ""
}
