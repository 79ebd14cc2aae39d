package driver

import (
	"net/http"
	"testing"
)

// TestCookies answers as a server and a balancer do, one of them or both.
func TestCookies(t *testing.T) {
	kept := ""
	for _, c := range []struct {
		name string
		set  []string
		want string // what goes with the next request
	}{
		{"none yet", nil, ""},
		{"both", []string{"session=a; Path=/; HttpOnly", "route=1; Path=/; HttpOnly"}, "session=a; route=1"},
		{"none new", nil, "session=a; route=1"},
		{"another server", []string{"route=2; Path=/"}, "session=a; route=2"},
		{"another session", []string{"session=b; Path=/"}, "session=b; route=2"},
		{"both again", []string{"route=3", "session=c"}, "session=c; route=3"},
		{"a stranger's", []string{"theme=dark"}, "session=c; route=3"},
	} {
		if update := Sticky.keep(http.Header{"Set-Cookie": c.set}, kept); update != "" {
			kept = update
		}
		req := &http.Request{Header: http.Header{}}
		if kept != "" {
			Sticky.send(req.Header, kept)
		}
		if got := req.Header.Get("Cookie"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
