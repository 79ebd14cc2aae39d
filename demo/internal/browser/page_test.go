package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// views are the screens and colour schemes that the page is made for.
var views = []struct {
	name   string
	size   size
	scheme string
}{
	{"desk-dark", desk, "dark"}, {"desk-light", desk, "light"},
	{"phone-dark", phone, "dark"}, {"phone-light", phone, "light"},
}

// TestViews looks at the page as people do: everything is there, moves, fits, and can be read.
func TestViews(t *testing.T) {
	browser := browse(t)
	d := start(t)
	for _, path := range []string{
		"journey/search?to=LIS&cell=eu", "journey/flight?flight=LIS-201", "journey/hotel?hotel=Canal&card=visa",
		"kill/" + d.last(t, "sticky"), "kill/" + d.last(t, "cart"),
	} {
		d.post(t, path)
	}
	d.await(t, "sessions are lost elsewhere", func(s page.Snapshot) bool { return s.Verdict[0].Finished > 0 && s.Verdict[1].Lost > 0 })
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			tb := open(t, browser, d.url, v.size, v.scheme)
			before := tb.text("#waybill-finished")
			tb.await("the numbers move", fmt.Sprintf(`document.getElementById("waybill-finished").textContent !== %q`, before))
			tb.click("#clicks")
			tb.await("the clicks are counted", counted)
			tb.await("the charts are drawn", `document.querySelectorAll(".plot path.own[d]").length === 3`)
			tb.await("requests leave traces", `document.querySelectorAll("#lines path").length > 10 || innerWidth < 700`)
			if title := eval[string](tb, "document.title"); title != "0 lost · waybill" {
				t.Errorf("the title is %q", title)
			}
			if n := eval[float64](tb, `document.documentElement.scrollWidth - innerWidth`); n > 0 {
				t.Errorf("the page is %v pixels too wide", n)
			}
			if n := eval[float64](tb, `document.documentElement.scrollHeight - innerHeight`); v.size == desk && n > 0 {
				t.Errorf("the page is %v pixels too high for one screen", n)
			}
			if out := eval[[]string](tb, overflow); len(out) > 0 {
				t.Errorf("out of their frame: %q", out)
			}
			if poor := eval[[]string](tb, contrast); len(poor) > 0 {
				t.Errorf("hard to read (WCAG AA wants 4.5): %q", poor)
			}
			tb.do(look(v.size, v.scheme, "no-preference"))
			tb.await("requests move", `document.getElementById("dots").dataset.count > 5 || innerWidth < 700`)
			tb.shoot(v.name)
			tb.quiet()
		})
	}
}

// overflow lists the replicas that stick out of the fleet's frame, those whose name does not fit, and the cards with
// figures over each other or outside.
const overflow = `(() => {
  const frame = document.querySelector(".fleet").getBoundingClientRect();
  return [...document.querySelectorAll(".replica")].filter((card) => {
    const name = card.querySelector(".name");
    return card.getBoundingClientRect().bottom > frame.bottom || name.scrollWidth > name.clientWidth;
  }).map((card) => card.id).concat([...document.querySelectorAll(".card")].filter((card) => {
    const box = (node) => node.getBoundingClientRect(), dl = box(card.querySelector("dl"));
    const over = [...card.querySelectorAll(".big > *")].some((n) => box(n).right > dl.left && box(n).bottom > dl.top);
    return over || [...card.querySelectorAll("header > *, dd")].some((n) => box(n).right > box(card).right - 10);
  }).map((card) => card.innerText));
})()`

// contrast lists the texts that stand out too little from their background. What is switched off may be pale.
const contrast = `(() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour, under) => {
    paint.fillStyle = under; paint.fillRect(0, 0, 1, 1);
    paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return paint.getImageData(0, 0, 1, 1).data;
  };
  const ground = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const colour = getComputedStyle(n).backgroundColor;
      if (!/, 0\)$|^transparent$/.test(colour)) return colour;
    }
    return "white";
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const poor = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (node.closest('.hidden, .skip, [aria-disabled="true"], [aria-busy="true"], [data-on="false"], option')) continue;
    const back = ground(node);
    const [a, b] = [luminance(rgb(getComputedStyle(node).color, back)), luminance(rgb(back, back))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.add(node.className + " " + texts.currentNode.data.trim().slice(0, 30));
  }
  return [...poor];
})()`

// shoot writes what the tab shows to the directory for screenshots, if there is one.
func (tb *tab) shoot(name string) {
	tb.Helper()
	dir := os.Getenv("WAYBILL_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		tb.Fatal(err)
	}
}

// TestKeyboard goes through the page without a mouse: everything that can be pressed has a name and can be reached, in
// the order in which it stands.
func TestKeyboard(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "dark")
	tb.await("there are replicas", `document.querySelectorAll(".replica").length > 10`)
	if nameless := eval[[]string](tb, `[...document.querySelectorAll("button, select, meter, progress, [role=img], dialog")]
	  .filter((n) => !n.closest("[aria-hidden=true]") && n.getAttribute("aria-hidden") !== "true")
	  .filter((n) => !(n.ariaLabel || n.getAttribute("aria-labelledby") || n.textContent.trim() || n.labels?.length))
	  .map((n) => n.outerHTML)`); len(nameless) > 0 {
		t.Errorf("a screen reader has no name for %q", nameless)
	}
	want := eval[float64](tb, `[...document.querySelectorAll("button, select, a[href]")].filter((n) => n.tabIndex >= 0 && n.checkVisibility() && !n.closest("dialog")).length`)
	seen := map[string]bool{}
	for range int(want) {
		tb.do(chromedp.KeyEvent(kb.Tab))
		seen[eval[string](tb, `(() => { const n = document.activeElement; return n.id || n.ariaLabel || n.name || n.textContent; })()`)] = true
	}
	for _, name := range []string{"tab-live", "kill-random", "store-switch", "replica-cart-1", "step-search", "tamper"} {
		if !seen[name] {
			t.Errorf("the tab key does not reach %s", name)
		}
	}
	tb.do(chromedp.Focus(chromedp.CSS("#tab-live")), chromedp.KeyEvent(kb.ArrowRight))
	tb.await("an arrow opens the limits", `!document.getElementById("limits").hidden && document.getElementById("live").hidden`)
	if poor := eval[[]string](tb, contrast); len(poor) > 0 {
		t.Errorf("hard to read (WCAG AA wants 4.5): %q", poor)
	}
	tb.shoot("limits")
	tb.quiet()
}

// TestReducedMotion sees that nothing moves for those who do not want it, and that something does for the others.
func TestReducedMotion(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "dark") // as all tests do, without motion
	tb.await("requests leave traces", `document.querySelectorAll("#lines path").length > 10`)
	if n := tb.dots(); n > 0 {
		t.Errorf("%v dots move though nothing should", n)
	}
	tb.do(look(desk, "dark", "no-preference"))
	tb.await("requests move", `document.getElementById("dots").dataset.count > 0`)
	tb.await("they are painted", painted)
	if n := tb.dots(); n > 90 {
		t.Errorf("%v dots at a time, want 90 at most", n)
	}
	tb.do(look(desk, "dark", "reduce"))
	tb.await("they stop", `document.getElementById("dots").dataset.count === "0"`)
	tb.quiet()
}

// painted tells whether anything is on the canvas. It looks at a copy: the browser warns of a canvas that is read again and
// again.
const painted = `(() => {
  const { width, height } = document.getElementById("dots");
  const copy = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
  copy.drawImage(document.getElementById("dots"), 0, 0);
  return copy.getImageData(0, 0, width, height).data.some((v) => v > 0);
})()`

// dots returns how many requests are on their way in the picture.
func (tb *tab) dots() float64 {
	tb.Helper()
	return eval[float64](tb, `Number(document.getElementById("dots").dataset.count)`)
}
