//go:build unix

package hop

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

func setupHTTP(e *env) func(context.Context) error {
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := e.work(r.Context()); err != nil {
			e.Errorf("server: %v", err)
		}
		io.WriteString(w, "body")
	})
	rt := http.DefaultTransport.(*http.Transport).Clone()
	e.Cleanup(rt.CloseIdleConnections)
	client := &http.Client{Transport: rt}
	if e.load != bare {
		h = must(waybillhttp.NewServer(e.auth)).Middleware(h)
	}
	s := httptest.NewServer(h)
	e.Cleanup(s.Close)
	if e.load != bare {
		u, _ := url.Parse(s.URL)
		client.Transport = must(waybillhttp.NewTransport(e.auth, rt, waybillhttp.AllowHosts(u.Host), waybillhttp.AllowPlaintext()))
	}
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}
