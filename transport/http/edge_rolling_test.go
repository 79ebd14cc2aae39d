package waybillhttp_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
	"github.com/waybill-go/waybill/waybilltest"
)

// One replica has the rules of the day before: the claim tags had no merge rule then. Changes of tags may
// be lost while the deployment rolls. All other changes are kept, by header and with cookies.
func TestEdgesWhileADeploymentRolls(t *testing.T) {
	dayBefore := func(p waybill.Protection) *waybill.Authority {
		opts := []waybill.Option{waybill.Protect(p), waybill.IssueLimit(waybill.DefaultAcceptLimit),
			waybill.Claims(cell, tenant, waybill.NewClaim[[]string]("tags"))}
		for _, c := range jarClaims {
			opts = append(opts, waybill.Claims(c))
		}
		return waybilltest.Authority(t, opts...)
	}
	pause := func(*http.Request) { time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) }
	for name, opts := range map[string][]waybillhttp.EdgeOption{"header": nil, "cookies": {waybillhttp.Cookies()}} {
		for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
			base, origin := replicas(t, true, jarShop(t, jarAuthority(t, waybill.Protect(p)), pause, opts...),
				jarShop(t, dayBefore(p), pause, opts...))
			j := jar(t, base, origin)
			c := &http.Client{Transport: j}
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					resp, err := c.Do(request(t, t.Context(), "POST", fmt.Sprintf("%s/add?n=%d", origin, i)))
					if err != nil {
						t.Error(err)
						return
					}
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						t.Errorf("%s, %s: change %d: %s", name, p, i, resp.Status)
					}
				})
			}
			all.Wait()
			get(t, t.Context(), c, origin) // merges
			held := j.Tokens()
			if len(held) != 1 {
				t.Fatalf("%s, %s: the jar holds %d tokens, want 1", name, p, len(held))
			}
			kept := jarChanges(must(jarAuthority(t, waybill.Protect(p)).Open(held[0])))
			for i := range 50 {
				if i%10 != 1 && !kept[i] {
					t.Errorf("%s, %s: change %d is lost", name, p, i)
				}
			}
		}
	}
}
