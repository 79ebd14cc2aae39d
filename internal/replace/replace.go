// Package replace replaces files atomically: a reader sees either the old file or the complete new
// one.
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

// File calls fill with a new file of mode 0600 and puts that file in the place of path, under a
// lock. If fill fails, path stays as it was. The new file is named path and ".new", which is also
// the lock: File waits up to 5 s for another writer. A file of that name that an interrupted writer
// left behind must be removed by hand.
func File(ctx context.Context, path string, fill func(next *os.File) error) error {
	next, err := lock(ctx, path+".new")
	if err != nil {
		return err
	}
	return complete(next, path, fill)
}

// Write puts a new file of mode 0600 with this content in the place of path, without a lock: of
// several writers the last one wins. After a power failure path is either the old file or the new
// one.
func Write(path string, data []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	return complete(next, path, func(next *os.File) error {
		_, err := next.Write(data)
		return err
	})
}

// complete fills next and renames it to path, or removes it.
func complete(next *os.File, path string, fill func(next *os.File) error) error {
	err := fill(next)
	if err == nil {
		err = next.Sync()
	}
	if closing := next.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		os.Remove(next.Name())
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// Preserve gives next the owner and mode in info, so that everyone who could read the old file can
// read the new one.
func Preserve(next *os.File, info fs.FileInfo) error {
	if err := preserveOwner(next, info); err != nil {
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
				return nil, fmt.Errorf("%s exists: another writer is running or was interrupted: "+
					"if none is running, remove the file: %w", name, err)
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
