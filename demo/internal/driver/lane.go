package driver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/services/lb"
	"github.com/waybill-go/waybill/demo/services/sticky"
)

// Lane is a way to keep sessions, as a traveller's browser sees it.
type Lane struct {
	Name string // "waybill", "sticky", "store"

	path string                                  // of the steps
	send func(h http.Header, kept string)        // adds what the browser keeps to a request
	keep func(h http.Header, kept string) string // what it keeps after an answer; empty if that is the same
}

// The lanes.
var (
	Waybill = Lane{"waybill", "/", sendToken, keepToken}
	Sticky  = Lane{"sticky", sticky.Memory, sendCookies, keepCookies}
	Store   = Lane{"store", sticky.Store, sendCookies, keepCookies}
)

func sendToken(h http.Header, token string)    { h.Set(waybill.Header, token) }
func keepToken(h http.Header, _ string) string { return h.Get(waybill.HeaderReturn) }

func sendCookies(h http.Header, kept string) { h.Set("Cookie", kept) }

// keepCookies keeps two of them: the server's, which is the session, and in the sticky lane the
// balancer's, which is the way to it. An answer may bring one without the other.
func keepCookies(h http.Header, kept string) string {
	came := (&http.Response{Header: h}).Cookies()
	if len(came) == 0 {
		return ""
	}
	had, _ := http.ParseCookie(kept) // an error is that there was none
	var pairs []string
	for _, name := range []string{sticky.Cookie, lb.Route} {
		for _, c := range slices.Backward(slices.Concat(had, came)) {
			if c.Name == name {
				pairs = append(pairs, name+"="+c.Value)
				break
			}
		}
	}
	return strings.Join(pairs, "; ")
}
