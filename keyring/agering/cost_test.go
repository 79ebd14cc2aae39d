package agering

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/waybill-go/waybill/keyring"
)

// maxKeeper is what a ring may keep in memory: the keys, the sealed bytes, the roster of 100 services.
const maxKeeper = 5_000_000

// TestMemoryOfKeeper: a ring of 100 services that takes part in the rotation keeps less than 5 MB, of either kind.
func TestMemoryOfKeeper(t *testing.T) {
	for name, kind := range map[string]func(string) (*Identity, error){"X25519": NewIdentity, "hybrid": NewHybridIdentity} {
		m, plain := crowd(t, 100, kind)
		store := keyring.FileStore(filepath.Join(t.TempDir(), "ring"))
		put(t, store, mustWrap(t, m.writer("orders"), plain))
		const rings = 4
		before := inUse()
		var all []*keyring.Ring
		for range rings {
			all = append(all, keep(t, store, m.wrapper("orders")))
		}
		each := (inUse() - before) / rings
		for _, ring := range all {
			if err := ring.Ready(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			ring.Close()
		}
		t.Logf("%s, 100 services, 33 keys: %d bytes a ring", name, each)
		if each > maxKeeper {
			t.Errorf("%s: a ring keeps %d bytes, want at most %d", name, each, maxKeeper)
		}
	}
}

// inUse is the memory that is not garbage, stacks included.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
