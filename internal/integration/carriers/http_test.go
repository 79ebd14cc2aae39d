package carriers

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestHTTP1(t *testing.T) { waybilltest.CheckCarrier(t, overHTTP{false}.carrier()) }

func TestHTTP2(t *testing.T) { waybilltest.CheckCarrier(t, overHTTP{true}.carrier()) }

type overHTTP struct{ http2 bool }

func (o overHTTP) carrier() waybilltest.Carrier {
	return waybilltest.Carrier{Call: o.call, Raw: o.raw, Answer: o.answer}
}

func (o overHTTP) start(base context.Context, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handlers that panic
	s.Config.BaseContext = func(net.Listener) context.Context { return base }
	if s.EnableHTTP2 = o.http2; o.http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	return s
}

// serve is a service behind the middleware.
func (o overHTTP) serve(s waybilltest.Service) *httptest.Server {
	app := func(w http.ResponseWriter, r *http.Request) {
		if err := s.Handle(r.Context(), lower(r.Header)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
	return o.start(s.Context, must(waybillhttp.NewServer(s.Auth)).Middleware(http.HandlerFunc(app)))
}

// get sends a request and reads the answer to its end.
func get(ctx context.Context, rt http.RoundTripper, url string, h http.Header) (waybilltest.Headers, error) {
	ctx, cancel := waiting(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, h)
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	answer := lower(resp.Header)
	for name, values := range lower(resp.Trailer) {
		answer[name] = append(answer[name], values...)
	}
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s", errFailed, resp.Status)
	}
	return answer, err
}

func sending(auth *waybill.Authority, s *httptest.Server) http.RoundTripper {
	return must(waybillhttp.NewTransport(auth, s.Client().Transport, waybillhttp.AllowHosts("127.0.0.1"), waybillhttp.AllowPlaintext()))
}

func (o overHTTP) call(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
	server := o.serve(s)
	defer server.Close()
	return get(ctx, sending(auth, server), server.URL, nil)
}

func (o overHTTP) raw(s waybilltest.Service, h waybilltest.Headers) (waybilltest.Headers, error) {
	server := o.serve(s)
	defer server.Close()
	return get(context.Background(), server.Client().Transport, server.URL, http.Header(spelled(h)))
}

func (o overHTTP) answer(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
	server := o.start(context.Background(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range spelled(answer(lower(r.Header))) {
			w.Header()[name] = values
		}
	}))
	defer server.Close()
	_, err := get(ctx, sending(auth, server), server.URL, nil)
	return err
}
