package waybill_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// TestKeyOfACopyThatLags checks that a token under the next key is not the sender's fault while the
// file may still be on its way, and that it opens once the file is here.
func TestKeyOfACopyThatLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ring.jwks")
		old := must(keyring.NewSet("shop", lasting(t, keyring.Signed)))(t)
		next := lasting(t, keyring.Signed)
		if err := os.WriteFile(path, old.SecretJWKS(), 0o600); err != nil {
			t.Fatal(err)
		}
		ring := must(keyring.LoadFile(t.Context(), path, keyring.Logger(discard)))(t)
		defer ring.Close()
		auth := must(waybill.New("shop", ring))(t)
		// The node that has the new file already.
		ahead := must(waybill.New("shop", keyring.NewRing(must(keyring.NewSet("shop", next))(t)), waybill.Life(time.Hour)))(t)
		token := issue(t, ahead).Token()
		class := func() waybill.Class {
			_, err := auth.Open(token)
			wantIs(t, err, waybill.ErrUnknownKey)
			return waybill.ClassOf(err)
		}
		if got := class(); got != waybill.Unavailable {
			t.Errorf("first seen: got class %d, want Unavailable", got)
		}
		time.Sleep(keyring.DefaultCopyTime)
		if got := class(); got != waybill.Unauthenticated {
			t.Errorf("after the copying time: got class %d, want Unauthenticated", got)
		}
		if err := os.WriteFile(path+".new", must(old.With(next))(t).SecretJWKS(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := auth.Open(token); err != nil {
			t.Errorf("with the new file: got %v, want the waybill", err)
		}
	})
}
