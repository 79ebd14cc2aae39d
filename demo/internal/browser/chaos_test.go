package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// busy reports whether the verdict has something to tell.
func busy(s page.Snapshot) bool { return len(s.Verdict) > 0 && s.Verdict[0].Finished > 0 }

// TestKill kills a replica by its card, and brings it back.
func TestKill(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "dark")
	for _, name := range []string{"cart-2", "gateway-1"} {
		before := d.replica(t, name)
		card := "#replica-" + name
		tb.click(card)
		took := tb.await("the card shows it", fmt.Sprintf(`document.querySelector(%q).dataset.state === "down"`, card))
		t.Logf("%s: its card showed its death %v after the click", name, took.Round(time.Millisecond))
		if alive(before.PID) {
			t.Errorf("%s is shown as dead, and its process %d is there", name, before.PID)
		}
		tb.click(card)
		tb.await("it comes back", fmt.Sprintf(`document.querySelector(%q).dataset.state === "up"`, card))
		after := d.replica(t, name)
		if after.PID == before.PID || !alive(after.PID) {
			t.Errorf("%s came back as process %d (before: %d), alive: %v", name, after.PID, before.PID, alive(after.PID))
		}
	}
	tb.quiet()
}

// TestButtons presses what stands in the head of the page, and sees each take effect.
func TestButtons(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "dark")
	tb.await("there are keys", `document.querySelector("#keys [data-state=active]") !== null`)

	newest := `document.querySelector("#keys li:last-child").id`
	before := eval[string](tb, newest)
	tb.click("#rotate")
	took := tb.await("there is a new key", newest+` !== "`+before+`"`)
	t.Logf("the new key was in sight %v after the click", took.Round(time.Millisecond))

	tb.click("#pause-broker")
	took = tb.await("the broker is shown as paused", `document.getElementById("nats").dataset.paused === "true"`)
	t.Logf("the pause was in sight %v after the click", took.Round(time.Millisecond))
	tb.await("the broker goes on", `document.getElementById("nats").dataset.paused === "false"`)

	tb.click("#kill-random")
	tb.await("somebody is dead", `document.querySelector('.replica[data-state="down"]') !== null`)

	tb.click("#store-switch")
	tb.await("the store's lane is on", `document.querySelector('.card[data-lane="store"]').dataset.on === "true"`)
	tb.await("it has processes", `[...document.querySelectorAll(".baselines h3")].some((n) => n.textContent === "Central store")`)

	pids := map[string]int{}
	s, err := d.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Fleet.Replicas {
		pids[r.Name] = r.PID
	}
	tb.click("#rolling-restart")
	d.await(t, "all replicas are new", func(s page.Snapshot) bool {
		for _, r := range s.Fleet.Replicas {
			if r.PID == pids[r.Name] || r.State != page.Up {
				return false
			}
		}
		return true
	})
	if lost := tb.text("#waybill-lost"); lost != "0" {
		t.Errorf("waybill lost %s sessions", lost)
	}
	tb.quiet()
}

// TestRevoke revokes the oldest key, under which nothing is left.
func TestRevoke(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "light")
	tb.await("there is a key", `document.querySelector("#keys [data-state=active]") !== null`)
	kid := eval[string](tb, `document.querySelector("#keys [data-state=active]").id`)
	tb.click("#" + kid + " button")
	tb.await("it is revoked", fmt.Sprintf(`(document.getElementById(%q)?.dataset.state ?? "gone") !== "active"`, kid))
	tb.await("another key issues", `document.querySelector("#keys [data-state=active]") !== null`)
	tb.quiet()
}
