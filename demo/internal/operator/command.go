package operator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// Command runs one of the operator's commands: declare, status, rotate, revoke KID, audit.
func Command(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("demo operator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	url := flags.String("nats", "nats://nats:4222", "URL of the NATS server")
	dir := flags.String("secrets", "/secrets", "the operator's volume")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	act, err := command(flags.Args())
	if err != nil {
		return err
	}
	o, err := Open(*url, *dir)
	if err != nil {
		return err
	}
	defer o.Close()
	return act(o, ctx, w)
}

// errUsage is said before anything is touched.
var errUsage = errors.New("operator: want one of: declare, status, rotate, revoke KID, audit")

// acts are the commands that take no argument.
var acts = map[string]func(*Operator, context.Context, io.Writer) error{
	"declare": (*Operator).Declare,
	"status":  (*Operator).Status,
	"rotate":  (*Operator).Rotate,
	"audit":   (*Operator).Audit,
}

func command(args []string) (func(*Operator, context.Context, io.Writer) error, error) {
	switch {
	case len(args) == 1 && acts[args[0]] != nil:
		return acts[args[0]], nil
	case len(args) == 2 && args[0] == "revoke":
		return func(o *Operator, ctx context.Context, w io.Writer) error { return o.Revoke(ctx, w, args[1]) }, nil
	}
	return nil, errUsage
}
