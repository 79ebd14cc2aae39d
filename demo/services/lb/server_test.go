package lb

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// backend answers with a status, or dies in the middle of an answer.
func backend(t *testing.T, name string, status int) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		io.Copy(w, r.Body)
		fmt.Fprint(w, name)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

func TestRoundRobin(t *testing.T) {
	a, b := backend(t, "a", 200), backend(t, "b", 200)
	busy, dying, down := backend(t, "busy", 503), backend(t, "dying", 0), nobody(t)
	for _, c := range []struct {
		name     string
		backends []string
		body     string
		want     string // of the bodies of four answers
		retries  string // of the last
	}{
		{"in turn", []string{a, b}, "", "b a b a ", "0"},
		{"past one that is down", []string{a, down}, "", "a a a a ", "1"},
		{"past one that dies", []string{a, dying}, "", "a a a a ", "1"},
		{"past one that is busy", []string{a, busy}, "", "a a a a ", "1"},
		{"all busy", []string{busy}, "", "503 503 503 503 ", "1"},
		{"all down", []string{down}, "", "error error error error ", ""},
		{"none", nil, "", "error error error error ", ""},
		{"a body is sent once", []string{a, busy}, "x", "503 xa 503 xa ", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := &pool{backends: func() []string { return c.backends }, next: &http.Transport{DisableKeepAlives: true}}
			var got, retries string
			for range 4 {
				req := httptest.NewRequest(http.MethodPost, "http://any/", strings.NewReader(c.body))
				res, err := rt.RoundTrip(req)
				if err != nil {
					got += "error "
					continue
				}
				text, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != 200 {
					text = fmt.Append(nil, res.StatusCode)
				}
				got += string(text) + " "
				retries = res.Header.Get(HeaderRetries)
			}
			if got != c.want || retries != c.retries {
				t.Errorf("got %q, %s retries; want %q, %s", got, retries, c.want, c.retries)
			}
		})
	}
}
