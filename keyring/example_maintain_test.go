package keyring_test

import (
	"context"
	"fmt"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// An operator makes the ring once; each node keeps it. Stores that outlive a process are keyring.FileStore and package
// natskv, and package agering seals what they hold.
func ExampleMaintain() {
	ctx := context.Background()
	store, wrapper := new(memory), keyring.InsecurePlaintext()
	policy := keyring.Policy{Period: 12 * time.Hour}

	first, err := policy.Genesis("shop", time.Now())
	if err != nil {
		panic(err)
	}
	if err := keyring.Create(ctx, store, wrapper, first); err != nil {
		panic(err)
	}

	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"), keyring.WithPolicy(policy))
	if err != nil {
		panic(err)
	}
	defer ring.Close()
	fmt.Println(ring.Ready(), ring.Set())
	// Output: <nil> ring shop, generation 1, 3 keys
}
