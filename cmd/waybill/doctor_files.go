package main

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/waybill-go/waybill/keyring"
)

// files checks the modes of the files that the flags name. Missing files are reported elsewhere.
func (f *doctorFlags) files(c *checkup, args []string) {
	if runtime.GOOS == "windows" {
		c.skip("files have no modes on this system")
		return
	}
	for _, path := range []string{f.identity, f.creds} {
		checkMode(c, path, 0o007, "contains secrets and is open to every user", "chmod 0600 "+path)
	}
	for _, path := range append([]string{f.sealedFlags.roster}, args...) {
		data, err := os.ReadFile(path)
		if err == nil && len(args) > 0 && path == args[0] && !keyring.IsWrapped(data) {
			checkMode(c, path, 0o007, "is a plain ring and open to every user", "chmod 0600 "+path)
			continue
		}
		checkMode(c, path, 0o002, "can be replaced by every user", "chmod o-w "+path)
	}
}

// checkMode checks a file, and its folder, because anyone who can write to that can replace the
// file.
func checkMode(c *checkup, path string, refused os.FileMode, what, fix string) {
	info, err := os.Stat(path)
	if path == "" || err != nil {
		return
	}
	if info.Mode().Perm()&refused != 0 {
		c.risk(fix, "%s %s (mode %04o)", path, what, info.Mode().Perm())
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err == nil && info.Mode()&os.ModeSticky == 0 && info.Mode().Perm()&0o002 != 0 {
		c.risk("chmod o-w "+dir, "every user can replace %s: its folder has mode %04o", path, info.Mode().Perm())
	}
}
