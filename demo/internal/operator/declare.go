package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/container"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
)

// patience is how long one act of the operator may take.
const patience = 30 * time.Second

// Operator is connected to the broker, and has the operator's files.
type Operator struct {
	*keys.Operator
	nats *nats.Conn
}

// Open connects with the files in dir, which is the operator's volume.
func Open(url, dir string) (*Operator, error) {
	line, err := broker.Join(url, filepath.Join(dir, container.SeedFile), keys.OperatorName)
	if err != nil {
		return nil, err
	}
	o, err := With(line.Conn, dir)
	if err != nil {
		line.Close()
		return nil, err
	}
	return &Operator{o, line.Conn}, nil
}

// With returns the operator of the files in dir, on a connection that is there.
func With(nc *nats.Conn, dir string) (*keys.Operator, error) {
	own, err := agering.LoadIdentity(filepath.Join(dir, container.IdentityFile))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, container.RootFile))
	if err != nil {
		return nil, err
	}
	roots, err := agering.ParseRoots(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	roster, err := os.ReadFile(filepath.Join(dir, rosterFile))
	if err != nil {
		return nil, err
	}
	return keys.Operate(nc, trip.Domain, own, roster, roots[0])
}

// Close ends the connection.
func (o *Operator) Close() { o.nats.Close() }

// Declare makes the streams and the first ring. Where they are it changes nothing, with one exception: a ring of which all
// keys have ended, because the stack stood still, gets a new one.
func (o *Operator) Declare(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	js, err := jetstream.New(o.nats)
	if err != nil {
		return err
	}
	if err := broker.Declare(ctx, js); err != nil {
		return err
	}
	err = o.Begin(ctx)
	if errors.Is(err, keyring.ErrConflict) {
		return o.revive(ctx, w)
	}
	if err == nil {
		fmt.Fprintln(w, "made the streams and the first ring")
	}
	return err
}

// revive looks at the ring that is there.
func (o *Operator) revive(ctx context.Context, w io.Writer) error {
	ring, err := o.keep(ctx)
	if err != nil {
		return fmt.Errorf("the ring in the broker is of other identities than the volumes; "+
			"begin anew with: docker compose down -v: %w", err)
	}
	defer ring.Close()
	if now := time.Now(); ring.Set().Active(keyring.Signed, now, now) != nil {
		fmt.Fprintln(w, "the streams and the ring are there: nothing to do")
		return nil
	}
	made, err := ring.Rotate(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "all keys had ended; %s is new\n", made[0].ID())
	return nil
}

// keep opens the ring to change it, and returns when it is known.
func (o *Operator) keep(ctx context.Context) (*keyring.Ring, error) {
	ring, err := o.Keep(ctx)
	if err != nil {
		return nil, err
	}
	if ring.Set() == nil {
		err := ring.Ready()
		ring.Close()
		return nil, err
	}
	return ring, nil
}
