package operator

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Rotate adds the next key out of turn. It issues as soon as every service can have it.
func (o *Operator) Rotate(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	made, err := o.Operator.Rotate(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s issues in %v\n", made.ID(), time.Until(made.Times().NotBefore).Round(100*time.Millisecond))
	return nil
}

// Revoke takes a key back. Journeys under it end: their waybills are refused from now on.
func (o *Operator) Revoke(ctx context.Context, w io.Writer, kid string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := o.Operator.Revoke(ctx, kid, "revoked by the operator"); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s opens nothing any more\n", kid)
	return nil
}

// Status tells which keys there are.
func (o *Operator) Status(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ring, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer ring.Close()
	now, set := time.Now(), ring.Set()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tSTATE\tISSUES FROM\tENDS")
	for _, k := range set.Keys() {
		t := k.Times()
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.ID(), set.State(k.ID(), now), from(t.NotBefore, now), from(t.Expires, now))
	}
	return table.Flush()
}

func from(t, now time.Time) string {
	d := t.Sub(now).Round(time.Second)
	if d <= 0 {
		return fmt.Sprintf("%v ago", -d)
	}
	return fmt.Sprintf("in %v", d)
}
