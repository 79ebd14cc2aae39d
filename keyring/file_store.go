package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/waybill-go/waybill/internal/replace"
)

// FileStore is a [Store] in a file, for the command or the job that changes a ring. Services follow
// the same file as a [File]. A new version replaces the file by a rename and keeps its mode and
// owner. The first version has mode 0600.
//
// Writers take turns: each creates the file with the suffix ".new", which must not exist. A file
// that an interrupted writer left behind must be removed by hand.
type FileStore string

var _ Store = FileStore("")

// Load reads the file as [File.Load] does. The revision is a hash of the content. Load returns
// ErrNotFound if the folder exists and the file does not; a missing folder, which may be a volume
// that is not mounted, and a dangling link are other errors.
func (f FileStore) Load(ctx context.Context) (Blob, error) {
	if err := ctx.Err(); err != nil {
		return Blob{}, fmt.Errorf("keyring: %w", err)
	}
	var blob Blob
	absent, err := f.look(func() (err error) {
		blob, err = File(f).Load(ctx)
		return err
	})
	if absent {
		return Blob{}, fmt.Errorf("%w: %s", ErrNotFound, f)
	}
	if err != nil {
		return Blob{}, err
	}
	blob.Revision = contentRevision(blob.Data)
	return blob, nil
}

// Nudges is [File.Nudges].
func (f FileStore) Nudges(ctx context.Context) <-chan struct{} { return File(f).Nudges(ctx) }

// CompareAndSwap replaces the file. It waits up to 5 s for another writer.
func (f FileStore) CompareAndSwap(ctx context.Context, prev uint64, data []byte) (uint64, error) {
	if err := checkSize(data); err != nil {
		return 0, fmt.Errorf("keyring: %s: %w", f, err)
	}
	path, err := f.resolve()
	if err != nil {
		return 0, fmt.Errorf("keyring: %w", err)
	}
	var refused error
	err = replace.File(ctx, path, func(next *os.File) error {
		refused = FileStore(path).fill(ctx, next, prev, data)
		return refused
	})
	switch {
	case refused != nil:
		return 0, refused
	case err != nil:
		return 0, fmt.Errorf("keyring: %w", err)
	}
	return contentRevision(data), nil
}

// fill writes the next version under the lock, if the current version is prev.
func (f FileStore) fill(ctx context.Context, next *os.File, prev uint64, data []byte) error {
	blob, err := f.Load(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) { // of which the revision is 0
		return err
	}
	if blob.Revision != prev {
		return fmt.Errorf("%w: %s", ErrConflict, f)
	}
	if prev != 0 {
		info, err := os.Stat(string(f))
		if err == nil {
			err = replace.Preserve(next, info)
		}
		if err != nil {
			return fmt.Errorf("keyring: %w", err)
		}
	}
	if _, err := next.Write(data); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return nil
}

// resolve follows symbolic links, so that a version replaces the file and not a link to it.
func (f FileStore) resolve() (string, error) {
	var path string
	absent, err := f.look(func() (err error) {
		path, err = filepath.EvalSymlinks(string(f))
		return err
	})
	if absent {
		return string(f), nil
	}
	return path, err
}

// look calls try, and reports whether the file is absent, in contrast to unreachable. It tries
// again if another writer created the file meanwhile.
func (f FileStore) look(try func() error) (absent bool, err error) {
	for range 3 {
		if err = try(); !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if f.absent() {
			return true, nil
		}
	}
	return false, err
}

// absent reports whether the folder exists and has no entry with the name of the file.
func (f FileStore) absent() bool {
	if _, err := os.Lstat(string(f)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	dir, err := os.Stat(filepath.Dir(string(f)))
	return err == nil && dir.IsDir()
}

// contentRevision is never 0, which means that there is no file.
func contentRevision(data []byte) uint64 {
	sum := sha256.Sum256(data)
	return max(1, binary.BigEndian.Uint64(sum[:]))
}
