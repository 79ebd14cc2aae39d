package lb

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// post sends a request with cookies, and returns the answer and the route that came with it.
func post(t *testing.T, rt http.RoundTripper, cookies string) (text, route string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://any/", nil)
	req.Header.Set("Cookie", cookies)
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if c.Name != Route || !c.HttpOnly || c.Path != "/" {
			t.Errorf("the cookie %v was set", c)
		}
		route += c.Value
	}
	return string(body), route
}

// TestRoute sends requests with a route: to the server that it names for as long as that is up, and to another one then,
// which the route names from then on.
func TestRoute(t *testing.T) {
	a, b, busy, down := backend(t, "a", 200), backend(t, "b", 200), backend(t, "busy", 503), nobody(t)
	names := map[string]string{routeTo(a): "a", routeTo(b): "b", routeTo(busy): "busy", "": "-"}
	for _, c := range []struct {
		name     string
		backends []string
		cookies  string
		want     string // of three answers, and after a colon the server that the new route names
	}{
		{"sticks", []string{a, b}, "session=ID; route=" + routeTo(b), "b:- b:- b:- "},
		{"to the other, too", []string{a, b}, "session=ID; route=" + routeTo(a), "a:- a:- a:- "},
		{"elsewhere, if it is down", []string{a, down}, "route=" + routeTo(down), "a:a a:a a:a "},
		{"elsewhere, if it takes nobody", []string{a, busy}, "route=" + routeTo(busy), "a:a a:a a:a "},
		{"elsewhere, if it is gone", []string{a}, "route=" + routeTo(b), "a:a a:a a:a "},
		{"nowhere, without one", []string{a, b}, "", "b:b a:a b:b "},
		{"nowhere, with a session alone", []string{a, b}, "session=" + routeTo(b), "b:b a:a b:b "},
		{"nowhere, with an address", []string{a, b}, "route=" + b, "b:b a:a b:b "},
		{"nowhere, with nothing in it", []string{a, b}, "route=", "b:b a:a b:b "},
	} {
		rt := &pool{backends: func() []string { return c.backends }, sticks: true, next: &http.Transport{DisableKeepAlives: true}}
		got := ""
		for range 3 {
			text, route := post(t, rt, c.cookies)
			got += text + ":" + names[route] + " "
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRouteIsOpaque checks that a route tells nobody where the servers are, and that each has one of its own.
func TestRouteIsOpaque(t *testing.T) {
	one, other := routeTo("10.0.0.7:8082"), routeTo("10.0.0.8:8082")
	if one == other || one != routeTo("10.0.0.7:8082") || strings.Contains(one, "10.0") || len(one) != 12 {
		t.Errorf("got %q and %q", one, other)
	}
}

// TestNoRoute checks that what does not stick sets no cookie, and heeds none.
func TestNoRoute(t *testing.T) {
	a, b := backend(t, "a", 200), backend(t, "b", 200)
	rt := &pool{backends: func() []string { return []string{a, b} }, next: &http.Transport{DisableKeepAlives: true}}
	got := ""
	for range 2 {
		text, route := post(t, rt, "route="+routeTo(b))
		got += text + route
	}
	if got != "ba" {
		t.Errorf("got %q, want both in turn and no route", got)
	}
}
