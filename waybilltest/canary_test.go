package waybilltest_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// TestCanary: each place that shows a token is found, and nothing else is.
func TestCanary(t *testing.T) {
	for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
		auth := waybilltest.Authority(t, waybill.Claims(Seats), waybill.Protect(p))
		wb, err := auth.Issue(Seats.To(1))
		if err != nil {
			t.Fatal(err)
		}
		token := wb.Token()
		for name, test := range map[string]struct {
			leaks bool
			run   func(*waybilltest.Canary)
		}{
			"log": {true, func(c *waybilltest.Canary) {
				slog.New(slog.NewJSONHandler(c.Writer("log"), nil)).Info("request", "header", http.Header{"Waybill": {token}})
			}},
			"log of the waybill": {false, func(c *waybilltest.Canary) {
				slog.New(slog.NewJSONHandler(c.Writer("log"), nil)).Info("request", "waybill", wb)
			}},
			"in pieces": {true, func(c *waybilltest.Canary) {
				w := c.Writer("dump")
				for _, letter := range "x: " + token {
					io.WriteString(w, string(letter))
				}
			}},
			"behind letters": {true, func(c *waybilltest.Canary) { c.Check("dump", "bearer_"+token) }},
			"in a value":     {true, func(c *waybilltest.Canary) { c.Check("span", map[string]any{"header": []string{token}}) }},
			"another JWT": {false, func(c *waybilltest.Canary) {
				c.Check("span", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2ln")
			}},
			"a part":         {false, func(c *waybilltest.Canary) { c.Check("span", token[:30]) }},
			"the waybill":    {false, func(c *waybilltest.Canary) { c.Check("span", wb, fmt.Sprintf("%+v", wb)) }},
			"request header": {true, func(c *waybilltest.Canary) { ask(t, c, "/", "Waybill", token) }},
			"request URL":    {true, func(c *waybilltest.Canary) { ask(t, c, "/?w="+token, "", "") }},
			"request, nothing": {false, func(c *waybilltest.Canary) {
				ask(t, c, "/", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			}},
		} {
			got := failures(t, func(t testing.TB) { test.run(waybilltest.NewCanary(t)) })
			if (len(got) > 0) != test.leaks {
				t.Errorf("%s, %s: got %q, want a failure: %v", p, name, got, test.leaks)
			}
			if strings.Contains(strings.Join(got, ""), token) {
				t.Errorf("%s, %s: the failure shows the token", p, name)
			}
		}
	}
}

// ask sends a request to a host that nobody approved.
func ask(t *testing.T, c *waybilltest.Canary, path, header, value string) {
	t.Helper()
	s := httptest.NewServer(c.Handler("foreign host"))
	defer s.Close()
	r, err := http.NewRequest("POST", s.URL+path, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		r.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
