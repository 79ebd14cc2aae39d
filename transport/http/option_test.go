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
		{"edge with cookies", edge(auth, waybillhttp.Cookies(waybillhttp.CookieName("Shop_2"),
			waybillhttp.CookieDomain("eu.example.com"), waybillhttp.InsecureCookies())), ""},
		{"edge with pages", edge(auth, waybillhttp.Pages(), waybillhttp.Idle(time.Minute)), ""},
		{"edge with every option", edge(auth, waybillhttp.Cookies(), waybillhttp.Idle(0),
			waybillhttp.BeginsOn(func(*http.Request) bool { return true }), waybillhttp.CrossOrigin(http.NewCrossOriginProtection()),
			waybillhttp.Unusable(func(http.ResponseWriter, *http.Request, string) {})), ""},
		{"cookies and pages", edge(auth, waybillhttp.Pages(), waybillhttp.Cookies()), "Cookies and Pages together"},
		{"cookies twice", edge(auth, waybillhttp.Cookies(), waybillhttp.Cookies()), "Cookies is given twice"},
		{"cookies of an Authority with large tokens", edge(authority(t, waybill.AcceptLimit(4001)), waybillhttp.Cookies()),
			"browsers accept 4000 bytes of name and value, and a token may have 4001; pass waybill.AcceptLimit(3584)"},
		{"cookies of an Authority with tokens that just fit", edge(authority(t, waybill.AcceptLimit(3982)), waybillhttp.Cookies()), ""},
		{"cookies with a longer name that do not", edge(authority(t, waybill.AcceptLimit(3982)),
			waybillhttp.Cookies(waybillhttp.CookieName("wbx"))), "browsers accept 4000 bytes"},
		{"cookie without a name", edge(auth, waybillhttp.Cookies(waybillhttp.CookieName(""))), "use 1 to 32 letters"},
		{"cookie with a dash", edge(auth, waybillhttp.Cookies(waybillhttp.CookieName("shop-eu"))), `CookieName("shop-eu")`},
		{"cookie that is no token", edge(auth, waybillhttp.Cookies(waybillhttp.CookieName("a=b"))), `CookieName("a=b")`},
		{"cookie with a long name", edge(auth, waybillhttp.Cookies(waybillhttp.CookieName(strings.Repeat("a", 33)))), "use 1 to 32 letters"},
		{"cookie domain with a dot", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain(".example.com"))), `CookieDomain(".example.com")`},
		{"cookie domain of one label", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain("localhost"))), "at least one dot"},
		{"cookie domain with a port", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain("example.com:443"))), "CookieDomain"},
		{"cookie domain of an address", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain("127.0.0.1"))), "CookieDomain"},
		{"cookie domain in upper case", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain("Example.com"))), "in lower case"},
		{"cookie domain with a wildcard", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain("*.example.com"))), "CookieDomain"},
		{"cookie domain with attributes", edge(auth, waybillhttp.Cookies(waybillhttp.CookieDomain("example.com; Secure"))), "CookieDomain"},
		{"idle below zero", edge(auth, waybillhttp.Idle(-1)), "use zero or more"},
		{"idle over the journey", edge(auth, waybillhttp.Idle(13*time.Hour)), "a journey ends after 12h0m0s"},
		{"idle of a short journey", edge(authority(t, waybill.Journey(time.Hour))), ""},
		{"nil BeginsOn", edge(auth, waybillhttp.BeginsOn(nil)), "BeginsOn needs a function"},
		{"nil CrossOrigin", edge(auth, waybillhttp.Cookies(), waybillhttp.CrossOrigin(nil)), "CrossOrigin needs a protection"},
		{"CrossOrigin without cookies", edge(auth, waybillhttp.CrossOrigin(http.NewCrossOriginProtection())), "CrossOrigin without Cookies"},
		{"nil Unusable", edge(auth, waybillhttp.Unusable(nil)), "Unusable needs a function"},
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
