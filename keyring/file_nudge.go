package keyring

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// glance is the interval at which the state of a file is checked.
const glance = time.Second

// Nudges sends within about a second after the file was written or replaced, even if the change is
// in a folder or a symbolic link on its path, such as the "..data" link of a Kubernetes volume. It
// checks the identity, time and size of the file and does not read it. It does not rely on
// notifications, which are unreliable with such links, network file systems and containers.
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

// stat returns nil for a file that does not exist or cannot be checked.
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
