package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// prefix begins the names of all fleets' directories. The process id of the fleet's owner follows.
const prefix = "waybill-demo-"

// sweep removes the directories of fleets whose owners are gone. It leaves directories that it may
// not remove: they are another user's.
func sweep(temp string) {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), prefix)
		id, _, complete := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(id)
		if ours && complete && err == nil && e.IsDir() && !alive(pid) {
			os.RemoveAll(filepath.Join(temp, e.Name()))
		}
	}
}

// alive reports whether there is a process with this id, anybody's. In doubt there is.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release()
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
