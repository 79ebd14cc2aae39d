package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// Operator makes the first ring, and can change it out of turn. To change keys in turn is the
// services' part.
type Operator struct {
	nc      *nats.Conn
	policy  keyring.Policy
	store   *natskv.Store
	wrapper *agering.Wrapper
}

// NewOperator returns the operator whose files are in dir.
func NewOperator(nc *nats.Conn, dir string, policy keyring.Policy) (*Operator, error) {
	o := &Operator{nc: nc, policy: policy}
	var err error
	if o.wrapper, err = wrapper(dir); err != nil {
		return nil, err
	}
	roster, err := os.ReadFile(filepath.Join(dir, rosterFile))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := o.wrapper.Learn(roster); err != nil {
		return nil, err
	}
	o.store, err = natskv.New(nc, bucket, trip.Domain)
	return o, err
}

// Declare makes the streams and the first ring, and returns what it did. It changes nothing that
// exists, with one exception: a ring whose keys have all ended, because the stack stood still, gets
// a new key.
func (o *Operator) Declare(ctx context.Context) (did string, err error) {
	js, err := jetstream.New(o.nc)
	if err != nil {
		return "", err
	}
	if err := broker.Declare(ctx, js); err != nil {
		return "", err
	}
	if err := natskv.Create(ctx, o.nc, bucket); err != nil {
		return "", err
	}
	set, err := o.policy.Genesis(trip.Domain, time.Now())
	if err != nil {
		return "", err
	}
	err = keyring.Create(ctx, o.store, o.wrapper, set)
	if !errors.Is(err, keyring.ErrConflict) {
		return "made the streams and the first ring", err
	}
	did = "the streams and the ring are there: nothing to do"
	err = o.Change(ctx, func(ring *keyring.Ring) error {
		if now := time.Now(); ring.Set().Active(keyring.Signed, now, now) != nil {
			return nil
		}
		made, err := ring.Rotate(ctx)
		if err == nil {
			did = fmt.Sprintf("all keys had ended; %s is new", made[0].ID())
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the ring in the broker is of other identities than the volumes; "+
			"start again with: docker compose down -v: %w", err)
	}
	return did, nil
}

// Change opens the ring for one act of the operator, and closes it again.
func (o *Operator) Change(ctx context.Context, act func(*keyring.Ring) error) error {
	ring, err := keyring.Maintain(ctx, o.store, o.wrapper, o.options()...)
	if err != nil {
		return err
	}
	defer ring.Close()
	if ring.Set() == nil {
		return fmt.Errorf("operator: %w", ring.Ready())
	}
	return act(ring)
}

// options are how the operator opens the ring: it logs warnings and errors only.
func (o *Operator) options() []keyring.Option {
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return []keyring.Option{keyring.Domain(trip.Domain), keyring.WithPolicy(o.policy), keyring.Logger(quiet)}
}

// Rotate proposes the next key out of turn, and returns it.
func (o *Operator) Rotate(ctx context.Context) (key *keyring.Key, err error) {
	err = o.Change(ctx, func(ring *keyring.Ring) error {
		made, err := ring.Rotate(ctx)
		if err == nil {
			key = made[0]
		}
		return err
	})
	return key, err
}

// Revoke takes a key back. Journeys under it end.
func (o *Operator) Revoke(ctx context.Context, kid string) error {
	return o.Change(ctx, func(ring *keyring.Ring) error {
		if ring.Set().Lookup([]byte(kid)) == nil {
			return fmt.Errorf("operator: the ring has no key %q: see status", kid)
		}
		return ring.Revoke(ctx, kid, "revoked by the operator")
	})
}

// Swap is one change of the issuing key.
type Swap struct {
	Old, New string    // kids
	By       string    // the service that proposed the new key
	Active   time.Time // from when the new key issues; both keys open before and after it
}

// Watch follows the ring without changing it, and reports each new key well before it issues, and
// the kids that are revoked, repeatedly.
func (o *Operator) Watch(ctx context.Context, swapped func(Swap), revoked func(kid string)) (*keyring.Ring, error) {
	w := &witness{Wrapper: o.wrapper, swapped: swapped, revoked: revoked}
	return keyring.Follow(ctx, o.store, append(o.options(), keyring.Wrapped(w))...)
}

// witness sees who wrote a ring, which keyring.Ring does not tell. One ring uses it, one read after
// the other.
type witness struct {
	keyring.Wrapper
	swapped func(Swap)
	revoked func(string)
	newest  *keyring.Key
}

// Unwrap opens a ring and looks for keys that are newer than those before.
func (w *witness) Unwrap(domain string, sealed []byte) (keyring.Unwrapped, error) {
	u, err := w.Wrapper.Unwrap(domain, sealed)
	if err != nil {
		return u, err
	}
	set, err := keyring.ParseSet(u.Plain)
	if err != nil {
		return u, err
	}
	for kid := range set.Revocations() {
		w.revoked(kid)
	}
	for _, k := range slices.Backward(set.Keys()) { // the oldest first
		from := k.Times().NotBefore
		if w.newest != nil && !from.After(w.newest.Times().NotBefore) {
			continue
		}
		if w.newest != nil {
			w.swapped(Swap{Old: w.newest.ID(), New: k.ID(), By: u.By, Active: from})
		}
		w.newest = k
	}
	return u, nil
}
