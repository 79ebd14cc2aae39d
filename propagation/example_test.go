package waybillprop_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	waybillprop "github.com/waybill-go/waybill/propagation"
)

var Cell = waybill.NewClaim[string]("cell")

// A carrier of one's own: the sender approves where the call goes, and grants it; the receiver sees the claims.
func Example() {
	auth := exampleAuthority()
	propagator := propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}, waybillprop.New(auth))

	// The sender.
	ctx, err := auth.Start(context.Background(), Cell.To("eu-3"))
	if err != nil {
		fmt.Println(err)
		return
	}
	header := http.Header{}
	propagator.Inject(ctx, propagation.HeaderCarrier(header))
	fmt.Println("without a grant:", len(header), "headers")
	propagator.Inject(waybill.Grant(ctx), propagation.HeaderCarrier(header))
	fmt.Println("with a grant:", len(header), "header")

	// The receiver.
	ctx = propagator.Extract(context.Background(), propagation.HeaderCarrier(header))
	cell, ok := Cell.Get(ctx)
	fmt.Println(cell, ok)
	// Output:
	// without a grant: 0 headers
	// with a grant: 1 header
	// eu-3 true
}

// exampleAuthority has a key made on the spot. A service opens its ring with keyring.LoadFile.
func exampleAuthority() *waybill.Authority {
	now := time.Now()
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.Add(time.Hour)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	auth, err := waybill.New("shop", keyring.NewRing(set), waybill.Claims(Cell))
	if err != nil {
		panic(err)
	}
	return auth
}
