package show

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// chronicle is what happened, and the course of the figures. It is safe for concurrent use.
type chronicle struct {
	began time.Time

	mu     sync.Mutex
	events []page.Event
	marks  []page.Mark
	points []page.Point
	ids    int
	echo   func(page.Event) // told of each event; may be nil
}

func newChronicle() *chronicle { return &chronicle{began: time.Now()} }

// The limits on what is kept: an hour.
const (
	maxEvents = 1000
	maxPoints = 3600
)

// at is the time now, in seconds since the start.
func (c *chronicle) at() float64 { return time.Since(c.began).Seconds() }

// tell notes an event. With a label, it also marks the charts. It returns the event's id, for
// [chronicle.retell].
func (c *chronicle) tell(kind page.Kind, label, format string, args ...any) int {
	c.mu.Lock()
	c.ids++
	e := page.Event{ID: c.ids, At: c.at(), Kind: kind, Text: fmt.Sprintf(format, args...)}
	c.events = append(c.events, e)
	if label != "" {
		c.marks = append(c.marks, page.Mark{At: e.At, Kind: kind, Label: label})
	}
	c.trim()
	echo := c.echo
	c.mu.Unlock()
	if echo != nil {
		echo(e)
	}
	return e.ID
}

// retell puts another text in the place of an event's, when more is known of it.
func (c *chronicle) retell(id int, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.events, func(e page.Event) bool { return e.ID == id }); i >= 0 {
		c.events[i].Text = fmt.Sprintf(format, args...)
	}
}

func (c *chronicle) point(p page.Point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.points = append(c.points, p)
	c.trim()
}

func (c *chronicle) trim() {
	c.events = c.events[max(0, len(c.events)-maxEvents):]
	c.marks = c.marks[max(0, len(c.marks)-maxEvents):]
	c.points = c.points[max(0, len(c.points)-maxPoints):]
}

// last returns the newest events and points, and the marks between those.
func (c *chronicle) last(events, points int) ([]page.Event, page.Charts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	charts := page.Charts{Points: slices.Clone(c.points[max(0, len(c.points)-points):])}
	for _, m := range c.marks {
		if len(charts.Points) > 0 && m.At >= charts.Points[0].At {
			charts.Marks = append(charts.Marks, m)
		}
	}
	return slices.Clone(c.events[max(0, len(c.events)-events):]), charts
}
