package fleet

import (
	"bytes"
	"fmt"
	"os"
)

// Memory returns the resident memory of each role in bytes, all its replicas together, and that of this process under
// "supervisor". It is empty where there is no /proc.
func (f *Fleet) Memory() map[string]int64 {
	memory := map[string]int64{}
	if n := resident(os.Getpid()); n > 0 {
		memory["supervisor"] = n
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.replicas {
		if n := resident(r.proc.cmd.Process.Pid); n > 0 {
			memory[r.spec.Role] += n
		}
	}
	return memory
}

// resident reads the VmRSS of a process, and returns 0 if it cannot.
func resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	var kib int64
	fmt.Sscanf(string(rest), "%d kB", &kib)
	return kib << 10
}
