package lb

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestRoute sends requests with a session's cookie: to its server for as long as that is up, and to another one then.
func TestRoute(t *testing.T) {
	a, b, down := backend(t, "a", 200), backend(t, "b", 200), nobody(t)
	for _, c := range []struct {
		name     string
		backends []string
		cookie   string
		want     string
	}{
		{"sticks", []string{a, b}, "session=ID.sticky-2", "bbb"},
		{"to the first, too", []string{a, b}, "session=ID.sticky-1", "aaa"},
		{"elsewhere, if it is down", []string{a, down}, "session=ID.sticky-2", "aaa"},
		{"nowhere, without one", []string{a, b}, "", "bab"},
		{"nowhere, with none that there is", []string{a, b}, "session=ID.sticky-9", "bab"},
		{"nowhere, with none at all", []string{a, b}, "session=ID", "bab"},
		{"nowhere, with zero", []string{a, b}, "session=ID.sticky-0", "bab"},
	} {
		rt := &pool{
			backends: func() []string { return c.backends }, home: route, next: &http.Transport{DisableKeepAlives: true},
		}
		got := ""
		for range 3 {
			req := httptest.NewRequest(http.MethodPost, "http://any/", nil)
			req.Header.Set("Cookie", c.cookie)
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			got += string(text)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
