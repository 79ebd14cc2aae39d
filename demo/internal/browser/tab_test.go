package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium returns the path of the browser; it is empty if there is none.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if exe, err := exec.LookPath(name); err == nil {
			return exe
		}
	}
	return ""
}

// browse returns the browser, without cookies, or skips the test loudly.
func browse(t *testing.T) context.Context {
	t.Helper()
	const missing = "there is no chromium on the path, so nobody has looked at the page; apt-get install chromium"
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
	forget := func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}
	if err := chromedp.Do(ctx, chromedp.Func(forget)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// chrome starts the browser, one for all tests.
var chrome = sync.OnceValues(func() (context.Context, error) {
	profile, err := os.MkdirTemp("", "waybill-chromium-")
	if err != nil {
		return nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium()), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(profile))
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

// tab is an open page. What it complains of, and whom it asks for anything, is noted.
type tab struct {
	*testing.T
	ctx  context.Context
	home string

	mu      sync.Mutex
	errors  []string
	foreign []string
}

// size is a screen.
type size struct {
	width, height int64
}

var (
	desk  = size{1440, 900}
	phone = size{390, 844}
)

// open opens the page in a new tab: without motion, so that a busy machine has time for the rest.
func open(t *testing.T, browser context.Context, home string, s size, scheme string) *tab {
	t.Helper()
	ctx, _ := chromedp.NewContext(browser) // ended by Cancel, which waits until the tab is closed
	t.Cleanup(func() { chromedp.Cancel(ctx) })
	tb := &tab{T: t, ctx: ctx, home: home}
	if err := chromedp.Listen(ctx, tb.hear); err != nil {
		t.Fatal(err)
	}
	tb.do(look(s, scheme, "reduce"), chromedp.Navigate(home))
	tb.await("the page is live", `document.getElementById("connection").dataset.state === "live"`)
	return tb
}

func look(s size, scheme, motion string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.EmulateViewport(s.width, s.height),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			// In sight, whatever other tabs come and go: a hidden page lets go of its stream.
			if _, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
				return err
			}
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{
					{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
				},
			})
			return err
		}))
}

// hear notes errors and foreign requests.
func (tb *tab) hear(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tb.errors = append(tb.errors, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		tb.errors = append(tb.errors, fmt.Sprintf("console.%s", e.Type))
	case *log.EventEntryAdded:
		tb.errors = append(tb.errors, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme+"://"+u.Host != tb.home {
			tb.foreign = append(tb.foreign, e.Request.URL)
		}
	}
}

// quiet fails the test if the page complained, or asked anybody but its own server.
func (tb *tab) quiet() {
	tb.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if len(tb.errors) > 0 {
		tb.Errorf("the console is not empty:\n%s", strings.Join(tb.errors, "\n"))
	}
	if len(tb.foreign) > 0 {
		tb.Errorf("the page asked others: %s", strings.Join(tb.foreign, ", "))
	}
}

func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.Fatal(err)
	}
}

// click clicks on the first visible element that a selector finds, as a mouse does.
func (tb *tab) click(selector string) {
	tb.Helper()
	tb.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// await returns how long it took until a condition held.
func (tb *tab) await(what, js string) time.Duration {
	tb.Helper()
	began := time.Now()
	for time.Since(began) < patience {
		if eval[bool](tb, js) {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	tb.quiet()
	tb.Fatalf("not after %v: %s: %s\n%s", patience, what, js, eval[string](tb, `document.body.innerText`))
	return 0
}

// text returns what stands in the first element that a selector finds.
func (tb *tab) text(selector string) string {
	tb.Helper()
	return eval[string](tb, fmt.Sprintf(`document.querySelector(%q).textContent`, selector))
}

// eval evaluates an expression in the page.
func eval[T any](tb *tab, js string) T {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		tb.Fatalf("%s: %v", js, err)
	}
	return v
}
