// Package secretfile reads and creates files with secrets that only their owner and group may read.
package secretfile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Read returns the content of a regular file of at most limit bytes. It rejects a file that
// [CheckMode] rejects.
func Read(path string, limit int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := CheckMode(path, info.Mode()); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%s is over the limit of %d bytes", path, limit)
	}
	return data, nil
}

// CheckMode returns an error if the mode lets every user of the machine read, write or execute the
// file.
func CheckMode(path string, mode fs.FileMode) error {
	if runtime.GOOS == "windows" || mode.Perm()&0o007 == 0 {
		return nil
	}
	return fmt.Errorf("%s contains secrets and is open to every user (mode %04o): run: chmod 0600 %s "+
		"(on a read-only Kubernetes mount set defaultMode: 0440 on the volume and fsGroup in the securityContext)",
		path, mode.Perm(), path)
}

// Create writes a new file with mode 0600. It never replaces a file: the error is then fs.ErrExist.
func Create(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}
