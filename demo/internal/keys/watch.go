package keys

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// Swap is one change of the issuing key.
type Swap struct {
	Old, New string    // kids
	By       string    // the service that proposed the new key
	Active   time.Time // from when the new key issues; it opens from the start, and the old one goes on opening
}

// Watch follows the ring as the operator, who proposes nothing, and tells of each new key well before it issues, and of
// the kids that are revoked, again and again.
func (o *Operator) Watch(ctx context.Context, swapped func(Swap), revoked func(kid string)) (*keyring.Ring, error) {
	return keyring.Follow(ctx, o.store, keyring.Wrapped(&witness{Wrapper: o.wrapper, swapped: swapped, revoked: revoked}),
		keyring.Domain(o.domain), keyring.WithPolicy(o.Policy), keyring.Logger(quiet()))
}

// quiet leaves out what is no trouble.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// witness sees who wrote which ring, which a Ring does not tell. One ring uses it, one read after the other.
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
