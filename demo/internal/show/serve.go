package show

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/keys"
)

// Address is where the demo serves, if nobody else does.
const Address = "127.0.0.1:7717"

// Serve runs the fleet and one slow traveller until ctx is done.
func Serve(ctx context.Context, seed uint64, w io.Writer) error {
	d := &driver.Driver{Seed: seed, Think: time.Second}
	s, err := open(ctx, Address, d)
	defer s.close()
	if err != nil {
		return err
	}
	if s.url != "http://"+Address {
		fmt.Fprintf(w, "%s is taken, so this is on the next free port.\n", Address)
	}
	fmt.Fprintf(w, `%s

Start a journey, and go on with it. The waybill is all there is of it: any gateway takes the next step. The keys change
every %.0[3]f seconds, and each goes on opening: a waybill is good for %.0[4]f minutes.

  W=$(curl -sD- -o/dev/null -X POST '%[1]s/search?to=AMS&cell=us' | tr -d '\r' | sed -n 's/^Waybill-Update: //Ip')
  curl -i -X POST -H "Waybill: $W" '%[1]s/flight?flight=AMS-101'

Kill what you like: it comes back, and nothing is lost.

  kill -9 %[2]d   # cart-1

Meanwhile a bot books trips. Ctrl-C ends everything and leaves nothing behind.

`, s.url, s.fleet.PID("cart-1"), keys.Policy.Period.Seconds(), keys.Life.Minutes())
	for n := 0; ctx.Err() == nil; n++ {
		page, err := d.Book(ctx, n)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			fmt.Fprintln(w, err)
		default:
			fmt.Fprintf(w, "booked %s, lost so far: %d\n", page, len(s.ledger.Lost()))
		}
	}
	return nil
}
