package keyring

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// glance is how often a file is looked at between two readings of it.
const glance = time.Second

// Nudges fires within about a second after another file has come to stand under the name, or the file was written: also
// when the change is in a folder or a symbolic link on the way, as with the "..data" link of a Kubernetes volume. It asks
// the file system for the file's identity, time and size, and reads nothing; it needs no notifications, which such links,
// network file systems and containers do not deliver dependably.
func (f File) Nudges(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	seen := f.stat()
	go func() {
		defer close(out)
		tick := time.NewTicker(glance)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := f.stat()
			if unchanged(seen, now) {
				continue
			}
			seen = now
			select {
			case out <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return out
}

// stat returns nil for a file that is not there or cannot be asked.
func (f File) stat() fs.FileInfo {
	info, err := os.Stat(string(f))
	if err != nil {
		return nil
	}
	return info
}

func unchanged(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
