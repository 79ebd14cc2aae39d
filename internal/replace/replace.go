// Package replace puts a complete file in the place of another, one writer at a time.
package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// patience is how long a writer waits for another one.
const patience = 5 * time.Second

// File runs fill on a new file of mode 0600 beside path and puts it in path's place, which nobody else does meanwhile.
// An error of fill leaves path as it was. The new file is named path and ".new": one that is there already belongs to
// another writer, for which File waits up to 5 s, or to one that was interrupted, which is for a person to remove.
func File(ctx context.Context, path string, fill func(next *os.File) error) error {
	name := path + ".new"
	next, err := lock(ctx, name)
	if err != nil {
		return err
	}
	err = fill(next)
	if err == nil {
		err = next.Sync()
	}
	if closing := next.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		os.Remove(name)
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// Keep gives the new file the owner and the mode that info tells, so that who could read the old one can read it.
func Keep(next *os.File, info fs.FileInfo) error {
	if err := keepOwner(next, info); err != nil {
		return fmt.Errorf("%s cannot be given to the owner of the old file: %w", next.Name(), err)
	}
	return next.Chmod(info.Mode().Perm())
}

// lock makes the file that one writer at a time may have.
func lock(ctx context.Context, name string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if err := ctx.Err(); err != nil {
			if _, e := os.Lstat(name); e == nil {
				return nil, fmt.Errorf("%s is there: another writer is at work, or was interrupted: "+
					"if none is running, remove it: %w", name, err)
			}
			return nil, err
		}
		next, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return next, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond + rand.N(10*time.Millisecond)):
		}
	}
}
