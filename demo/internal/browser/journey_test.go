package browser

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// bookings are the steps in order, and what the waybill says after each.
var bookings = []struct{ step, claim string }{
	{gateway.Search, "to"}, {gateway.Flight, "flight"}, {gateway.Hotel, "hotel"},
	{gateway.Currency, "currency"}, {gateway.Pay, "paid"}, {gateway.Ticket, "ticket"},
}

// step takes a step of the visitor's journey by its button, and waits until it is done.
func (tb *tab) step(name, claim string) {
	tb.Helper()
	tb.click("#step-" + name)
	tb.await("the waybill says "+claim, fmt.Sprintf(`document.getElementById("claim-%s") !== null`, claim))
}

// TestBookingUnderFire books a trip by clicking, while the processes that have just served it are killed and the keys
// change: once with the waybill in cookies, and once in the page's script.
func TestBookingUnderFire(t *testing.T) {
	t.Run("cookie", func(t *testing.T) {
		testBooking(t, "cookie", func(s page.Snapshot) page.Journey { return s.Journey })
	})
	t.Run("header", func(t *testing.T) {
		testBooking(t, "header", func(s page.Snapshot) page.Journey {
			return append([]page.Journey{{}}, s.Scripts...)[len(s.Scripts)]
		})
	})
}

func testBooking(t *testing.T, carrier string, journey func(page.Snapshot) page.Journey) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "dark")
	tb.click("#by-" + carrier)
	for i, b := range bookings {
		tb.step(b.step, b.claim)
		if b.step == gateway.Ticket {
			break
		}
		s := d.await(t, "the step has hops", func(s page.Snapshot) bool {
			steps := journey(s).Steps
			return len(steps) == i+1 && len(steps[i].Hops) > 1
		})
		hops := journey(s).Steps[i].Hops
		victim := hops[i%len(hops)].Replica
		tb.click("#replica-" + victim)
		tb.await(victim+" is dead", fmt.Sprintf(`document.getElementById("replica-%s").dataset.state !== "up"`, victim))
		d.await(t, "at most two keys wait for their time", func(s page.Snapshot) bool { // the page refuses a fifth
			pending := 0
			for _, k := range s.Keys {
				if k.State == page.Pending {
					pending++
				}
			}
			return pending < 3
		})
		tb.click("#rotate")
	}
	s, err := d.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bookings {
		if journey(s).Claims[b.claim] == "" {
			t.Errorf("the waybill lost %s: %v", b.claim, journey(s).Claims)
		}
	}
	kids, replicas := map[string]bool{}, map[string]bool{}
	for _, step := range journey(s).Steps {
		for _, h := range step.Hops {
			kids[h.KID], replicas[h.Replica] = true, true
		}
	}
	t.Logf("%d steps over %d replicas under %d keys", len(journey(s).Steps), len(replicas), len(kids))
	if journey(s).Tickets != 1 {
		t.Errorf("%d tickets, want 1", journey(s).Tickets)
	}
	if lost := tb.text("#waybill-lost"); lost != "0" {
		t.Errorf("waybill lost %s sessions", lost)
	}
	hidden := strings.HasSuffix(journey(s).Token, "*")
	if scripts := eval[string](tb, "document.cookie"); hidden != (carrier == "cookie") || scripts != "" {
		t.Errorf("the page has the waybill's signature: %v; scripts see the cookies %q", !hidden, scripts)
	}
	tb.shoot("journey-" + carrier)
	tb.quiet()
}

// TestSecondTab continues a journey in a second tab: both tabs change it, also at the same time. A script's journey is its
// own.
func TestSecondTab(t *testing.T) {
	browser := browse(t)
	d := start(t)
	first := open(t, browser, d.url, desk, "dark")
	for _, b := range bookings[:2] {
		first.step(b.step, b.claim)
	}
	if link := eval[string](first, `(({ href, target }) => href + target)(document.getElementById("second-tab"))`); link != d.url+"/_blank" {
		t.Errorf("the link to a second tab leads to %s", link)
	}
	second := open(t, browser, d.url, phone, "light")
	second.await("it is on the same journey", `document.getElementById("claim-flight") !== null`)
	second.step(gateway.Hotel, "hotel")
	first.await("the first tab sees the hotel", `document.getElementById("claim-hotel") !== null && document.getElementById("step-currency") !== null`)
	second.await("the second tab can change its mind", `document.getElementById("step-search") !== null`)

	// Both at once: whatever the order, nothing of the other's is lost.
	eval[bool](second, `(document.querySelector('select[name="to"]').value = "OSL", document.getElementById("step-search").click(), true)`)
	first.click("#step-currency")
	for _, tb := range []*tab{first, second} {
		tb.await("it has both changes", `document.querySelector("#claim-to b")?.textContent === "OSL" && document.getElementById("claim-currency") !== null`)
	}
	s, err := d.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if steps := s.Journey.Steps; len(steps) < 5 || len(s.Scripts) > 0 && s.Scripts[len(s.Scripts)-1].ID == s.Journey.ID {
		t.Errorf("%d steps, want 5 or more of one journey", len(steps))
	}

	second.click("#by-header")
	second.await("its script holds nothing", `document.querySelector("#claims li") === null`)
	second.step(gateway.Search, "to")
	if first, own := first.text("#journey-id"), second.text("#journey-id"); first == own {
		t.Errorf("the script is on the journey of the cookies, %s", own)
	}
	second.click("#by-cookie")
	second.await("it is back on the journey of both", `document.getElementById("claim-currency") !== null`)
	first.quiet()
	second.quiet()
}

// counted tells whether the clicks at once are over.
const counted = `document.getElementById("clicks").ariaBusy === null && document.getElementById("clicks-waybill").dataset.lost !== undefined`

// TestLostUpdates clicks twenty times at once: the waybill keeps all, and the sessions do not.
func TestLostUpdates(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "light")
	for range 2 {
		tb.click("#clicks")
		tb.await("the clicks are counted", counted)
		lost := func(list string) float64 {
			return eval[float64](tb, `Number(document.getElementById("clicks-`+list+`").dataset.lost)`)
		}
		cookie, scs, waybill := lost("cookie"), lost("scs"), lost("waybill")
		t.Logf("lost of 20: %v in one cookie, %v by scs, %v by waybill", cookie, scs, waybill)
		if cookie == 0 || scs == 0 || waybill != 0 {
			t.Error("want some, some and none")
		}
	}
	tb.quiet()
}

// TestTrace opens the waterfall of a step from its button and from a hop, and closes it.
func TestTrace(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "light")
	for _, b := range bookings[:3] {
		tb.step(b.step, b.claim)
	}
	tb.await("the hops are there", `document.querySelectorAll(".step:first-child tbody").length >= 4`)
	for _, row := range eval[[]string](tb, `[...document.querySelectorAll(".step:first-child tbody tr:first-child")].map((n) => n.innerText)`) {
		t.Log(row)
	}
	tb.await("the step is traced", `!document.querySelector(".step .trace").hidden`)
	tb.click(".step .trace")
	tb.await("the waterfall is open", `document.getElementById("trace").open`)
	tb.await("it has the services", `new Set([...document.querySelectorAll("#spans .who b")].map((n) => n.textContent.replace(/-.*/, ""))).size >= 5`)
	tb.shoot("trace")
	tb.click("#trace-close")
	tb.await("it is closed", `!document.getElementById("trace").open`)
	tb.click(".step:first-child tbody:nth-of-type(2) .link")
	tb.await("it is open at the hop", `document.getElementById("trace").open`)
	tb.quiet()
}

// TestAttempts tries to cheat: what is refused is refused, and what is accepted does no harm; the page says why.
func TestAttempts(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "dark")
	for _, b := range bookings[:4] {
		tb.step(b.step, b.claim)
	}
	for _, try := range []struct{ kind, says string }{
		{"tamper", `(?i)refused.*signature`},
		{"abroad", `(?i)the waybill was not among`},
	} {
		tb.attempt(try.kind, try.says)
	}

	// To pay twice gives one ticket.
	tb.step(gateway.Pay, "paid")
	tb.await("it can be paid again", `document.querySelectorAll("#step-pay").length === 1 && document.querySelectorAll("#steps .step").length === 5`)
	tb.click("#step-pay")
	d.await(t, "it was paid twice", func(s page.Snapshot) bool { return s.Journey.Paid == 2 })
	tb.step(gateway.Ticket, "ticket")
	tb.attempt("replay", `(?i)one ticket`)
	s := d.await(t, "there is a ticket", func(s page.Snapshot) bool { return s.Journey.Tickets > 0 })
	if s.Journey.Tickets != 1 {
		t.Errorf("%d tickets, want 1", s.Journey.Tickets)
	}

	// What came of it is also told where the limits are.
	tb.click("#tab-limits")
	for _, kind := range []string{"tamper", "abroad", "replay"} {
		if tb.text(`[data-of="`+kind+`"]`) == "" {
			t.Errorf("the limits do not tell what came of %s", kind)
		}
	}
	tb.click("#tab-live")

	tb.click("#journey-new")
	tb.await("the journey is over", `document.querySelectorAll("#steps .step").length === 0 && document.getElementById("step-search") !== null`)
	tb.quiet()
}

// attempt presses one of the buttons to cheat with, and reads the result.
func (tb *tab) attempt(kind, says string) {
	tb.Helper()
	tb.click("#" + kind)
	tb.await("there is a result", fmt.Sprintf(`document.getElementById("result").dataset.kind === %q`, kind))
	text := tb.text("#result")
	tb.Logf("%s: %s", kind, text)
	if eval[string](tb, `document.getElementById("result").dataset.ok`) != "true" || !regexp.MustCompile(says).MatchString(text) {
		tb.Errorf("%s: %q, want %s", kind, text, says)
	}
}
