package agering_test

import (
	"fmt"
	"time"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

func Example() {
	// Each service makes its identity once. Its file stays there; the public line goes to the operator.
	orders, err := agering.NewIdentity("orders")
	if err != nil {
		panic(err)
	}
	line := orders.Public().String()

	// The operator lists the members and signs the list with the offline root.
	root := agering.NewRoot()
	operator, err := agering.NewIdentity("operator")
	if err != nil {
		panic(err)
	}
	first := operator.Public()
	first.MayPropose, first.MayRevoke = true, true
	second, err := agering.ParseMember(line)
	if err != nil {
		panic(err)
	}
	second.MayPropose = true
	now := time.Now()
	roster := agering.Roster{Domain: "shop", Seq: 1, Epoch: 1, Expires: now.AddDate(1, 0, 0),
		Members: []agering.Member{first, second}}
	signed, err := roster.Sign(root)
	if err != nil {
		panic(err)
	}

	// The operator creates the ring.
	key, err := keyring.Generate(keyring.Signed, keyring.Times{Created: now, NotBefore: now, Expires: now.AddDate(0, 0, 30)})
	if err != nil {
		panic(err)
	}
	set, err := keyring.NewSet("shop", key)
	if err != nil {
		panic(err)
	}
	writer, err := agering.New("shop", operator, []agering.PublicRoot{root.Public()})
	if err != nil {
		panic(err)
	}
	if err := writer.Learn(signed); err != nil {
		panic(err)
	}
	sealed, err := writer.Wrap("shop", set.Generation(), set.SecretJWKS())
	if err != nil {
		panic(err)
	}

	// A service knows the root and its own identity. The roster comes with the ring.
	roots, err := agering.ParseRoots(root.Public().String())
	if err != nil {
		panic(err)
	}
	reader, err := agering.New("shop", orders, roots)
	if err != nil {
		panic(err)
	}
	opened, err := reader.Unwrap("shop", sealed)
	if err != nil {
		panic(err)
	}
	fmt.Printf("generation %d by %s, %d members\n", opened.Generation, opened.By, len(reader.Roster().Members))

	// Output: generation 1 by operator, 2 members
}
