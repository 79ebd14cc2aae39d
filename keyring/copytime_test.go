package keyring_test

import (
	"encoding/base64"
	"encoding/binary"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill/keyring"
)

// invented returns the n. kid that no key has.
func invented(n int) []byte {
	return []byte(base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(n))))
}

func plainFile(t *testing.T, opts ...keyring.Option) (*keyring.Ring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ring.jwks")
	putFile(t, path, string(generation(1, macJWK("a"))))
	ring, err := keyring.LoadFile(t.Context(), path, append(opts, hush())...)
	noError(t, err)
	t.Cleanup(func() { ring.Close() })
	return ring, path
}

// TestUnknownKeyOfACopiedFile: an unknown kid is not the sender's fault until the file has had the time to reach this node.
func TestUnknownKeyOfACopiedFile(t *testing.T) {
	for name, c := range map[string]struct {
		opts []keyring.Option
		wait time.Duration
	}{
		"by default": {nil, keyring.DefaultCopyTime}, "10 min": {[]keyring.Option{keyring.CopyTime(10 * time.Minute)}, 10 * time.Minute},
		"a JWK Set of other software": {[]keyring.Option{keyring.Foreign("shop")}, keyring.DefaultCopyTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			ring, path := plainFile(t, c.opts...)
			time.Sleep(time.Hour) // the file that everybody has is old
			kid := []byte(macJWK("b")["kid"].(string))
			excluded := func(what string, kid []byte, want bool) {
				t.Helper()
				if got := ring.Excludes(kid); got != want {
					t.Errorf("%s, %s: got excluded %v, want %v", name, what, got, want)
				}
			}
			excluded("first seen", kid, false)
			time.Sleep(c.wait - time.Second)
			excluded("just before", kid, false)
			excluded("another one", bogus, false)
			excluded("a known key", []byte(macJWK("a")["kid"].(string)), true)
			time.Sleep(time.Second)
			excluded("after it", kid, true)
			excluded("the other one, after it", bogus, false)
			time.Sleep(time.Hour)
			excluded("an hour later", kid, true)
			excluded("the other one, an hour later", bogus, true)
			putFile(t, path, string(generation(2, macJWK("a"), macJWK("b"))))
			time.Sleep(2 * time.Second)
			if ring.Set().Lookup(kid) == nil {
				t.Errorf("%s: the copied file was not read", name)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ring, _ := plainFile(t)
		for _, kid := range []string{"", "x", "AAAAAAAAAA.", "AAAAAAAAAAAA"} {
			if !ring.Excludes([]byte(kid)) {
				t.Errorf("%q, a kid that no key can have: got not excluded", kid)
			}
		}
		off, _ := plainFile(t, keyring.CopyTime(0))
		if !off.Excludes(bogus) {
			t.Error("without a copying time: got not excluded")
		}
	})
}

// TestFloodOfInventedKids: the table of unknown kids has a bound, and once it is full of kids that wait, the next ones do not.
func TestFloodOfInventedKids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, _ := plainFile(t)
		waiting := func(from, to int) (n int) {
			for i := from; i < to; i++ {
				if !ring.Excludes(invented(i)) {
					n++
				}
			}
			return n
		}
		if got := waiting(0, 5000); got != 1024 {
			t.Errorf("got %d of 5000 invented kids that wait, want 1024", got)
		}
		if got := waiting(0, 5000); got != 1024 {
			t.Errorf("asked again: got %d that wait, want the same 1024", got)
		}
		time.Sleep(keyring.DefaultCopyTime)
		if got := waiting(0, 1024); got != 0 {
			t.Errorf("after the copying time: got %d that wait, want none", got)
		}
		if ring.Excludes(invented(9999)) {
			t.Error("a kid that is seen when there is room again: got excluded at once")
		}
		if got := waiting(10_000, 20_000); got != 1023 {
			t.Errorf("a second flood: got %d that wait, want 1023", got)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for round := range 50 {
			waiting(100_000*round, 100_000*round+2000)
			time.Sleep(keyring.DefaultCopyTime)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("100,000 invented kids left %d bytes", grown)
		}
		if !ring.Excludes(invented(100_000 * 49)) {
			t.Error("a kid of the last flood still waits")
		}
	})
}

// TestCopyTimeIsForFiles: any other source is the same for all nodes.
func TestCopyTimeIsForFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{data: generation(1, macJWK("a")), rev: 1}
		ring, err := keyring.Follow(t.Context(), store, hush())
		noError(t, err)
		defer ring.Close()
		if !ring.Excludes(bogus) {
			t.Error("a plain ring in a store: got not excluded")
		}
		if _, err := keyring.Follow(t.Context(), store, keyring.CopyTime(time.Minute)); err == nil {
			t.Error("CopyTime for a store: got no error")
		}
		path := filepath.Join(t.TempDir(), "ring.jwks")
		putFile(t, path, string(generation(1, macJWK("a"))))
		if _, err := keyring.LoadFile(t.Context(), path, keyring.CopyTime(-1)); err == nil {
			t.Error("a negative CopyTime: got no error")
		}
		if _, err := keyring.LoadFile(t.Context(), path, keyring.Domain("shop"), keyring.Wrapped(keyring.InsecurePlaintext()),
			keyring.CopyTime(time.Minute)); err == nil {
			t.Error("CopyTime for a sealed file: got no error")
		}
	})
}
