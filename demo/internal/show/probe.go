package show

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/visitor"
)

// probe is a journey of the demo itself, and what an attacker would do with its waybill.
type probe struct {
	forged  visitor.Forged
	tickets int  // of a journey that paid three times
	stayed  bool // the waybill did not go to a foreign host
	done    bool
}

// booking is the probe's trip. It pays twice.
var booking = []struct {
	name string
	ask  url.Values
}{
	{"search", url.Values{"to": {"LIS"}, "cell": {"eu"}}},
	{"flight", url.Values{"flight": {"LIS-201"}}},
	{"hotel", url.Values{"hotel": {"LIS-Grand"}, "card": {"visa"}}},
	{"currency", url.Values{"currency": {"USD"}}},
	{"pay", nil},
	{"pay", nil},
	{"ticket", nil},
}

// run books, and attacks.
func (p *probe) run(ctx context.Context, s *stage) error {
	v := &visitor.Visitor{Observer: s.observer, JS: s.js, Abroad: s.visitor.Abroad}
	v.Connect(s.balancer)
	b, err := v.Browser(&http.Request{Header: http.Header{"Waybill": {""}}})
	if err != nil {
		return err
	}
	for _, step := range booking {
		id, err := v.Step(ctx, b, step.name, step.ask)
		if err != nil {
			return err
		}
		s.probes.Store(id, true)
		_, journeys := v.Journeys(ctx)
		steps := journeys[0].Steps
		if last := steps[len(steps)-1]; !last.OK {
			return fmt.Errorf("the visitor's %s: %s", last.Name, last.Text)
		}
	}
	tokens := b.Tokens()
	if p.forged, err = v.Tamper(ctx, tokens); err != nil {
		return err
	}
	if p.tickets, err = v.Replay(ctx, tokens); err != nil {
		return err
	}
	if p.stayed, err = v.SendAbroad(ctx, tokens); err != nil {
		return err
	}
	p.done = true
	s.tell(page.Attack, "attacks", "Sent %d forged waybills: %d accepted. "+
		"Paid three times for one journey, once with an old waybill: %d ticket. "+
		"Called a foreign host: the waybill %s.", p.forged.Tried, len(p.forged.Accepted), p.tickets, where(p.stayed))
	return nil
}

func where(stayed bool) string {
	if stayed {
		return "stayed at home"
	}
	return "went there"
}
