//go:build unix

package replace

import (
	"io/fs"
	"os"
	"syscall"
)

// preserveOwner gives next the owner and group that info tells.
func preserveOwner(next *os.File, info fs.FileInfo) error {
	want, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	made, err := next.Stat()
	if err != nil {
		return err
	}
	if have, ok := made.Sys().(*syscall.Stat_t); ok && have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	return next.Chown(int(want.Uid), int(want.Gid))
}

// syncDir makes a rename outlast a power failure, where the file system can do that.
func syncDir(path string) {
	if dir, err := os.Open(path); err == nil {
		dir.Sync()
		dir.Close()
	}
}
