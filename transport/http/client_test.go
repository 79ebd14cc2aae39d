package waybillhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// visitor is a client of an edge. It sends every token that it holds.
type visitor interface {
	visit(t testing.TB, method, path string) report
	hold(tokens ...string) // adds tokens, as if they had come from the edge
	held() []string
}

// report is an answer of the edge, and what its handler reported.
type report struct {
	answer
	sid, cell    string // "" without a journey
	began        bool
	previous     string // the sid
	previousCell string
	why          string
}

// reporter reports what it sees. A request for a path with "cell=" in it sets this claim.
func reporter(t testing.TB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		ended, why := waybill.Previous(ctx)
		was, _ := cell.Of(ended)
		for name, values := range r.Header {
			for _, v := range values {
				if strings.Contains(v, "eyJ") {
					t.Errorf("the handler sees a token in %s", name)
				}
			}
		}
		if strings.Contains(r.RequestURI+r.URL.String(), "eyJ") || r.FormValue("waybill") != "" {
			t.Errorf("the handler sees a token in %s", r.RequestURI)
		}
		switch _, value, set := strings.Cut(r.URL.Path, "cell="); {
		case set:
			check(t, waybill.Update(ctx, cell.To(value)))
		case r.URL.Path == "/login":
			check(t, waybill.Begin(ctx, cell.To("mine")))
		case r.URL.Path == "/logout":
			check(t, waybill.End(ctx))
		}
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		}
		wb, _ := waybill.FromContext(ctx)
		in, _ := cell.Get(ctx)
		fmt.Fprintf(w, "sid=%s\ncell=%s\nbegan=%v\nprevious=%s\nwas=%s\nwhy=%s\nfield=%s\n", wb.ID(), in, waybill.Began(ctx),
			ended.ID(), was, waybill.Reason(why), waybillhttp.Field(ctx))
	}
}

func see(a answer) report {
	fields := map[string]string{}
	for line := range strings.Lines(a.body) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[key] = value
	}
	return report{a, fields["sid"], fields["cell"], fields["began"] == "true", fields["previous"], fields["was"], fields["why"]}
}

// browser is a client with cookies.
type browser struct {
	http.Client
	s      *httptest.Server
	prefix string
	header http.Header
}

func newBrowser(t testing.TB, s *httptest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{s: s, prefix: "__Host-wb-"}
	b.Client = *s.Client()
	b.Jar = jar
	return b
}

func (b *browser) visit(t testing.TB, method, path string) report {
	t.Helper()
	r := request(t, t.Context(), method, b.s.URL+path)
	for name, values := range b.header {
		r.Header[name] = values
	}
	return see(do(t, &b.Client, r))
}

func (b *browser) url() *url.URL {
	u, _ := url.Parse(b.s.URL)
	return u
}

func (b *browser) hold(tokens ...string) {
	for i, token := range tokens {
		b.plant(fmt.Sprintf("planted%d", i), token)
	}
}

// plant sets a cookie.
func (b *browser) plant(name, value string) {
	b.Jar.SetCookies(b.url(), []*http.Cookie{{Name: b.prefix + name, Value: value, Path: "/", Secure: true, HttpOnly: true}})
}

func (b *browser) held() (tokens []string) {
	for _, c := range b.Jar.Cookies(b.url()) {
		if strings.HasPrefix(c.Name, b.prefix) {
			tokens = append(tokens, c.Value)
		}
	}
	return tokens
}

// script is a client that sends the header. Like fetch, it follows redirects without seeing them.
type script struct {
	s      *httptest.Server
	tokens []string
}

func (c *script) visit(t testing.TB, method, path string) report {
	t.Helper()
	r := request(t, t.Context(), method, c.s.URL+path)
	r.Header.Set(headerKey, strings.Join(c.tokens, ", "))
	sent := len(c.tokens)
	a := do(t, c.s.Client(), r)
	if update := a.Header[returnKey]; update != nil {
		c.tokens = c.tokens[sent:]
		if update[0] != "" {
			c.tokens = append(c.tokens, update[0])
		}
	}
	return see(a)
}

func (c *script) hold(tokens ...string) { c.tokens = append(c.tokens, tokens...) }
func (c *script) held() []string        { return c.tokens }

// reader is a client of pages: it follows their links, and sends their forms.
type reader struct {
	s     *httptest.Server
	token string
}

var fieldPattern = regexp.MustCompile(`name="waybill" value="([^"]*)"`)

func (c *reader) visit(t testing.TB, method, path string) report {
	t.Helper()
	if c.token != "" && method == http.MethodGet {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + "waybill=" + c.token
	}
	r := request(t, t.Context(), method, c.s.URL+path)
	if method == http.MethodPost {
		r.Body = io.NopCloser(strings.NewReader(url.Values{"waybill": {c.token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a := do(t, c.s.Client(), r)
	if a.StatusCode == 200 {
		c.token = ""
		if m := fieldPattern.FindStringSubmatch(a.body); m != nil {
			c.token = m[1]
		}
	}
	return see(a)
}

func (c *reader) hold(tokens ...string) { c.token = tokens[len(tokens)-1] }
func (c *reader) held() []string {
	if c.token == "" {
		return nil
	}
	return []string{c.token}
}

// carriers are the ways in which clients hold tokens.
var carriers = []struct {
	name    string
	options []waybillhttp.EdgeOption
	visitor func(testing.TB, *httptest.Server) visitor
	several bool // the client can hold several tokens
}{
	{"cookies", []waybillhttp.EdgeOption{waybillhttp.Cookies()},
		func(t testing.TB, s *httptest.Server) visitor { return newBrowser(t, s) }, true},
	{"header", nil, func(_ testing.TB, s *httptest.Server) visitor { return &script{s: s} }, true},
	{"pages", []waybillhttp.EdgeOption{waybillhttp.Pages(), waybillhttp.Idle(2 * 60 * 60e9)},
		func(_ testing.TB, s *httptest.Server) visitor { return &reader{s: s} }, false},
}

// sealings are the protections of tokens.
var protections = map[string]waybill.Protection{"signed": waybill.Signed, "sealed": waybill.Sealed, "public": waybill.Public}

// startIn begins journeys with the cell "new".
var startIn = waybillhttp.StartWith(func(*http.Request) ([]waybill.Change, error) {
	return []waybill.Change{cell.To("new")}, nil
})
