package show

import (
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
)

func TestChronicle(t *testing.T) {
	c := newChronicle()
	var heard []string
	c.echo = func(e page.Event) { heard = append(heard, e.Text) }
	c.point(page.Point{At: 0})
	first := c.tell(page.Killed, "cart-2 killed", "Killed cart-%d.", 2)
	c.tell(page.Note, "", "No mark.")
	c.retell(first, "Killed cart-2: %d lost.", 0)
	events, charts := c.last(50, 10)
	if len(events) != 2 || events[0].Text != "Killed cart-2: 0 lost." || events[0].ID != first || events[1].ID <= first {
		t.Errorf("events: got %+v", events)
	}
	if len(charts.Marks) != 1 || charts.Marks[0].Label != "cart-2 killed" || len(charts.Points) != 1 {
		t.Errorf("charts: got %+v, want one mark and one point", charts)
	}
	if strings.Join(heard, " ") != "Killed cart-2. No mark." {
		t.Errorf("heard: got %q", heard)
	}
	for range maxEvents {
		c.tell(page.Note, "x", "Another.")
	}
	c.retell(first, "It is long gone.")
	if events, _ := c.last(2*maxEvents, 1); len(events) != maxEvents || events[0].Text != "Another." {
		t.Errorf("%d events, the first %q; want %d", len(events), events[0].Text, maxEvents)
	}
	c.point(page.Point{At: c.at() + 1})
	if _, charts := c.last(1, 1); len(charts.Marks) != 0 || len(charts.Points) != 1 {
		t.Errorf("got %d marks before the only point", len(charts.Marks))
	}
}

// spansOfStep are a step that asks a service over the broker.
func spansOfStep() []tracing.Span {
	now := time.Now()
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	return []tracing.Span{
		{Service: "driver", Name: "step flight", Trace: "t", ID: "1", Began: at(0), Duration: 40 * time.Millisecond},
		{Service: "gateway-1", Name: "POST /flight", Trace: "t", ID: "2", Parent: "1", Began: at(1), Attrs: map[string]string{"waybill.kid": "k", "server.port": "1"}},
		{Service: "gateway-1", Name: "ask", Trace: "t", ID: "3", Parent: "2", Began: at(2)},
		{Service: "pricing-eu", Name: tracing.Quote, Trace: "t", ID: "4", Parent: "3", Began: at(3)},
	}
}

// TestMoves hands out the spans as they come: a parent ends after its children.
func TestMoves(t *testing.T) {
	spans := spansOfStep()
	var m moves
	if got := m.take(spans[3:]); len(got) != 0 {
		t.Errorf("without a parent: got %+v", got)
	}
	got := m.take(append(spans[1:3:3], spans[0]))
	want := []page.Move{
		{ID: 1, From: "gateway-1", To: page.NATS, Via: "NATS", Visitor: true},
		{ID: 2, From: page.NATS, To: "pricing-eu", Via: "NATS", Visitor: true},
		{ID: 3, From: page.World, To: "gateway-1", Via: "HTTP", Visitor: true},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("move %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	if got := m.take(nil); len(got) != 0 {
		t.Errorf("afterwards: got %+v", got)
	}
}

// TestWaterfall loses the middle of a trace, as the death of a process does.
func TestWaterfall(t *testing.T) {
	spans := spansOfStep()
	bars := waterfall(append(spans[:2:2], spans[3]))
	if len(bars) != 3 || bars[0].ID != "1" || bars[1].Parent != "1" || bars[2].ID != "4" || bars[2].Parent != "" {
		t.Fatalf("got %+v, want the root, its child, and one below nothing", bars)
	}
	if bars[1].Start != 1 || bars[0].Millis != 40 || len(bars[1].Attrs) != 1 || bars[1].Attrs["waybill.kid"] != "k" {
		t.Errorf("got %+v, want it after 1 ms, with its key", bars[1])
	}
}

func TestInHand(t *testing.T) {
	for n, want := range map[int]string{0: "nothing in hand", 1: "1 call in hand, made again", 9: "9 calls in hand, made again"} {
		if got := inHand(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
