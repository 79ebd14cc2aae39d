package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/show"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// TestNothingIsLeft ends the demo in the ways that it can end, and looks for what remains.
func TestNothingIsLeft(t *testing.T) {
	// The usual port is taken, if only by this test.
	if lis, err := net.Listen("tcp", show.Address); err == nil {
		defer lis.Close()
	}
	kill := func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
	for _, c := range []struct {
		name   string
		within string // the shell command that runs the demo, if any
		end    func(pid int) error
		clean  bool // the demo ends by itself, and has cleaned up when it does
	}{
		// A terminal sends Ctrl-C to the whole group.
		{"Ctrl-C", "", func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }, true},
		{"SIGTERM", "", func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }, true},
		{"SIGKILL", "", kill, false},
		{"SIGKILL of whoever started it", `"$0"; true`, kill, false},
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
			if len(processes) != 14 {
				t.Errorf("%d processes, want 13 services and the janitor: %v", len(processes), processes)
			}
			if len(leftovers(t, dir)) != 1 {
				t.Errorf("temporary directories: got %v, want one", leftovers(t, dir))
			}
			tryByHand(t, url)
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
	if got := v.Failed(); !slices.Equal(got, []string{"unasked exits"}) {
		t.Errorf("failed lines: got %q, want unasked exits alone; %+v", got, v.Lines)
	}
}

// serve starts the demo and returns the URL that it prints.
func serve(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	saidTaken := false
	for lines.Scan() {
		saidTaken = saidTaken || strings.Contains(lines.Text(), "is taken")
		if url := lines.Text(); strings.HasPrefix(url, "http://") {
			if took := time.Since(began); took > 2*time.Second && !race {
				t.Errorf("ready after %v, want 2 s at most", took)
			}
			if url == "http://"+show.Address || !saidTaken {
				t.Errorf("serves on %s, said that the port is taken: %v; want another port, and true", url, saidTaken)
			}
			go func() {
				for lines.Scan() { // so that the demo can go on printing
				}
			}()
			return url
		}
	}
	t.Fatal("the demo printed no URL")
	return ""
}

// tryByHand does what the printed curl lines do.
func tryByHand(t *testing.T, url string) {
	t.Helper()
	token := ""
	for _, step := range []string{"search?to=AMS&cell=us", "flight?flight=AMS-101"} {
		req, err := http.NewRequest(http.MethodPost, url+"/"+step, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set(waybill.Header, token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var a gateway.Answer
		if err := json.NewDecoder(res.Body).Decode(&a); err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: status %d, %v, %s", step, res.StatusCode, err, a.Error)
		}
		if token = res.Header.Get(waybill.HeaderUpdate); token == "" {
			t.Fatalf("%s: no %s in the answer", step, waybill.HeaderUpdate)
		}
		if got := string(a.State["to"]); got != `"AMS"` {
			t.Errorf("%s: to is %s, want AMS", step, got)
		}
	}
}

// secretsStayIn checks that neither keys nor the broker's password can be seen from outside.
func secretsStayIn(t *testing.T, dir string, processes []int) {
	t.Helper()
	identities, err := filepath.Glob(filepath.Join(dir, "*", "*.identity"))
	if err != nil || len(identities) != 5 {
		t.Fatalf("identity files: got %v, %v, want one of each service but the balancer", identities, err)
	}
	modes := map[string]os.FileMode{filepath.Dir(identities[0]): os.ModeDir | 0o700}
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
	sealedRing(t, filepath.Dir(identities[0]))
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
