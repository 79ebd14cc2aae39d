package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// Member is what each process of a service is told. It holds no secret.
type Member struct {
	Identity string // the file of the service's identity, for its owner only
	Root     string // the public half of what signs rosters
	Proposes bool   // the service takes part in the rotation

	Policy *keyring.Policy // how the keys follow each other, the same for all members
}

// Open opens the ring of a domain and returns it as soon as it is ready.
func (m *Member) Open(ctx context.Context, nc *nats.Conn, domain string) (*keyring.Ring, error) {
	id, err := agering.LoadIdentity(m.Identity)
	if err != nil {
		return nil, err
	}
	roots, err := agering.ParseRoots(m.Root)
	if err != nil {
		return nil, err
	}
	wrapper, err := agering.New(domain, id, roots)
	if err != nil {
		return nil, err
	}
	store, err := natskv.New(nc, bucket, domain)
	if err != nil {
		return nil, err
	}
	var ring *keyring.Ring
	if m.Proposes {
		ring, err = keyring.Maintain(ctx, store, wrapper, keyring.Domain(domain), keyring.WithPolicy(*m.Policy))
	} else {
		ring, err = keyring.Follow(ctx, store, keyring.Wrapped(wrapper), keyring.Domain(domain), keyring.WithPolicy(*m.Policy))
	}
	if err != nil {
		return nil, err
	}
	return ring, ready(ctx, ring)
}

// patience is how long a process that starts waits for its keys.
const patience = 10 * time.Second

// ready waits until the ring is. A busy machine may need more than one try to read it.
func ready(ctx context.Context, ring *keyring.Ring) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ring.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ring.Close()
			return fmt.Errorf("keys: no ring after %v: %w", patience, err)
		}
	}
}
