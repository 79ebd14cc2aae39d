package waybill_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/waybilltest"
)

// loadedLater returns an Authority that was made before its ring was loaded, and so did not check
// the ring.
func loadedLater(t *testing.T, domain string, ring *keyring.Ring, opts ...waybill.Option) *waybill.Authority {
	t.Helper()
	later := keyring.NewRing(nil)
	auth := must(waybill.New(domain, later, opts...))(t)
	if set := ring.Set(); set != nil {
		if err := later.Swap(set); err != nil {
			t.Fatal(err)
		}
	}
	return auth
}

// TestNewMissingKey checks that a loaded ring must have a key of the protection that is issued.
func TestNewMissingKey(t *testing.T) {
	signed, sealed, public := lasting(t, keyring.Signed), lasting(t, keyring.Sealed), lasting(t, keyring.Public)
	for _, test := range []struct {
		name    string
		ring    *keyring.Ring
		protect waybill.Protection
		want    string
	}{
		{"not loaded", keyring.NewRing(nil), waybill.Sealed, ""},
		{"empty", ringOf(t, "shop"), waybill.Sealed, ""},
		{"all", ringOf(t, "shop", signed, sealed, public), waybill.Public, ""},
		{"public half", ringOf(t, "shop", public.Public()), waybill.Public, ""},
		{"signed only", ringOf(t, "shop", signed), waybill.Sealed, "no sealed key"},
		{"sealed only", ringOf(t, "shop", sealed), waybill.Signed, "--protection signed"},
		{"no public key", ringOf(t, "shop", signed, sealed), waybill.Public, "waybill.Protect"},
	} {
		auth, err := waybill.New("shop", test.ring, waybill.Protect(test.protect))
		if (auth == nil) != (err != nil) || (err == nil) != (test.want == "") {
			t.Errorf("%s: got %v, %v, want %q", test.name, auth, err, test.want)
		} else if err != nil && (!errors.Is(err, waybill.ErrNoKey) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want ErrNoKey and %q", test.name, err, test.want)
		}
	}
}

func TestOpenKeyErrors(t *testing.T) {
	token := issue(t, authority(t)).Token()
	open := func(ring *keyring.Ring) error {
		auth := loadedLater(t, waybilltest.Domain, ring)
		wb, err := auth.Open(token)
		if wb != nil {
			t.Errorf("got %v, want no waybill", wb)
		}
		return err
	}
	empty := ringOf(t, waybilltest.Domain)
	wantIs(t, open(keyring.NewRing(nil)), waybill.ErrNoKey)
	wantIs(t, open(empty), waybill.ErrUnknownKey)
	if got := waybill.ClassOf(open(empty)); got != waybill.Unauthenticated {
		t.Errorf("unknown key, ring confirmed: got class %d, want Unauthenticated", got)
	}
	for _, token := range []string{"", "."} {
		wb, err := authority(t).Open(token)
		if wb != nil || err == nil {
			t.Errorf("Open(%q): got %v, %v, want an error", token, wb, err)
		}
	}
	if _, err := authority(t).Open(""); err != waybill.ErrNoWaybill {
		t.Errorf("Open of an empty token: got %v, want ErrNoWaybill", err)
	}
}

// TestUnknownKeyWhileOutOfTouch checks that an unknown key has another class if the ring was not
// confirmed recently.
func TestUnknownKeyWhileOutOfTouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := must(keyring.NewSet("shop", lasting(t, keyring.Signed)))(t).SecretJWKS()
		var down atomic.Bool
		load := func() ([]byte, error) {
			if down.Load() {
				return nil, errors.New("store down")
			}
			return data, nil
		}
		ring := must(keyring.Follow(t.Context(), loader(load), keyring.Poll(time.Minute), keyring.Logger(discard)))(t)
		defer ring.Close()
		auth := must(waybill.New("shop", ring))(t)
		stranger := issue(t, must(waybill.New("shop", ringOf(t, "shop", lasting(t, keyring.Signed))))(t)).Token()
		class := func() waybill.Class {
			_, err := auth.Open(stranger)
			wantIs(t, err, waybill.ErrUnknownKey)
			if got := waybill.Reason(err); got != "unknown_key" {
				t.Errorf("Reason: got %s, want unknown_key", got)
			}
			return waybill.ClassOf(err)
		}
		if got := class(); got != waybill.Unauthenticated {
			t.Errorf("confirmed: got class %d, want Unauthenticated", got)
		}
		down.Store(true)
		time.Sleep(5 * time.Minute)
		if got := class(); got != waybill.Unavailable {
			t.Errorf("not confirmed: got class %d, want Unavailable", got)
		}
		down.Store(false)
		time.Sleep(2 * time.Minute)
		if got := class(); got != waybill.Unauthenticated {
			t.Errorf("confirmed again: got class %d, want Unauthenticated", got)
		}
	})
}

func TestIssueKeyErrors(t *testing.T) {
	now := time.Now()
	pending := newKey(t, keyring.Signed, now.Add(time.Hour), now.Add(100*time.Hour))
	short := newKey(t, keyring.Signed, now.Add(-time.Hour), now.Add(10*time.Minute))
	enough := newKey(t, keyring.Signed, now.Add(-time.Hour), now.Add(16*time.Minute))
	private := lasting(t, keyring.Public)
	verifier := private.Public()
	for _, test := range []struct {
		name string
		ring *keyring.Ring
		opt  waybill.Option
		want error
	}{
		{"not loaded", keyring.NewRing(nil), waybill.Claims(), waybill.ErrNoKey},
		{"empty", ringOf(t, "shop"), waybill.Claims(), waybill.ErrNoKey},
		{"pending", ringOf(t, "shop", pending), waybill.Claims(), waybill.ErrNoKey},
		{"does not outlive the token", ringOf(t, "shop", short), waybill.Claims(), waybill.ErrNoKey},
		{"outlives it", ringOf(t, "shop", short, enough, pending), waybill.Claims(), nil},
		{"of another algorithm", ringOf(t, "shop", enough), waybill.Protect(waybill.Sealed), waybill.ErrNoKey},
		{"of another algorithm", ringOf(t, "shop", private), waybill.Claims(), waybill.ErrNoKey},
		{"public half only", ringOf(t, "shop", verifier), waybill.Protect(waybill.Public), waybill.ErrReadOnly},
		{"no public key at all", ringOf(t, "shop", enough), waybill.Protect(waybill.Public), waybill.ErrReadOnly},
		{"private half", ringOf(t, "shop", private), waybill.Protect(waybill.Public), nil},
		{"private half pending", ringOf(t, "shop", verifier, newKey(t, keyring.Public, now.Add(time.Hour), now.Add(90*time.Hour))),
			waybill.Protect(waybill.Public), waybill.ErrNoKey},
	} {
		auth := loadedLater(t, "shop", test.ring, test.opt)
		wb, err := auth.Issue()
		if !errors.Is(err, test.want) || (wb == nil) != (err != nil) {
			t.Errorf("%s: got %v, %v, want %v", test.name, wb, err, test.want)
		}
		if err == nil && wb.KeyID() != enough.ID() && wb.KeyID() != private.ID() {
			t.Errorf("%s: got key %s, want %s or %s", test.name, wb.KeyID(), enough.ID(), private.ID())
		}
		ctx, err := auth.Start(t.Context())
		if !errors.Is(err, test.want) || err != nil && ctx != t.Context() {
			t.Errorf("%s: Start: got %v, want %v and the same context", test.name, err, test.want)
		}
	}
}

// TestPendingKeyOpens checks that a node whose clock is behind opens the tokens of the others.
func TestPendingKeyOpens(t *testing.T) {
	now := time.Now()
	old := newKey(t, keyring.Signed, now.Add(-time.Hour), now.Add(100*time.Hour))
	next := newKey(t, keyring.Signed, now.Add(time.Minute), now.Add(100*time.Hour))
	ring := ringOf(t, "shop", old, next)
	late := must(waybill.New("shop", ring))(t)
	ahead := must(waybill.New("shop", ring, waybill.Clock(func() time.Time { return now.Add(time.Minute) }), waybill.Leeway(time.Minute)))(t)
	wb := issue(t, ahead)
	if wb.KeyID() != next.ID() {
		t.Fatalf("got key %s, want the new one %s", wb.KeyID(), next.ID())
	}
	_, err := late.Open(wb.Token())
	if got := waybill.Reason(err); got != "not_yet_valid" { // the token is issued in the future here, but its key is known
		t.Errorf("got %s, want not_yet_valid", got)
	}
	tolerant := must(waybill.New("shop", ring, waybill.Leeway(time.Minute)))(t)
	if _, err := tolerant.Open(wb.Token()); err != nil {
		t.Errorf("with leeway: got %v", err)
	}
	if got := issue(t, late).KeyID(); got != old.ID() {
		t.Errorf("the node that is behind issues with %s, want the old key %s", got, old.ID())
	}
}

// TestUnknownKeyFetched checks that an Authority whose ring fetches unknown keys opens a token with
// a new key.
func TestUnknownKeyFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := lasting(t, keyring.Signed), lasting(t, keyring.Signed)
		set := must(keyring.NewSet("shop", old))(t)
		ring := must(keyring.Follow(t.Context(), loader(func() ([]byte, error) { return set.SecretJWKS(), nil }),
			keyring.WaitUnknown(), keyring.Poll(time.Hour), keyring.Logger(discard)))(t)
		defer ring.Close()
		auth := must(waybill.New("shop", ring))(t)
		token := issue(t, must(waybill.New("shop", ringOf(t, "shop", next)))(t)).Token()
		_, err := auth.Open(token)
		wantIs(t, err, waybill.ErrUnknownKey)
		time.Sleep(2 * time.Second)
		set = must(set.With(next))(t)
		if _, err := auth.Open(token); err != nil {
			t.Errorf("got %v, want the key fetched", err)
		}
		if got := ring.Stats().UnknownFetched; got != 1 {
			t.Errorf("got %d fetches, want 1", got)
		}
	})
}
