// Package examples tests the web shops that move from a session library to waybill.
package examples

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// maxChangedLines is how many lines may be added, and how many deleted, to move a shop.
const maxChangedLines = 15

// TestChangedLines counts what moves the shops to waybill, and compares it with docs/edge.md.
func TestChangedLines(t *testing.T) {
	text, err := os.ReadFile("../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, library := range []string{"scs", "gorilla"} {
		out, err := exec.Command("git", "diff", "--no-index", "-U0", library+"/before", library+"/after").Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
			t.Fatal(err) // git exits with 1 if they differ
		}
		added, deleted := 0, 0
		for line := range strings.Lines(string(out)) {
			switch {
			case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
				continue
			case line[0] == '+':
				added++
			case line[0] == '-':
				deleted++
			default:
				continue
			}
			if shown := strings.ReplaceAll(line, "\t", "    "); library == "scs" && !strings.Contains(doc, shown) {
				t.Errorf("the diff in docs/edge.md lacks %q", shown)
			}
		}
		t.Logf("%s: %d lines added, %d deleted", library, added, deleted)
		if added == 0 || max(added, deleted) > maxChangedLines {
			t.Errorf("%s: %d lines added and %d deleted, want at most %d each", library, added, deleted, maxChangedLines)
		}
		if row := fmt.Sprintf("| %s | %d | %d |", library, added, deleted); !strings.Contains(doc, row) {
			t.Errorf("docs/edge.md lacks the row %s", row)
		}
	}
}

// TestShops drives the four shops through the same pages. A session loses changes that requests make
// at the same time, and a slow request can undo a logout; neither happens to a waybill.
func TestShops(t *testing.T) {
	bin := build(t)
	for _, name := range []string{"scs/before", "scs/after", "gorilla/before", "gorilla/after"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(bin, name))
			s.waybill = strings.HasSuffix(name, "after")
			t.Run("pages", func(t *testing.T) { s.pages(t) })
			t.Run("parallel", func(t *testing.T) { s.parallel(t) })
			t.Run("first visits", func(t *testing.T) { s.firstVisits(t) })
			t.Run("logout", func(t *testing.T) { s.slowLogout(t) })
		})
	}
}

// pages visits, adds to the cart, uses two tabs, logs in and logs out.
func (s *shop) pages(t *testing.T) {
	tab1 := s.visitor(t)
	tab1.get().want("", "EUR", "")

	tab1.post("/cart", "sku", "boots").want("", "EUR", "boots").flash("Boots is in your cart.")
	tab1.get().want("", "EUR", "boots").flash("")

	tab2 := tab1 // tabs share a jar
	tab2.post("/currency", "currency", "USD").want("", "USD", "boots")
	tab1.post("/cart", "sku", "map").want("", "USD", "boots map")
	tab2.get().want("", "USD", "boots map")

	before := tab1.session()
	tab1.post("/login", "name", "Ada & Co").want("Ada & Co", "USD", "boots map").flash("Welcome, Ada & Co.")
	if after := tab1.session(); before != "" && after == before {
		t.Errorf("after the login the session is still %s", after)
	}
	tab2.get().want("Ada & Co", "USD", "boots map")

	tab2.post("/logout").want("", "EUR", "")
	tab1.get().want("", "EUR", "")
	tab1.post("/cart", "sku", "tent").want("", "EUR", "tent")
}

// parallel adds twelve products at once.
func (s *shop) parallel(t *testing.T) {
	v := s.visitor(t)
	v.get()
	v.addAtOnce(skus)
	lost := len(skus) - len(strings.Fields(v.get().cart()))
	t.Logf("%d of %d changes lost", lost, len(skus))
	if s.waybill && lost != 0 {
		t.Errorf("%d of %d changes were lost, want 0", lost, len(skus))
	}
}

// firstVisits adds three products at once, by the first three requests of a browser.
func (s *shop) firstVisits(t *testing.T) {
	v := s.visitor(t)
	v.addAtOnce(skus[:3])
	if got, want := v.get().cart(), strings.Join(skus[:3], " "); got != want && s.waybill {
		t.Errorf("the cart has %q, want %q", got, want)
	}
}

// slowLogout logs out while another request is under way.
func (s *shop) slowLogout(t *testing.T) {
	v := s.visitor(t)
	v.post("/login", "name", "Ada").want("Ada", "EUR", "")
	sent, answered := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(sent) })
	go func() {
		defer close(answered)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { once() },
		})
		v.do(ctx, "POST", "/cart", "sku", "boots")
	}()
	<-sent
	v.post("/logout").want("", "EUR", "")
	<-answered
	page := v.get()
	t.Logf("after the logout, the user is %q and the cart is %q", page.user(), page.cart())
	if s.waybill {
		page.want("", "EUR", "")
	}
}

var skus = []string{"boots", "compass", "flask", "gaiters", "headlamp", "knife", "map", "mat", "poles",
	"rope", "stove", "tent"}

// build builds the shops into a folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, library := range []string{"scs", "gorilla"} {
		if err := os.Mkdir(filepath.Join(dir, library), 0o700); err != nil {
			t.Fatal(err)
		}
		build := exec.Command("go", "build", "-o", filepath.Join(dir, library)+"/", "./"+library+"/...")
		out, err := build.CombinedOutput()
		if err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	return dir
}

// shop is a running shop behind a proxy that ends TLS.
type shop struct {
	proxy   *httptest.Server
	auth    *waybill.Authority // to read session identifiers
	waybill bool
}

func open(t *testing.T, program string) *shop {
	t.Helper()
	dir := t.TempDir()
	keys, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ring.jwks"), keys.SecretJWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(keys))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-addr", "127.0.0.1:0", "-stock", "20ms")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "SESSION_KEY=0123456789abcdef0123456789abcdef")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s does not start: %v", program, err)
	}
	_, addr, _ := strings.Cut(strings.TrimSpace(line), " at ")
	target, err := url.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(proxy.Close)
	return &shop{proxy: proxy, auth: auth}
}

// visitor is a browser with its cookies.
type visitor struct {
	t      *testing.T
	s      *shop
	client *http.Client
}

func (s *shop) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := s.proxy.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = cmp.Or(transport.TLSClientConfig, &tls.Config{})
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t, s, &http.Client{Transport: transport, Jar: jar, Timeout: 20 * time.Second}}
}

// session returns the identifier of the visitor's session, or "" if its library has none.
func (v *visitor) session() string {
	at, err := url.Parse(v.s.proxy.URL)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(at) {
		switch {
		case c.Name == "session":
			return c.Value
		case strings.HasPrefix(c.Name, "__Host-wb-"):
			wb, err := v.s.auth.Open(c.Value)
			if err != nil {
				v.t.Fatal(err)
			}
			return wb.ID()
		}
	}
	return ""
}

func (v *visitor) get() shown { v.t.Helper(); return v.do(v.t.Context(), "GET", "/") }

// post submits a form, and returns the page to which the answer redirects.
func (v *visitor) post(path string, form ...string) shown {
	v.t.Helper()
	return v.do(v.t.Context(), "POST", path, form...)
}

func (v *visitor) do(ctx context.Context, method, path string, form ...string) shown {
	v.t.Helper()
	fields := url.Values{}
	for pair := range slices.Chunk(form, 2) {
		fields.Set(pair[0], pair[1])
	}
	r, err := http.NewRequestWithContext(ctx, method, v.s.proxy.URL+path, strings.NewReader(fields.Encode()))
	if err != nil {
		v.t.Error(err)
		return shown{v.t, ""}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Error(err)
		return shown{v.t, ""}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Errorf("%s %s: got %d %s, %v", method, path, resp.StatusCode, body, err)
	}
	return shown{v.t, string(body)}
}

// addAtOnce adds all products at the same time, each in a separate request.
func (v *visitor) addAtOnce(skus []string) {
	v.t.Helper()
	var wg sync.WaitGroup
	for _, sku := range skus {
		wg.Go(func() { v.post("/cart", "sku", sku) })
	}
	wg.Wait()
}

// shown is the page that the visitor sees.
type shown struct {
	t    *testing.T
	html string
}

func (p shown) user() string     { return p.text(`<b id="user">(.*?)</b>`) }
func (p shown) currency() string { return p.text(`<b id="currency">(.*?)</b>`) }
func (p shown) cart() string     { return p.text(`<li data-sku="(.*?)">`) }

// text returns what all matches of the expression show, separated by spaces.
func (p shown) text(expr string) string {
	var all []string
	for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(p.html, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return strings.Join(all, " ")
}

func (p shown) want(user, currency, cart string) shown {
	p.t.Helper()
	got := fmt.Sprintf("%q %q %q", p.user(), p.currency(), p.cart())
	if want := fmt.Sprintf("%q %q %q", user, currency, cart); got != want {
		p.t.Errorf("the page shows user, currency and cart %s, want %s", got, want)
	}
	return p
}

func (p shown) flash(want string) {
	p.t.Helper()
	if got := p.text(`<p role="status" id="flash">(.*?)</p>`); got != want {
		p.t.Errorf("the page says %q, want %q", got, want)
	}
}
