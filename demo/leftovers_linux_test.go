package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/show"
)

// TestNothingIsLeft ends the demo in the ways that it can end, and looks for what remains.
func TestNothingIsLeft(t *testing.T) {
	kill := func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
	for _, c := range []struct {
		name   string
		within string // the shell command that runs the demo, if any
		end    func(pid int) error
		clean  bool // the demo ends by itself, and has cleaned up when it does
		stale  bool // nobody is left who could clean up: the next start does
	}{
		// A terminal sends Ctrl-C to the whole group.
		{"Ctrl-C", "", func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }, true, false},
		{"SIGTERM", "", func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }, true, false},
		{"SIGKILL", "", kill, false, false},
		{"SIGKILL of whoever started it", `"$0"; true`, kill, false, false},
		{"SIGKILL of the whole group", "", func(pid int) error { return kill(-pid) }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, dir := command(t)
			if c.within != "" {
				cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", c.within, cmd.Path}
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			url := serve(t, cmd)
			demo := cmd.Process.Pid
			if c.within != "" {
				demo = children(t, demo)[0]
			}
			processes := children(t, demo)
			if len(processes) != 17 {
				t.Errorf("%d processes, want 16 services and the janitor: %v", len(processes), processes)
			}
			if len(leftovers(t, dir)) != 1 {
				t.Errorf("temporary directories: got %v, want one", leftovers(t, dir))
			}
			api{t, url}.post("journey/search?to=AMS&cell=us")
			secretsStayIn(t, dir, processes)

			if err := c.end(cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if c.clean {
				if err != nil {
					t.Errorf("ended with %v, want exit code 0", err)
				}
				if left := alive(processes) + strings.Join(leftovers(t, dir), " "); left != "" {
					t.Errorf("ended, and there remain %s", left)
				}
			}
			processes = append(processes, demo)
			await(t, "all processes to end", func() string { return alive(processes) })
			if c.stale {
				start(t, dir)
			}
			await(t, "the temporary directory to go", func() string { return strings.Join(leftovers(t, dir), " ") })
		})
	}
}

// TestUnaskedExit kills a service from outside: it comes back, nothing is lost, and still the verdict tells.
func TestUnaskedExit(t *testing.T) {
	cmd, _ := command(t, "--headless", "-o", "json", "--journeys", "10")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready after") {
	}
	for _, pid := range children(t, cmd.Process.Pid) {
		if args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); bytes.Contains(args, []byte("payment-2")) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err == nil {
		t.Error("exit code 0, want 1")
	}
	var v show.Verdict
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatalf("no verdict: %v\n%s", err, &out)
	}
	if got := v.Failed(); !slices.Equal(got, []string{"unexpected exits"}) {
		t.Errorf("failed lines: got %q, want unexpected exits alone; %+v", got, v.Lines)
	}
}

// start starts and ends another demo with the same temporary directory.
func start(t *testing.T, dir string) {
	t.Helper()
	cmd, _ := command(t)
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	serve(t, cmd)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// secretsStayIn checks that neither keys nor the broker's password can be seen from outside.
func secretsStayIn(t *testing.T, dir string, processes []int) {
	t.Helper()
	identities, err := filepath.Glob(filepath.Join(dir, "*", "*", "identity"))
	if err != nil || len(identities) != 6 {
		t.Fatalf("identity files: got %v, %v, want one of each member, and the operator's", identities, err)
	}
	own := filepath.Dir(filepath.Dir(identities[0])) // the demo's directory
	modes := map[string]os.FileMode{own: os.ModeDir | 0o700, filepath.Dir(identities[0]): os.ModeDir | 0o700}
	for _, path := range identities {
		modes[path] = 0o600
	}
	for path, want := range modes {
		if info, err := os.Stat(path); err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%s: got mode %v, want %v", path, info.Mode(), want)
		}
	}
	sealedRing(t, own)
	for _, pid := range processes {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(args, []byte{0}); n > 3 {
			t.Errorf("process %d was started with %q, want its role and name at most", pid, args)
		}
	}
}

// sealedRing checks that the broker's files have the ring, and have it sealed.
func sealedRing(t *testing.T, dir string) {
	t.Helper()
	var stored []byte
	err := filepath.WalkDir(filepath.Join(dir, "jetstream"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".blk" && strings.Contains(path, "KV_waybill") {
			data, err := os.ReadFile(path)
			stored = append(stored, data...)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sealed := base64.StdEncoding.EncodeToString([]byte("age-encryption.org"))
	if !bytes.Contains(stored, []byte(sealed)) || bytes.Contains(stored, []byte(`"kty"`)) {
		t.Errorf("the bucket's %d bytes hold no sealed ring, or an open one", len(stored))
	}
}

// children returns the processes that pid started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range all {
		child, _ := strconv.Atoi(strings.Split(path, "/")[2])
		if parent, _ := stat(child); parent == pid {
			pids = append(pids, child)
		}
	}
	return pids
}

// stat returns a process's parent and state; state is empty if it is gone.
func stat(pid int) (parent int, state string) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	rest := string(data[bytes.LastIndexByte(data, ')')+1:]) // the name before it may hold anything
	fmt.Sscan(rest, &state, &parent)
	return parent, state
}

// alive names the processes that still run. A zombie does not: it waits for whoever inherited it.
func alive(pids []int) string {
	var left []string
	for _, pid := range pids {
		if _, state := stat(pid); state != "" && state != "Z" {
			left = append(left, strconv.Itoa(pid))
		}
	}
	return strings.Join(left, " ")
}

// await waits until nothing remains.
func await(t *testing.T, what string, remains func() string) {
	t.Helper()
	deadline := time.After(3 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for remains() != "" {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 3 s for %s, there remain %s", what, remains())
		}
	}
}
