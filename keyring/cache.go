package keyring

import (
	"bytes"
	"context"

	"github.com/waybill-go/waybill/internal/replace"
)

// remember writes the sealed ring to the cache, unless the process knows more than is in it.
func (f *follower) remember(data []byte) {
	if f.cache == "" || bytes.Equal(data, f.cached) || !f.covers(f.had.set) {
		return
	}
	if err := replace.Write(f.cache, data); err != nil {
		f.logger.Warn("waybill: the sealed key ring cannot be cached", "error", err)
		return
	}
	f.cached = data
}

// covers reports whether set holds all that the process knows, but for what ends now: other nodes may have dropped that.
func (f *follower) covers(set *Set) bool {
	if set == nil {
		return false
	}
	now := f.now()
	return set.Prune(now, 0).same(f.ring.Set().Prune(now, 0))
}

// restore takes the keys from the cache. They count as unconfirmed.
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
		f.logger.Warn("waybill: no key ring from the cache", "error", err)
		return
	}
	f.cached = blob.Data
	f.logger.Warn("waybill: key ring from the cache, the store has not confirmed it", "ring", set.String())
}
