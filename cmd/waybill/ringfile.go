package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/waybill-go/waybill/keyring"
)

// createFile writes a new file with what change makes of nothing. It never replaces one.
func createFile(path string, change func([]byte) ([]byte, error)) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usage("%s is a directory: name the file of the ring in it", path)
	}
	return underLock(path, func(next *os.File) error {
		if _, err := os.Lstat(path); err == nil {
			return fs.ErrExist
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		data, err := change(nil)
		if err != nil {
			return err
		}
		_, err = next.Write(data)
		return err
	})
}

// replaceFile replaces a file with what change makes of it. The mode and the owner stay, so that a service that could
// read the ring still can.
func replaceFile(path string, change func([]byte) ([]byte, error)) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return judged(err)
	}
	return underLock(path, func(next *os.File) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		old, err := keyring.File(path).Load(context.Background())
		if err != nil {
			return err
		}
		data, err := change(old.Data)
		if err != nil {
			return err
		}
		if _, err := next.Write(data); err != nil {
			return err
		}
		if err := keepOwner(next, info); err != nil {
			return fmt.Errorf("the new file cannot be given to the owner of the old one: %w", err)
		}
		return next.Chmod(info.Mode().Perm())
	})
}

// underLock runs fill on a new file beside path, of mode 0600, and puts it in path's place. While that file is there,
// no other command of ours changes path.
func underLock(path string, fill func(*os.File) error) error {
	name := path + ".new"
	next, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		err := fmt.Errorf("%s exists: another command is changing the ring, or one was interrupted", name)
		return &failure{exitFailure, err, "if none is running, remove it"}
	}
	if err != nil {
		return judged(err)
	}
	err = fill(next)
	if err == nil {
		err = next.Sync()
	}
	if e := next.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		os.Remove(name)
		return judged(err)
	}
	syncDir(filepath.Dir(path))
	return nil
}
