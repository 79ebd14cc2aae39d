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

// Instrumentation that extracts finds the claims. What it injects carries no waybill, because a propagator does not know
// the destination.
func Example() {
	auth := exampleAuthority()
	waybills, err := waybillprop.New(auth)
	if err != nil {
		fmt.Println(err)
		return
	}
	propagator := propagation.NewCompositeTextMapPropagator(
		propagation.TraceContext{}, propagation.Baggage{}, waybills)

	wb, err := auth.Issue(Cell.To("eu-3"))
	if err != nil {
		fmt.Println(err)
		return
	}
	header := http.Header{"Waybill": {wb.Token()}}
	ctx := propagator.Extract(context.Background(), propagation.HeaderCarrier(header))
	cell, ok := Cell.Get(ctx)
	fmt.Println(cell, ok)

	onward := http.Header{}
	propagator.Inject(ctx, propagation.HeaderCarrier(onward))
	fmt.Println(len(onward), "headers")
	// Output:
	// eu-3 true
	// 0 headers
}

// InsecureInjectAlways is for the client of one internal service.
func ExampleInsecureInjectAlways() {
	auth := exampleAuthority()
	always, err := waybillprop.New(auth, waybillprop.InsecureInjectAlways())
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, err := auth.Start(context.Background(), Cell.To("eu-3"))
	if err != nil {
		fmt.Println(err)
		return
	}
	header := http.Header{}
	always.Inject(ctx, propagation.HeaderCarrier(header))
	fmt.Println(len(header), "header")
	// Output:
	// 1 header
}

// exampleAuthority has a key made on the spot. A service loads its ring with keyring.LoadFile.
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
