package integrationproxies

import (
	"net/http"
	"slices"
	"testing"
)

// cuts start a proxy that changes headers of requests below /change/1/ and of their answers.
var cuts = []struct {
	name  string
	keeps bool // the client keeps its journey, and loses at most the change of that exchange
	start func(t *testing.T, c certificate, replicas []string) string
}{
	{"nginx drops the answer's", true, func(t *testing.T, c certificate, replicas []string) string {
		return startNginx(t, c, replicas, "", `
	location /change/1/ {
		proxy_hide_header Set-Cookie;
		proxy_hide_header Waybill-Update;
		proxy_pass http://shop;
	}
`+nginxPass)
	}},
	{"nginx drops the request's", true, func(t *testing.T, c certificate, replicas []string) string {
		return startNginx(t, c, replicas, "", `
	location /change/1/ {
		proxy_set_header Cookie "";
		proxy_set_header Waybill "";
		proxy_pass http://shop;
	}
`+nginxPass)
	}},
	{"haproxy cuts the answer's", false, func(t *testing.T, c certificate, replicas []string) string {
		return startHAProxy(t, c, replicas, "", `
    acl cut path_beg /change/1/
    http-request set-var(txn.cut) bool(true) if cut
    http-response replace-header Set-Cookie ^(.{150}).*$ \1 if { var(txn.cut) -m bool }
    http-response replace-header Waybill-Update ^(.{150}).*$ \1 if { var(txn.cut) -m bool }
`)
	}},
	{"haproxy cuts the request's", false, func(t *testing.T, c certificate, replicas []string) string {
		return startHAProxy(t, c, replicas, "", `
    acl cut path_beg /change/1/
    http-request replace-header Cookie ^(.{150}).*$ \1 if cut
    http-request replace-header Waybill ^(.{150}).*$ \1 if cut
`)
	}},
	{"haproxy keeps the last answer's only", false, func(t *testing.T, c certificate, replicas []string) string {
		return startHAProxy(t, c, replicas, "", `
    acl cut path_beg /change/1/
    http-request set-var(txn.cut) bool(true) if cut
    acl sets res.fhdr(Set-Cookie) -m found
    http-response set-header Set-Cookie %[res.fhdr(Set-Cookie,-1)] if { var(txn.cut) -m bool } sets
`)
	}},
}

// TestCut lets a proxy lose or shorten the headers of one exchange: a client's first, or a later one. The
// requests after it work: the client keeps its journey, or begins a new one.
func TestCut(t *testing.T) {
	for _, cut := range cuts {
		t.Run(cut.name, func(t *testing.T) {
			c := newCertificate(t)
			s := newShop(t)
			addr := cut.start(t, c, s.replicas)
			for _, h := range holders {
				t.Run(h.name, func(t *testing.T) {
					via := c.transport(t, false)
					first := newClient(t, addr, via, h.make(t, addr))
					first.burst(t, 1, 1)
					first.rounds(t, 1, 3)
					cl := newClient(t, addr, via, h.make(t, addr))
					cl.get(t, "/?guest=ann")
					cl.burst(t, 0, 3)
					a := cl.burst(t, 1, 1)[0]
					if a.status != http.StatusOK {
						t.Errorf("status %d: %s", a.status, a.body)
					}
					t.Logf("the client holds %d tokens of %s bytes", len(cl.held.tokens()), sizes(cl.held.tokens()))
					v := cl.view(t)
					t.Logf("then it is %q, with %v", v.Guest, v.Basket)
					if cut.keeps && (v.Guest != "ann" || !slices.Equal(v.Basket, []string{mark(0, 1), mark(0, 2)})) {
						t.Errorf("the journey is not what it was")
					}
					for i, a := range cl.burst(t, 2, 3) {
						if a.status != http.StatusOK {
							t.Errorf("change %d after the exchange: status %d: %s", i, a.status, a.body)
						}
					}
					if lost := cl.view(t).missing(2, 3); lost != nil {
						t.Errorf("lost changes %v after the exchange", lost)
					}
				})
			}
		})
	}
}
