package integrationproxies

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/waybill-go/waybill"
)

// promised is how many changes at once a page without script may start behind a proxy with default
// settings.
const promised = 12

// proxies start each proxy in front of replicas with the settings of the distribution.
var proxies = []struct {
	name  string
	start func(t *testing.T, c certificate, replicas []string) string
}{
	{"nginx", func(t *testing.T, c certificate, replicas []string) string {
		return startNginx(t, c, replicas, "", nginxPass)
	}},
	{"haproxy", func(t *testing.T, c certificate, replicas []string) string {
		return startHAProxy(t, c, replicas, "", "")
	}},
}

// holders make each kind of client.
var holders = []struct {
	name string
	make func(t *testing.T, addr string) holder
}{
	{"cookies", func(t *testing.T, addr string) holder { return newCookies(t, addr) }},
	{"header", func(*testing.T, string) holder { return &list{} }},
}

// protections are all that a ring can have.
var protections = []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public}

// protocols are the versions of HTTP between client and proxy.
var protocols = []struct {
	name  string
	http2 bool
}{{"http1", false}, {"http2", true}}

// TestStock starts 12 changes at once through proxies with default settings, several times. No change
// is lost and no request is refused.
func TestStock(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.name)
			c := newCertificate(t)
			for _, protection := range protections {
				s := newShop(t, waybill.Protect(protection))
				addr := p.start(t, c, s.replicas)
				for _, h := range holders {
					for _, proto := range protocols {
						t.Run(fmt.Sprintf("%s/%s/%s", protection, h.name, proto.name), func(t *testing.T) {
							cl := newClient(t, addr, c.transport(t, proto.http2), h.make(t, addr))
							cl.rounds(t, 3, promised)
							s.balanced(t)
							s.report(t)
						})
					}
				}
			}
		})
	}
}

// TestStockInARow starts 12 changes at once, and 12 more that carry the tokens of the first ones, and so
// on, without a page between them. nginx with HTTP/1.1 accepts two bursts and refuses the third one.
func TestStockInARow(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.name)
			c := newCertificate(t)
			for _, proto := range protocols {
				t.Run(proto.name, func(t *testing.T) {
					bursts := 4
					if p.name == "nginx" && !proto.http2 {
						bursts = 2
					}
					s := newShop(t)
					addr := p.start(t, c, s.replicas)
					cl := newClient(t, addr, c.transport(t, proto.http2), newCookies(t, addr))
					cl.view(t)
					cl.inARow(t, bursts, promised)
					t.Logf("after %d bursts the client holds tokens of %s bytes", bursts, sizes(cl.held.tokens()))
					status := cl.get(t, "/").status
					if refused := status == http.StatusBadRequest; refused != (bursts == 2) {
						t.Errorf("status %d after %d bursts", status, bursts)
					}
				})
			}
		})
	}
}

// inARow starts changes at once, several times without a page between them. Each request shows all
// changes of the burst before.
func (c *client) inARow(t *testing.T, bursts, changes int) {
	t.Helper()
	for round := range bursts {
		for i, a := range c.burst(t, round, changes) {
			if lost := a.view(t).missing(round-1, changes); round > 0 && lost != nil {
				t.Errorf("burst %d, change %d: lost changes %v of the burst before", round, i, lost)
			}
		}
	}
}

// rounds starts changes at once, several times. Each round begins with a page, as a browser does. The
// page has all changes of the round before.
func (c *client) rounds(t *testing.T, rounds, changes int) {
	t.Helper()
	c.view(t)
	for round := range rounds {
		for i, a := range c.burst(t, round, changes) {
			if a.status != http.StatusOK {
				t.Fatalf("round %d, change %d: status %d: %.200s", round, i, a.status, a.body)
			}
		}
		if round == rounds-1 {
			t.Logf("after %d changes at once the client holds %d tokens of %s bytes", changes,
				len(c.held.tokens()), sizes(c.held.tokens()))
		}
		if lost := c.view(t).missing(round, changes); lost != nil {
			t.Fatalf("round %d: lost changes %v", round, lost)
		}
	}
}

// burst sends changes at once, with the same tokens, and applies the answers as they come. A request
// without an answer has status 0.
func (c *client) burst(t *testing.T, round, changes int) []answer {
	t.Helper()
	requests := make([]*http.Request, changes)
	for i := range requests {
		requests[i] = c.request(t, "POST", fmt.Sprintf("/change/%d/%d", round, i))
	}
	answers := make([]answer, changes)
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() {
			a, err := c.send(r)
			if err != nil {
				a.body = err.Error() // HAProxy closes a connection when its buffer is full
			}
			answers[i] = a
		})
	}
	all.Wait()
	return answers
}

// sizes describes the sizes of tokens.
func sizes(tokens []string) string {
	if len(tokens) == 0 {
		return "no"
	}
	least, most := len(tokens[0]), 0
	for _, token := range tokens {
		least, most = min(least, len(token)), max(most, len(token))
	}
	return fmt.Sprintf("%d to %d", least, most)
}
