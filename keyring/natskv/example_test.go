package natskv_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// A service follows the ring of its domain, and takes part in its rotation.
func Example() {
	ctx := context.Background()
	nc, err := nats.Connect("nats://nats.internal", nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	store, err := natskv.New(nc, "waybill", "shop")
	if err != nil {
		log.Fatal(err)
	}
	wrapper, err := keyring.Shared("/etc/waybill/ring.key")
	if err != nil {
		log.Fatal(err)
	}
	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"), keyring.Cache("/var/lib/waybill/ring"))
	if err != nil {
		log.Fatal(err)
	}
	defer ring.Close()
}

// The permissions of a connection name the key of the ring.
func ExampleKey() {
	fmt.Println("$KV.waybill." + natskv.Key("shop"))
	fmt.Println("$KV.waybill." + natskv.Key("https://shop.example"))
	// Output:
	// $KV.waybill.ring.shop
	// $KV.waybill.ring.https=3A=2F=2Fshop=2Eexample
}
