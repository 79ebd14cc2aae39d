package integrationproxies

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browse starts a browser that trusts the certificate, or skips the test loudly.
func browse(t *testing.T, c certificate) context.Context {
	t.Helper()
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && exe == "" {
			exe = found
		}
	}
	const missing = "there is no chromium on the path, so no browser was freed; apt-get install chromium"
	switch {
	case testing.Short():
		t.Skip("SKIPPED: the browser tests are long")
	case exe == "" && os.Getenv("WAYBILL_NEED_BROWSER") == "1":
		t.Fatal(missing)
	case exe == "":
		t.Skip("SKIPPED LOUDLY: " + missing)
	}
	profile, err := os.MkdirTemp("", "waybill-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(exe), chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", c.pin))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // it refuses to run with one as root
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ := chromedp.NewContext(alloc) // ended by Cancel, which waits until the profile is not used any more
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		stop()
		os.RemoveAll(profile)
	})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// TestHealChromium makes the cookies of a browser too large for nginx with default settings, and for the
// rule of docs/edge.md in HAProxy. The next page says so, and the page after that works.
func TestHealChromium(t *testing.T) {
	for _, p := range []struct {
		name    string
		rounds  int
		changes int
		start   func(t *testing.T, c certificate, s *shop) string
	}{
		{"nginx", 1, 30, func(t *testing.T, c certificate, s *shop) string {
			return startNginxWith(t, c, s.replicas, "ssl", "", nginxHeal+nginxPass)
		}},
		{"haproxy", 2, 60, func(t *testing.T, c certificate, s *shop) string {
			return startHAProxy(t, c, s.replicas, haproxySettings, haproxyHeal)
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.name)
			c := newCertificate(t)
			ctx := browse(t, c)
			s := newShop(t)
			addr := p.start(t, c, s)
			page := func() string {
				t.Helper()
				if err := chromedp.Do(ctx, chromedp.Navigate("https://"+addr+"/")); err != nil {
					t.Fatal(err)
				}
				return evaluate[string](t, ctx, "document.body.innerText")
			}
			if text := page(); !strings.Contains(text, "Basket") {
				t.Fatalf("the first page is %q", text)
			}
			for round := range p.rounds {
				ok := evaluate[int](t, ctx, fmt.Sprintf(`Promise.all([...Array(%d).keys()].map(
					(i) => fetch("/change/%d/" + i, {method: "POST"}))).then((all) => all.filter((r) => r.ok).length)`,
					p.changes, round))
				if ok != p.changes {
					t.Errorf("round %d: %d changes of %d succeeded", round, ok, p.changes)
				}
			}
			if text := page(); !strings.Contains(text, "has been reset") {
				t.Errorf("the page of a browser with too many cookies is %q", text)
			}
			if text := page(); !strings.Contains(text, "Basket") {
				t.Errorf("the page after it is %q", text)
			}
			status := evaluate[int](t, ctx, `fetch("/change/2/1", {method: "POST"}).then((r) => r.status)`)
			if text := page(); status != 200 || !strings.Contains(text, mark(2, 1)) {
				t.Errorf("a change in the new journey: status %d, then the page %q", status, text)
			}
		})
	}
}

// evaluate evaluates an expression in the page, and waits for its promise.
func evaluate[T any](t *testing.T, ctx context.Context, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return v
}
