package fleet

import (
	"bytes"
	"fmt"
	"os"
)

// Memory is what a process takes, in bytes. All processes of the demo are one binary, whose pages are in memory once:
// what tools call resident counts them for each process, so a sum of it is several times what the machine gives.
type Memory struct {
	Used     int64 // its own pages, and its share of the shared ones
	Resident int64 // its own and all shared pages that it has touched
}

// Memory returns that of each replica by name, and of this process under "supervisor". It is empty where there is no
// /proc.
func (f *Fleet) Memory() map[string]Memory {
	memory := map[string]Memory{}
	add := func(name string, pid int) {
		if m := read(pid); m.Resident > 0 {
			memory[name] = m
		}
	}
	add("supervisor", os.Getpid())
	f.mu.Lock()
	pids := map[string]int{}
	for name, r := range f.replicas {
		pids[name] = r.proc.cmd.Process.Pid
	}
	f.mu.Unlock()
	for name, pid := range pids {
		add(name, pid)
	}
	return memory
}

// read reads what Linux says of a process; it is all zero if it says nothing.
func read(pid int) Memory {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}
	}
	return Memory{Used: field(rollup, "\nPss:"), Resident: field(rollup, "\nRss:")}
}

func field(text []byte, name string) int64 {
	_, rest, _ := bytes.Cut(text, []byte(name))
	var kib int64
	fmt.Sscanf(string(rest), "%d kB", &kib)
	return kib << 10
}
