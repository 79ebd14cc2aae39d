package operator

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/keyring"
)

// Rotate adds the next key out of turn. It issues as soon as every service can have it.
func (o *Operator) Rotate(ctx context.Context, w io.Writer) error {
	return o.change(ctx, func(ctx context.Context, ring *keyring.Ring) error {
		made, err := ring.Rotate(ctx)
		if err != nil {
			return err
		}
		from := made[0].Times().NotBefore
		fmt.Fprintf(w, "%s issues in %v\n", made[0].ID(), time.Until(from).Round(100*time.Millisecond))
		return nil
	})
}

// Revoke takes a key back. Journeys under it end: their waybills are refused from now on.
func (o *Operator) Revoke(ctx context.Context, w io.Writer, kid string) error {
	return o.change(ctx, func(ctx context.Context, ring *keyring.Ring) error {
		if ring.Set().Lookup([]byte(kid)) == nil {
			return fmt.Errorf("the ring has no key %q: see status", kid)
		}
		if err := ring.Revoke(ctx, kid, "revoked by the operator"); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s opens nothing any more\n", kid)
		return nil
	})
}

// Status tells which keys there are.
func (o *Operator) Status(ctx context.Context, w io.Writer) error {
	return o.change(ctx, func(_ context.Context, ring *keyring.Ring) error {
		now := time.Now()
		set := ring.Set()
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KEY\tSTATE\tISSUES FROM\tENDS")
		for _, k := range set.Keys() {
			t := k.Times()
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.ID(), set.State(k.ID(), now), from(t.NotBefore, now), from(t.Expires, now))
		}
		return table.Flush()
	})
}

func from(t, now time.Time) string {
	d := t.Sub(now).Round(time.Second)
	if d <= 0 {
		return fmt.Sprintf("%v ago", -d)
	}
	return fmt.Sprintf("in %v", d)
}

// change opens the ring for one act.
func (o *Operator) change(ctx context.Context, act func(context.Context, *keyring.Ring) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ring, err := o.keep(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", keys.OperatorName, err)
	}
	defer ring.Close()
	return act(ctx, ring)
}
