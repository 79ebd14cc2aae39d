package integrationproxies

import (
	"net/http"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// none holds nothing: a Jar below it does.
type none struct{}

func (none) attach(*http.Request)                {}
func (none) apply(*http.Request, *http.Response) {}
func (none) tokens() []string                    { return nil }

// TestJar starts 30 changes at once from a Jar through proxies with default settings. The Jar queues
// them, so that its requests stay small enough.
func TestJar(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			program(t, p.name)
			c := newCertificate(t)
			for _, proto := range protocols {
				t.Run(proto.name, func(t *testing.T) {
					s := newShop(t)
					addr := p.start(t, c, s.replicas)
					jar, err := waybillhttp.NewJar(c.transport(t, proto.http2), "https://"+addr)
					if err != nil {
						t.Fatal(err)
					}
					newClient(t, addr, jar, none{}).rounds(t, 3, 30)
					s.report(t)
				})
			}
		})
	}
}
