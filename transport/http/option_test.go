package waybillhttp_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// Every mistake is an error of the constructor, and no value is made.
func TestConstructorErrors(t *testing.T) {
	auth := authority(t)
	readOnly := publicOnly(t)
	server := func(auth *waybill.Authority, opts ...waybillhttp.ServerOption) func() (bool, error) {
		return func() (bool, error) {
			v, err := waybillhttp.NewServer(auth, opts...)
			return v != nil, err
		}
	}
	edge := func(auth *waybill.Authority, opts ...waybillhttp.EdgeOption) func() (bool, error) {
		return func() (bool, error) {
			v, err := waybillhttp.NewEdge(auth, opts...)
			return v != nil, err
		}
	}
	transport := func(auth *waybill.Authority, opts ...waybillhttp.ClientOption) func() (bool, error) {
		return func() (bool, error) {
			v, err := waybillhttp.NewTransport(auth, nil, opts...)
			return v != nil, err
		}
	}
	for _, tt := range []struct {
		name string
		make func() (bool, error)
		want string // "": no error
	}{
		{"server", server(auth), ""},
		{"server without an Authority", server(nil), "no Authority"},
		{"server with a nil Skip", server(auth, waybillhttp.Required(), waybillhttp.Skip(nil)), "Skip needs a function"},
		{"server that only reads", server(readOnly), ""},
		{"server without a logger or provider", server(auth, waybillhttp.Logger(nil), waybillhttp.MeterProvider(nil)), ""},
		{"server with a budget", server(auth, waybillhttp.HeaderBudget(1)), ""},
		{"server without a budget", server(auth, waybillhttp.HeaderBudget(0)), "must be greater than zero"},
		{"edge", edge(auth), ""},
		{"edge without an Authority", edge(nil), "no Authority"},
		{"edge with a nil Skip", edge(auth, waybillhttp.Skip(nil)), "Skip needs a function"},
		{"edge with a nil StartWith", edge(auth, waybillhttp.StartWith(nil)), "StartWith needs a function"},
		{"edge that only reads", edge(readOnly), "an edge must issue waybills"},
		{"edge whose keys are not loaded", edge(withRing(t, keyring.NewRing(nil))), ""},
		{"transport", transport(auth), ""},
		{"transport that only reads", transport(readOnly), ""},
		{"transport without an Authority", transport(nil), "no Authority"},
		{"transport with a bad pattern", transport(auth, waybillhttp.AllowHosts("a.example", "*")), `AllowHosts("*"): not a host name; a pattern is`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made, err := tt.make()
			switch {
			case made != (err == nil):
				t.Errorf("made a value: %v, error %v; want one of the two", made, err)
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "waybillhttp: ") || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error of waybillhttp that says %q", err, tt.want)
			}
		})
	}
	if _, err := waybillhttp.NewEdge(readOnly); !errors.Is(err, waybill.ErrReadOnly) {
		t.Errorf("an edge that only reads: got %v, want ErrReadOnly", err)
	}
}

// publicOnly returns an Authority that has only the public half of its key.
func publicOnly(t testing.TB) *waybill.Authority {
	t.Helper()
	now := time.Now()
	key, err := keyring.Generate(keyring.Public, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	set, err := keyring.ParseSet(newSet(t, waybilltest.Domain, key).PublicJWKS())
	if err != nil {
		t.Fatal(err)
	}
	return withRing(t, keyring.NewRing(set), waybill.Protect(waybill.Public))
}

// Values that no constructor made refuse to work, and say why.
func TestZeroValues(t *testing.T) {
	auth := authority(t)
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"NewServer": new(waybillhttp.Server).Middleware,
		"NewEdge":   new(waybillhttp.Edge).Middleware,
	} {
		t.Run(name, func(t *testing.T) {
			var logged bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
			defer slog.SetDefault(before)
			h := middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("the handler ran, want the request refused")
			}))
			for _, token := range []string{"", issue(t, auth)} {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set(headerKey, token)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d, want 503", w.Code)
				}
			}
			if !strings.Contains(logged.String(), "not made by "+name) {
				t.Errorf("log %q, want a line that names %s", &logged, name)
			}
		})
	}

	var tr waybillhttp.Transport
	tr.CloseIdleConnections()
	for _, ctx := range []func() *http.Request{
		func() *http.Request { return httptest.NewRequest("GET", "/", nil) },
		func() *http.Request {
			return httptest.NewRequestWithContext(waybilltest.Context(t, auth), "GET", "/", nil)
		},
	} {
		r, closed := ctx(), new(shut)
		r.Body = closed
		_, err := tr.RoundTrip(r)
		if err == nil || err.Error() != "waybillhttp: Transport was not made by NewTransport" || !*closed {
			t.Errorf("zero Transport: got %v, body closed: %v; want an error that names NewTransport, and the body closed", err, *closed)
		}
	}
}

// shut is an empty body that remembers whether it was closed.
type shut bool

func (c *shut) Read([]byte) (int, error) { return 0, errors.New("must not be read") }

func (c *shut) Close() error {
	*c = true
	return nil
}
