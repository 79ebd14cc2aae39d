package integrationproxies

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// sizesOfTokens are the columns of the table of limits.
var sizesOfTokens = [...]int{450, 660, 800}

// limits is the table of docs/edge.md: how many cookies of a token's size each proxy accepts with
// default settings.
var limits = map[string][len(sizesOfTokens)]int{
	"nginx http1":   {17, 12, 9},
	"nginx http2":   {68, 47, 39},
	"haproxy http1": {32, 22, 18},
	"haproxy http2": {32, 22, 18},
}

// TestLimits checks the table of limits: so many cookies pass, and one more does not.
func TestLimits(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.name)
			c := newCertificate(t)
			s := newShop(t)
			addr := p.start(t, c, s.replicas)
			for _, proto := range protocols {
				for i, size := range sizesOfTokens {
					most := limits[p.name+" "+proto.name][i]
					passes := func(count int, within time.Duration) bool {
						held := newCookies(t, addr)
						held.plant(count, size)
						cl := newClient(t, addr, c.transport(t, proto.http2), held)
						ctx, cancel := context.WithTimeout(t.Context(), within)
						defer cancel()
						a, err := cl.send(cl.request(t, "GET", "/control/nothing").WithContext(ctx))
						return err == nil && a.status == http.StatusOK
					}
					if !passes(most, patience) {
						t.Errorf("%s: %d cookies of %d bytes are refused", proto.name, most, size)
					}
					// Over HTTP/2, Go repeats the refused request until the limit of time.
					if passes(most+1, 200*time.Millisecond) {
						t.Errorf("%s: %d cookies of %d bytes pass", proto.name, most+1, size)
					}
				}
			}
		})
	}
}
