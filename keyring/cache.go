package keyring

import (
	"bytes"
	"context"

	"github.com/waybill-go/waybill/internal/replace"
)

// remember writes the sealed ring to the cache, unless the process has keys that are not in it.
func (f *follower) remember(data []byte) {
	if f.cache == "" || bytes.Equal(data, f.cached) || !f.covers(f.had.set) {
		return
	}
	if err := replace.Write(f.cache, data); err != nil {
		f.logger.Warn("waybill: cannot cache the sealed key ring", "error", err)
		return
	}
	f.cached = data
}

// covers reports whether set contains everything that the process has, except for keys that expire
// now: other nodes may have dropped those.
func (f *follower) covers(set *Set) bool {
	if set == nil {
		return false
	}
	now := f.now()
	return set.Prune(now, 0).same(f.ring.Set().Prune(now, 0))
}

// restore loads the keys from the cache. They are unconfirmed.
func (f *follower) restore() {
	if f.cache == "" {
		return
	}
	blob, err := File(f.cache).Load(context.Background())
	var set *Set
	if err == nil {
		set, _, err = f.read(blob.Data)
	}
	if err == nil {
		err = f.install(f.prune(set))
	}
	if err != nil {
		f.logger.Warn("waybill: cannot load the key ring from the cache", "error", err)
		return
	}
	f.cached = blob.Data
	f.logger.Warn("waybill: loaded the key ring from the cache, not confirmed by the store", "ring", set.String())
}
