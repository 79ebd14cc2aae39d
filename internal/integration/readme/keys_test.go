package readme

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
	"github.com/waybill-go/waybill/keyring/otelkeys"
)

// The default policy made faster: a key every 2 s instead of every day, a factor of 43,200.
var policy = keyring.Policy{
	Period: 2 * time.Second, Delay: 2 * time.Second, Settle: 300 * time.Millisecond, Poll: 100 * time.Millisecond,
	Horizon: 20 * time.Second, Slack: 30 * time.Second, MaxSkew: 200 * time.Millisecond, TokenLife: 10 * time.Second,
}

var quiet = keyring.Logger(slog.New(slog.DiscardHandler))

// office is where the operator works, with the root, what stands in every service's configuration, and a member's wrapper.
type office struct {
	root    *agering.Root
	roots   []agering.PublicRoot
	roster  agering.Roster
	wrapper *agering.Wrapper
}

// newOffice makes the operator's keys, the identities of services in dir, and the first roster.
func newOffice(t *testing.T, dir string, services ...string) *office {
	t.Helper()
	var lines []string
	for _, name := range services {
		path := filepath.Join(dir, name+".identity")

		id, err := agering.NewIdentity(name) // "orders"
		if err != nil {
			t.Fatal(err)
		}
		if err := id.Save(path); err != nil { // mode 0600; it never leaves the service
			t.Fatal(err)
		}
		line := id.Public().String() // goes to the operator

		lines = append(lines, line)
	}

	root := agering.NewRoot() // root.Save(path), and the file into a safe
	operator, err := agering.NewIdentity("operator")
	if err != nil {
		t.Fatal(err)
	}
	me := operator.Public()
	me.MayPropose, me.MayRevoke = true, true
	members := []agering.Member{me}
	for _, line := range lines {
		service, err := agering.ParseMember(line)
		if err != nil {
			t.Fatal(err)
		}
		service.MayPropose = true
		members = append(members, service)
	}
	roster := agering.Roster{Domain: "shop", Seq: 1, Epoch: 1, Expires: time.Now().AddDate(1, 0, 0), Members: members}
	signed, err := roster.Sign(root)
	if err != nil {
		t.Fatal(err)
	}

	roots, err := agering.ParseRoots(root.Public().String())
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := agering.New("shop", operator, roots)
	if err != nil {
		t.Fatal(err)
	}
	if err := wrapper.Learn(signed); err != nil {
		t.Fatal(err)
	}
	return &office{root, roots, roster, wrapper}
}

// create puts the first ring into a store.
func (o *office) create(t *testing.T, store keyring.Store) {
	t.Helper()
	ctx, wrapper := t.Context(), o.wrapper

	first, err := policy.Genesis("shop", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Create(ctx, store, wrapper, first); err != nil {
		t.Fatal(err)
	}
}

// keep opens the operator's own ring.
func (o *office) keep(t *testing.T, store keyring.Store) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Maintain(t.Context(), store, o.wrapper, keyring.Domain("shop"), keyring.WithPolicy(policy), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	return ring
}

// without makes the next roster, in which a service is no more, and lets the operator's wrapper seal by it.
func (o *office) without(t *testing.T, name string) {
	t.Helper()
	roster, root, wrapper := &o.roster, o.root, o.wrapper

	roster.Seq++
	roster.Members = slices.DeleteFunc(roster.Members, func(m agering.Member) bool { return m.Name == name })
	signed, err := roster.Sign(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := wrapper.Learn(signed); err != nil {
		t.Fatal(err)
	}
}

// service is a process with its identity, its ring and its Authority.
type service struct {
	name string
	ring *keyring.Ring
	auth *waybill.Authority
}

// sealer returns the wrapper of a service, as docs/keys.md does it.
func sealer(roots []agering.PublicRoot, path, state string) (*agering.Wrapper, error) {
	id, err := agering.LoadIdentity(path)
	if err != nil {
		return nil, err
	}
	guard, err := agering.LoadSeqGuard(state) // so that a restarted process accepts no older roster
	if err != nil {
		return nil, err
	}
	wrapper, err := agering.New("shop", id, roots, agering.Remember(guard))
	if err != nil {
		return nil, err
	}

	return wrapper, nil
}

// maintainRing opens a ring over NATS, as docs/keys.md does it.
func maintainRing(ctx context.Context, nc *nats.Conn, wrapper *agering.Wrapper, name, cache string) (*keyring.Ring, error) {
	store, err := natskv.New(nc, "waybill", "shop")
	if err != nil {
		return nil, err
	}
	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"), keyring.WithPolicy(policy), keyring.Cache(cache))
	if err != nil {
		return nil, err
	}
	if _, err := otelkeys.Register(ring); err != nil {
		return nil, err
	}
	if _, err := store.Answer(name, ring); err != nil { // for "waybill keys status" and "doctor"
		return nil, err
	}

	return ring, nil
}

// followRing opens a ring in a file, as docs/keys.md does it.
func followRing(ctx context.Context, file string, wrapper *agering.Wrapper) (*keyring.Ring, error) {
	ring, err := keyring.Follow(ctx, keyring.File(file), keyring.Wrapped(wrapper), keyring.Domain("shop"), keyring.WithPolicy(policy))
	if err != nil {
		return nil, err
	}

	return ring, nil
}

func (o *office) wrapperOf(t *testing.T, dir, name string) *agering.Wrapper {
	t.Helper()
	wrapper, err := sealer(o.roots, filepath.Join(dir, name+".identity"), filepath.Join(dir, name+".roster"))
	if err != nil {
		t.Fatal(err)
	}
	return wrapper
}

// overNATS starts a service that takes part in the rotation.
func (o *office) overNATS(t *testing.T, nc *nats.Conn, dir, name string) service {
	t.Helper()
	ring, err := maintainRing(t.Context(), nc, o.wrapperOf(t, dir, name), name, filepath.Join(dir, name+".ring"))
	if err != nil {
		t.Fatal(err)
	}
	return o.serve(t, name, ring)
}

// overFile starts a service that follows a file.
func (o *office) overFile(t *testing.T, file, dir, name string) service {
	t.Helper()
	ring, err := followRing(t.Context(), file, o.wrapperOf(t, dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return o.serve(t, name, ring)
}

func (o *office) serve(t *testing.T, name string, ring *keyring.Ring) service {
	t.Helper()
	t.Cleanup(func() { ring.Close() })
	if err := ring.Ready(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	auth, err := waybill.New("shop", ring, waybill.Claims(Cell), waybill.Life(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return service{name, ring, auth}
}

// exchange has every service open a token of every other, and returns the tokens.
func exchange(t *testing.T, services ...service) (tokens []string) {
	t.Helper()
	for _, from := range services {
		wb, err := from.auth.Issue(Cell.To("eu-3"))
		if err != nil {
			t.Fatalf("%s: %v", from.name, err)
		}
		tokens = append(tokens, wb.Token())
		for _, to := range services {
			if _, err := to.auth.Open(wb.Token()); err != nil {
				t.Errorf("%s does not open a token of %s: %v", to.name, from.name, err)
			}
		}
	}
	return tokens
}

// opened has every service open all tokens.
func opened(t *testing.T, tokens []string, services ...service) {
	t.Helper()
	for _, to := range services {
		for _, token := range tokens {
			if _, err := to.auth.Open(token); err != nil {
				t.Errorf("%s no longer opens a token: %v", to.name, err)
			}
		}
	}
}

// until waits for what the services come to by themselves.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// moved waits until the services issue under another key than kid.
func moved(t *testing.T, kid string, services ...service) {
	t.Helper()
	for _, s := range services {
		until(t, s.name+" to issue under another key than "+kid, func() bool {
			wb, err := s.auth.Issue()
			return err == nil && wb.KeyID() != kid
		})
	}
}

func activeKey(t *testing.T, s service) string {
	t.Helper()
	wb, err := s.auth.Issue()
	if err != nil {
		t.Fatal(err)
	}
	return wb.KeyID()
}

// fleet is an operator and three services over NATS.
func fleet(t *testing.T) (*office, keyring.Store, []service) {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	nc, _ := broker(t)

	if err := natskv.Create(ctx, nc, "waybill", natskv.Replicas(1)); err != nil {
		t.Fatal(err)
	}

	names := []string{"orders", "pricing", "cart"}
	o := newOffice(t, dir, names...)
	store, err := natskv.New(nc, "waybill", "shop")
	if err != nil {
		t.Fatal(err)
	}
	o.create(t, store)
	var services []service
	for _, name := range names {
		services = append(services, o.overNATS(t, nc, dir, name))
	}
	return o, store, services
}

// TestKeysRotate: the services rotate among themselves, nobody gives an order, and no token is refused.
func TestKeysRotate(t *testing.T) {
	_, _, services := fleet(t)
	first := activeKey(t, services[0])
	tokens := exchange(t, services...)
	moved(t, first, services...)
	opened(t, tokens, services...)
	exchange(t, services...)
	proposals := uint64(0)
	for _, s := range services {
		proposals += s.ring.Stats().CASWon
	}
	if proposals == 0 {
		t.Error("the key changed, and no service has proposed one")
	}
}

// TestKeysByFile: an operator's job rotates a file, services follow it.
func TestKeysByFile(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	path := filepath.Join(dir, "ring.sealed")
	o := newOffice(t, dir, "orders", "pricing")
	o.create(t, keyring.FileStore(path))
	services := []service{o.overFile(t, path, dir, "orders"), o.overFile(t, path, dir, "pricing")}
	first := activeKey(t, services[0])
	tokens := exchange(t, services...)
	if _, err := services[0].ring.Rotate(ctx); !errors.Is(err, keyring.ErrFollows) {
		t.Errorf("a follower rotates: got %v, want ErrFollows", err)
	}

	store, wrapper := keyring.FileStore(path), o.wrapper

	ring, err := keyring.Maintain(ctx, store, wrapper, keyring.Domain("shop"), keyring.WithPolicy(policy))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}

	moved(t, first, services...)
	opened(t, tokens, services...)
	exchange(t, services...)
}

// TestKeysRetire: a service that has left opens no further ring, and what it issued before stands.
func TestKeysRetire(t *testing.T) {
	o, store, services := fleet(t)
	ctx := t.Context()
	cart, stay := services[2], services[:2]
	tokens := exchange(t, services...)
	ring := o.keep(t, store)
	o.without(t, "cart")

	keys, err := ring.Rotate(ctx) // sealed to who is left
	if err != nil {
		t.Fatal(err)
	}

	for _, s := range stay {
		until(t, s.name+" to have the next key", func() bool { return s.ring.Set().Lookup([]byte(keys[0].ID())) != nil })
	}
	until(t, "cart to be told that it is no member", func() bool {
		return errors.Is(cart.ring.Ready(), agering.ErrNotMember) || cart.ring.Stats().Failures > 0
	})
	if cart.ring.Set().Lookup([]byte(keys[0].ID())) != nil {
		t.Error("cart has a key that was sealed after it had left")
	}
	opened(t, tokens, stay...)
	moved(t, activeKey(t, cart), stay...)
}

// TestKeysCompromise: every key that a thief could read is dead within a moment, and the others go on.
func TestKeysCompromise(t *testing.T) {
	o, store, services := fleet(t)
	ctx := t.Context()
	cart, stay := services[2], services[:2]
	loot, err := cart.auth.Issue()
	if err != nil {
		t.Fatal(err)
	}
	ring := o.keep(t, store)
	o.without(t, "cart")

	for _, key := range ring.Set().Keys() {
		if err := ring.Revoke(ctx, key.ID(), "cart was compromised"); err != nil {
			t.Fatal(err)
		}
	}

	for _, s := range stay {
		until(t, s.name+" to refuse what the thief has", func() bool {
			_, err := s.auth.Open(loot.Token())
			return waybill.Reason(err) == "revoked"
		})
		until(t, s.name+" to issue", func() bool { _, err := s.auth.Issue(); return err == nil })
		until(t, s.name+" to know every revocation", func() bool {
			return len(s.ring.Set().Revocations()) == len(ring.Set().Revocations())
		})
	}
	// A service that may not revoke has no way to do so.
	if err := stay[0].ring.Revoke(ctx, stay[0].ring.Set().Keys()[0].ID(), "mischief"); !errors.Is(err, agering.ErrNotRevoker) {
		t.Errorf("orders revokes: got %v, want ErrNotRevoker", err)
	}
	exchange(t, stay...)
}

// TestKeysBurn: the next epoch kills every key of the one before, also those that nobody but a thief ever saw.
func TestKeysBurn(t *testing.T) {
	o, store, services := fleet(t)
	loot := exchange(t, services...)
	if err := o.burn(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		until(t, s.name+" to give up what was burnt", func() bool {
			_, err := s.auth.Open(loot[0])
			return waybill.Reason(err) == "unknown_key" && s.ring.Stats().Epoch == 2
		})
	}
	exchange(t, services...)
}

// burn puts a ring of the next epoch in the place of what the store has.
func (o *office) burn(ctx context.Context, store keyring.Store) error {
	roster, root, wrapper := o.roster, o.root, o.wrapper

	next, err := policy.Genesis("shop", time.Now())
	if err != nil {
		return err
	}
	roster.Seq, roster.Epoch, roster.EpochStart = roster.Seq+1, roster.Epoch+1, next.Keys()[0].Times().Created
	next = next.WithEpoch(roster.Epoch)
	signed, err := roster.Sign(root)
	if err != nil {
		return err
	}
	if err := wrapper.Learn(signed); err != nil {
		return err
	}
	sealed, err := wrapper.Wrap("shop", next.Generation(), next.SecretJWKS())
	if err != nil {
		return err
	}
	for {
		blob, err := store.Load(ctx)
		if err != nil {
			return err
		}
		_, err = store.CompareAndSwap(ctx, blob.Revision, sealed)
		if !errors.Is(err, keyring.ErrConflict) { // else a service was faster
			return err
		}
	}
}

// TestKeysSealed: neither the store nor a cache holds a key that can be read.
func TestKeysSealed(t *testing.T) {
	_, store, services := fleet(t)
	blob, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`"k"`, activeKey(t, services[0])} {
		if strings.Contains(string(blob.Data), word) {
			t.Errorf("the store shows %s", word)
		}
	}
}
