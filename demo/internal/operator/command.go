// Package operator is the operator's command line where the demo runs in containers: it declares
// what the broker holds, looks after the keys, and audits orders and tickets.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/keyring"
)

// patience is how long one command may take.
const patience = 30 * time.Second

// errUsage is returned before anything is touched.
var errUsage = errors.New("operator: want one of: declare, status, rotate, revoke KID, audit")

// arguments are how many words follow each command.
var arguments = map[string]int{"declare": 0, "status": 0, "rotate": 0, "revoke": 1, "audit": 0}

// Command runs one of the operator's commands.
func Command(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("demo operator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	url := flags.String("nats", "nats://nats:4222", "URL of the NATS server")
	dir := flags.String("secrets", "/secrets", "the operator's volume")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	if n, ok := arguments[flags.Arg(0)]; !ok || flags.NArg() != 1+n {
		return errUsage
	}
	line, err := broker.Join(*url, *dir, keys.OperatorName)
	if err != nil {
		return err
	}
	defer line.Close()
	o, err := keys.NewOperator(line.Conn, *dir, keys.Steady)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch flags.Arg(0) {
	case "declare":
		did, err := o.Declare(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, did)
	case "rotate":
		k, err := o.Rotate(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s issues in %v\n", k.ID(), time.Until(k.Times().NotBefore).Round(100*time.Millisecond))
	case "revoke":
		if err := o.Revoke(ctx, flags.Arg(1)); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s opens nothing any more\n", flags.Arg(1))
	case "audit":
		b, err := audit(ctx, line)
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		return json.NewEncoder(w).Encode(b)
	case "status":
		return o.Change(ctx, func(ring *keyring.Ring) error { return status(ring.Set(), w) })
	}
	return nil
}

// status prints which keys there are.
func status(set *keyring.Set, w io.Writer) error {
	now := time.Now()
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

// Books are the orders and tickets of the last hour.
type Books struct {
	Orders   uint64 `json:"orders"`   // that were paid
	Tickets  uint64 `json:"tickets"`  // that were made from them
	Journeys int    `json:"journeys"` // that have a ticket; fewer than tickets if one has two
	Open     uint64 `json:"open"`     // orders that are not acknowledged yet
}

// audit counts what the broker has.
func audit(ctx context.Context, line *broker.Line) (b Books, err error) {
	js, err := jetstream.New(line.Conn)
	if err != nil {
		return b, err
	}
	orders, err := js.Stream(ctx, broker.Orders)
	if err != nil {
		return b, err
	}
	consumer, err := orders.Consumer(ctx, broker.Fulfil)
	if err != nil {
		return b, err
	}
	waiting, err := consumer.Info(ctx)
	if err != nil {
		return b, err
	}
	b.Open = waiting.NumPending + uint64(waiting.NumAckPending)
	b.Orders = orders.CachedInfo().State.Msgs
	issued, err := broker.TicketsBy(ctx, js, broker.Ticket("*"))
	for _, n := range issued {
		b.Tickets += n
	}
	b.Journeys = len(issued)
	return b, err
}
