package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// patience is the limit of one step in the browser. The machine may be busy.
const patience = 30 * time.Second

// atEnd is run when all tests are over.
var atEnd []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range atEnd {
		end()
	}
	os.Exit(code)
}

// chromium returns the path of the browser; it is empty if there is none.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if exe, err := exec.LookPath(name); err == nil {
			return exe
		}
	}
	return ""
}

// chrome starts the browser, one for all tests.
var chrome = sync.OnceValues(func() (context.Context, error) {
	cert, err := certificate()
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "waybill-chromium-")
	if err != nil {
		return nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium()), chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors-spki-list", cert.pin))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // it refuses to run with one as root
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ := chromedp.NewContext(alloc) // ended by Cancel, which waits until the profile is not used any more
	atEnd = append(atEnd, func() {
		chromedp.Cancel(ctx)
		stop()
		os.RemoveAll(profile)
	})
	return ctx, chromedp.Do(ctx)
})

// browse returns the browser, or skips the test loudly.
func browse(t *testing.T) context.Context {
	t.Helper()
	const missing = "there is no chromium on the path, so no browser has held a journey; apt-get install chromium"
	switch {
	case testing.Short():
		t.Skip("SKIPPED: the browser tests are long")
	case chromium() == "" && os.Getenv("WAYBILL_NEED_BROWSER") == "1":
		t.Fatal(missing)
	case chromium() == "":
		t.Skip("SKIPPED LOUDLY: " + missing)
	}
	ctx, err := chrome()
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is an open page of a site. All tabs share their cookies.
type tab struct {
	*testing.T
	ctx  context.Context
	site *site

	mu     sync.Mutex
	errors []string // uncaught exceptions
}

// open opens a page of the site in a new tab.
func open(t *testing.T, s *site, path string) *tab {
	t.Helper()
	ctx, _ := chromedp.NewContext(browse(t)) // ended by Cancel, which waits until the tab is closed
	t.Cleanup(func() { chromedp.Cancel(ctx) })
	tb := &tab{T: t, ctx: ctx, site: s}
	if err := chromedp.Listen(ctx, tb.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tb.T = t; tb.quiet() })
	tb.visit(path)
	return tb
}

// moved returns the tab at a page of another site, for another test.
func (tb *tab) moved(t *testing.T, s *site, path string) *tab {
	t.Helper()
	tb.T, tb.site = t, s
	tb.visit(path)
	return tb
}

// hear notes uncaught exceptions.
func (tb *tab) hear(event any) {
	if e, ok := event.(*runtime.EventExceptionThrown); ok {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		tb.errors = append(tb.errors, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	}
}

// quiet fails the test if a script of the page failed.
func (tb *tab) quiet() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if len(tb.errors) > 0 {
		tb.Errorf("exceptions in the page:\n%s", strings.Join(tb.errors, "\n"))
	}
}

// visit navigates to a page of the site and waits until it is loaded.
func (tb *tab) visit(path string) {
	tb.Helper()
	tb.do(chromedp.Navigate(tb.site.url + path))
}

func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.Fatal(err)
	}
}

// follow clicks on an element and waits until the next page is loaded.
func (tb *tab) follow(selector string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)); err != nil {
		tb.Fatalf("%s: %v", selector, err)
	}
}

// eval evaluates an expression in the page, and waits for its promise.
func eval[T any](tb *tab, js string) T {
	tb.Helper()
	v, err := evaluate[T](tb, js)
	if err != nil {
		tb.Fatalf("%s: %v", js, err)
	}
	return v
}

// evaluate is eval for goroutines that must not end the test.
func evaluate[T any](tb *tab, js string) (T, error) {
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// cookies returns the site's cookies, HttpOnly ones included.
func (tb *tab) cookies() []*network.Cookie {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	res, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{tb.site.url}})
	if err != nil {
		tb.Fatal(err)
	}
	return res.Cookies
}

// setCookies puts cookies into the jar.
func (tb *tab) setCookies(cookies ...*network.CookieParam) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if _, err := chromedp.CallBrowser(ctx, storage.SetCookies, storage.SetCookiesParams{Cookies: cookies}); err != nil {
		tb.Fatal(err)
	}
}
