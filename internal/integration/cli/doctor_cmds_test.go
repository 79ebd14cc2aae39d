package cli_test

import (
	"context"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// agedCmd writes a sealed ring whose keys were made some time ago: aged STORE DOMAIN IDENTITY ROSTER ROOT AGE.
func agedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 6 {
		ts.Fatalf("usage: aged STORE DOMAIN IDENTITY ROSTER ROOT AGE")
	}
	age, err := time.ParseDuration(args[5])
	ts.Check(err)
	id, err := agering.LoadIdentity(ts.MkAbs(args[2]))
	ts.Check(err)
	roots, err := agering.ParseRoots(args[4])
	ts.Check(err)
	wrapper, err := agering.New(args[1], id, roots)
	ts.Check(err)
	ts.Check(wrapper.Learn([]byte(ts.ReadFile(args[3]))))
	set, err := keyring.DefaultPolicy().Genesis(args[1], time.Now().Add(-age))
	ts.Check(err)
	ts.Check(keyring.Create(context.Background(), keyring.FileStore(ts.MkAbs(args[0])), wrapper, set.WithEpoch(1)))
}

// sharedCmd writes a ring under a key that all nodes share: shared STORE DOMAIN.
func sharedCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: shared STORE DOMAIN")
	}
	wrapper, err := keyring.SharedKey(make([]byte, 32))
	ts.Check(err)
	set, err := keyring.DefaultPolicy().Genesis(args[1], time.Now())
	ts.Check(err)
	data, err := wrapper.Wrap(args[1], set.Generation(), set.SecretJWKS())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}
