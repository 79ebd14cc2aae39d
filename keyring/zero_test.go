package keyring_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// TestZeroRing: a ring that nobody made is one whose keys are not loaded, until it gets a set.
func TestZeroRing(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	for name, ring := range map[string]*keyring.Ring{"zero": new(keyring.Ring), "nil": nil, "without a set": keyring.NewRing(nil)} {
		if got := ring.Set(); got != nil {
			t.Errorf("%s: Set: got %v, want nil", name, got)
		}
		if got := ring.Active(keyring.Signed, now, now); got != nil {
			t.Errorf("%s: Active: got %v, want nil", name, got)
		}
		if ring.Excludes([]byte("x")) {
			t.Errorf("%s: Excludes: got true, want false", name)
		}
		if ring.Fresh() || !ring.ConfirmedSince(now) || ring.Unknown([]byte("x")) {
			t.Errorf("%s: fresh %v, confirmed %v, unknown %v; want false, true, false", name, ring.Fresh(), ring.ConfirmedSince(now), ring.Unknown([]byte("x")))
		}
		if got := ring.Stats(); got != (keyring.Stats{}) {
			t.Errorf("%s: Stats: got %+v, want zeros", name, got)
		}
		if err := ring.Ready(); err == nil || err.Error() != "keyring: the keys are not loaded" {
			t.Errorf("%s: Ready: got %v", name, err)
		}
		if _, err := ring.Rotate(ctx); !errors.Is(err, keyring.ErrFollows) {
			t.Errorf("%s: Rotate: got %v, want ErrFollows", name, err)
		}
		if err := ring.Revoke(ctx, "x", ""); !errors.Is(err, keyring.ErrFollows) {
			t.Errorf("%s: Revoke: got %v, want ErrFollows", name, err)
		}
		if err := ring.Swap(nil); err == nil {
			t.Errorf("%s: Swap to nothing: no error", name)
		}
		set := newSet(t, generate(t, keyring.Signed, around()))
		if err := ring.Swap(set); (err == nil) != (ring != nil) || err == nil && ring.Set() != set {
			t.Errorf("%s: Swap: got %v", name, err)
		}
		for range 2 {
			noError(t, ring.Close())
		}
	}
}

// TestZeroSet: a set that nobody made has no keys, and gets none.
func TestZeroSet(t *testing.T) {
	now := time.Now()
	for name, set := range map[string]*keyring.Set{"zero": new(keyring.Set), "nil": nil} {
		if set.Domain() != "" || set.Generation() != 0 || set.Epoch() != 0 || len(set.Keys()) != 0 || len(set.Revocations()) != 0 ||
			set.Lookup([]byte("x")) != nil || set.LookupHead("x") != nil || set.Revoked([]byte("x")) ||
			set.Active(keyring.Signed, now, now) != nil || set.State("x", now) != keyring.Absent {
			t.Errorf("%s: it is not empty", name)
		}
		if got := set.String(); got != "ring , generation 0, 0 keys" {
			t.Errorf("%s: got %s", name, got)
		}
		if _, err := set.With(generate(t, keyring.Signed, around())); err == nil {
			t.Errorf("%s: With: no error", name)
		}
		if _, err := set.Revoke("x", now, ""); err == nil {
			t.Errorf("%s: Revoke: no error", name)
		}
		if set.Prune(now, time.Second) != set || set.Keep(now, "x") != set {
			t.Errorf("%s: Prune or Keep made another set", name)
		}
		if got := set.WithEpoch(2); (got == nil) != (set == nil) {
			t.Errorf("%s: WithEpoch: got %v", name, got)
		}
		if got, err := set.Union(nil); got != set || err != nil {
			t.Errorf("%s: Union with nil: got %v, %v", name, got, err)
		}
		for _, file := range [][]byte{set.SecretJWKS(), set.PublicJWKS()} {
			if _, err := keyring.ParseSet(file); err == nil {
				t.Errorf("%s: %s is a ring", name, file)
			}
		}
	}
}

// TestZeroKey: a key that nobody made has no name, does nothing, and no set accepts it.
func TestZeroKey(t *testing.T) {
	for name, k := range map[string]*keyring.Key{"zero": new(keyring.Key), "nil": nil} {
		if k.ID() != "" || k.Protection() != 0 || k.Times() != (keyring.Times{}) || k.CanIssue() || k.Public() != nil ||
			k.Codec() != nil || k.Gone(time.Now()) || !k.KeepUntil().IsZero() {
			t.Errorf("%s: it is not empty", name)
		}
		if k.String() != "unknown key " || k.LogValue().String() == "" {
			t.Errorf("%s: got %s, %s", name, k, k.LogValue())
		}
		if _, err := keyring.NewSet("shop", k); err == nil {
			t.Errorf("%s: NewSet accepts it", name)
		}
	}
}

// TestNilArguments: what cannot work is an error of the function that is given it.
func TestNilArguments(t *testing.T) {
	ctx, plain := t.Context(), keyring.InsecurePlaintext()
	file := keyring.FileStore(t.TempDir() + "/ring")
	first, err := keyring.DefaultPolicy().Genesis("shop", time.Now())
	noError(t, err)
	noError(t, keyring.Create(ctx, file, plain, first))
	follow := func(opts ...keyring.Option) error {
		_, err := keyring.Follow(ctx, file, append([]keyring.Option{keyring.Domain("shop")}, opts...)...)
		return err
	}
	for name, err := range map[string]error{
		"Follow nothing":       errOf(keyring.Follow(ctx, nil)),
		"Maintain nothing":     errOf(keyring.Maintain(ctx, nil, plain, keyring.Domain("shop"))),
		"Maintain in plain":    errOf(keyring.Maintain(ctx, file, nil, keyring.Domain("shop"))),
		"a nil option":         follow(nil),
		"a nil wrapper":        follow(keyring.Wrapped(nil)),
		"a nil logger":         follow(keyring.Logger(nil)),
		"a nil clock":          follow(keyring.Clock(nil)),
		"Create nowhere":       keyring.Create(ctx, nil, plain, first),
		"Create in plain":      keyring.Create(ctx, file, nil, first),
		"Create nothing":       keyring.Create(ctx, file, plain, nil),
		"a file without name":  errOf(keyring.LoadFile(ctx, "")),
		"a store without name": errOf(keyring.FileStore("").Load(ctx)),
		"a key without times":  errOf(keyring.Generate(keyring.Signed, keyring.Times{})),
		"no protection":        errOf(keyring.Generate(0, around())),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := follow(keyring.NeededSince(nil)); err != nil {
		t.Errorf("NeededSince nothing: got %v, want no error", err)
	}
	if _, err := keyring.FileStore("").CompareAndSwap(ctx, 0, first.SecretJWKS()); err == nil {
		t.Error("CompareAndSwap in a store without a name: no error")
	}
	nudges, cancel := context.WithCancel(ctx)
	cancel()
	for range keyring.File("").Nudges(nudges) {
	}
	noError(t, keyring.Policy{}.Validate())
}

func errOf[T any](_ T, err error) error { return err }

func TestProtection(t *testing.T) {
	for p, name := range map[keyring.Protection]string{keyring.Signed: "signed", keyring.Sealed: "sealed", keyring.Public: "public"} {
		text, err := p.MarshalText()
		if err != nil || string(text) != name || p.String() != name {
			t.Errorf("%d: got %s, %s, %v, want %s", p, text, p, err, name)
		}
		got, err := keyring.ParseProtection(name)
		var again keyring.Protection
		if err != nil || got != p || again.UnmarshalText(text) != nil || again != p {
			t.Errorf("%s: got %v, %v, %v, want it back", name, got, again, err)
		}
	}
	for _, p := range []keyring.Protection{0, 4, 255} {
		if text, err := p.MarshalText(); err == nil || p.String() != "unknown" {
			t.Errorf("%d: got %s, %s, want an error and unknown", p, text, p)
		}
	}
	for _, name := range []string{"", "Signed", "HS256", "unknown", "signed "} {
		p := keyring.Sealed
		err := p.UnmarshalText([]byte(name))
		if err == nil || p != keyring.Sealed {
			t.Errorf("%q: got %v, %v, want an error and no change", name, p, err)
		}
	}
}
