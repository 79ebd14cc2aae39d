package agering

import (
	"fmt"
	"io"
	"os"
	"runtime"
)

// maxSecretFile bounds an identity or root file; a hybrid identity is some 200 bytes and its public half 2 kB.
const maxSecretFile = 16 << 10

// readSecretFile refuses a file that every user of the machine can read or replace.
func readSecretFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("agering: %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o007 != 0 {
		return nil, fmt.Errorf("agering: %s holds secret keys and is open to every user (mode %04o): run: chmod 0600 %s "+
			"(on a read-only Kubernetes mount set defaultMode: 0440 on the volume and fsGroup in the securityContext)",
			path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("agering: %w", err)
	}
	if len(data) > maxSecretFile {
		return nil, fmt.Errorf("agering: %s is over the limit of %d bytes", path, maxSecretFile)
	}
	return data, nil
}

// writeSecretFile makes a file that only its owner can read. It never replaces one: a lost identity cannot be made again.
func writeSecretFile(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("agering: %w", err)
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
		return fmt.Errorf("agering: %w", err)
	}
	return nil
}
