package integrationproxies

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// client holds a journey as a client of the shop does.
type client struct {
	site *url.URL
	via  http.RoundTripper
	held holder
}

// holder keeps the tokens of a client.
type holder interface {
	// attach adds the tokens to a request.
	attach(r *http.Request)
	// apply changes the tokens as the answer says.
	apply(r *http.Request, resp *http.Response)
	// tokens returns the tokens that are held.
	tokens() []string
}

func newClient(t *testing.T, addr string, via http.RoundTripper, held holder) *client {
	t.Helper()
	site, err := url.Parse("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	return &client{site: site, via: via, held: held}
}

// request returns a request with the tokens that the client holds now.
func (c *client) request(t *testing.T, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.site.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.held.attach(r)
	return r
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request and applies the answer.
//
// The limit of time is for HTTP/2: if a proxy closes the connection, Go repeats the request for a minute.
func (c *client) send(r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	r = r.WithContext(ctx)
	resp, err := c.via.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	c.held.apply(r, resp)
	return answer{resp.StatusCode, resp.Header, string(body)}, nil
}

// get fetches a page.
func (c *client) get(t *testing.T, path string) answer {
	t.Helper()
	a, err := c.send(c.request(t, "GET", path))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// view fetches the page that shows the journey.
func (c *client) view(t *testing.T) view {
	t.Helper()
	return c.get(t, "/").view(t)
}

// view returns what the handler saw.
func (a answer) view(t *testing.T) (v view) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// cookies is a browser's jar. As in a browser, Clear-Site-Data empties it.
type cookies struct {
	mu   sync.Mutex
	jar  *cookiejar.Jar
	site *url.URL
}

func newCookies(t *testing.T, addr string) *cookies {
	t.Helper()
	c := &cookies{site: &url.URL{Scheme: "https", Host: addr, Path: "/"}}
	c.clear()
	return c
}

func (c *cookies) clear() { c.jar, _ = cookiejar.New(nil) }

func (c *cookies) attach(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cookie := range c.jar.Cookies(c.site) {
		r.AddCookie(cookie)
	}
}

func (c *cookies) apply(r *http.Request, resp *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(resp.Header.Get("Clear-Site-Data"), `"cookies"`) {
		c.clear()
	}
	c.jar.SetCookies(c.site, resp.Cookies())
}

func (c *cookies) tokens() (tokens []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cookie := range c.jar.Cookies(c.site) {
		tokens = append(tokens, cookie.Value)
	}
	return tokens
}

// plant adds cookies with the names of tokens, and values of a size.
func (c *cookies) plant(count, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var planted []*http.Cookie
	for i := range count {
		planted = append(planted, &http.Cookie{
			Name: fmt.Sprintf("__Host-wb-plant%03d", i), Value: strings.Repeat("x", size), Path: "/", Secure: true,
		})
	}
	c.jar.SetCookies(c.site, planted)
}

// list holds tokens as a script does, by header: in one line, or in a line for each token.
type list struct {
	lines bool

	mu   sync.Mutex
	held []string
}

func (l *list) attach(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines && l.held != nil {
		r.Header["Waybill"] = slices.Clone(l.held)
	} else {
		r.Header.Set("Waybill", strings.Join(l.held, ", "))
	}
}

func (l *list) apply(r *http.Request, resp *http.Response) {
	l.mu.Lock()
	defer l.mu.Unlock()
	update, ok := resp.Header["Waybill-Update"]
	if !ok {
		return
	}
	sent := strings.Split(strings.Join(r.Header["Waybill"], ", "), ", ")
	l.held = slices.DeleteFunc(l.held, func(token string) bool { return slices.Contains(sent, token) })
	if update[0] != "" {
		l.held = append(l.held, update[0])
	}
}

func (l *list) tokens() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.held)
}
