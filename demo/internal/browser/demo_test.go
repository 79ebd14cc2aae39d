package browser

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
)

// patience is how long something may take that usually takes a moment: the machine may be busy.
const patience = 30 * time.Second

// build builds the demo once.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "waybill-browser-")
	if err != nil {
		return "", err
	}
	exe := filepath.Join(dir, "demo")
	out, err := exec.Command("go", "build", "-o", exe, "github.com/waybill-go/waybill/demo").CombinedOutput()
	os.Stderr.Write(out)
	return exe, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if exe, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(exe))
	}
	os.Exit(code)
}

// demo is the running program.
type demo struct {
	url string
	cmd *exec.Cmd
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start starts the demo and returns when it has said where its page is.
func start(t *testing.T) *demo {
	t.Helper()
	exe, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &demo{cmd: cmd}
	t.Cleanup(d.stop)
	lines := bufio.NewScanner(out)
	for d.url == "" && lines.Scan() {
		d.url = address.FindString(lines.Text())
	}
	if d.url == "" {
		t.Fatalf("the demo named no address: %v", lines.Err())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	d.await(t, "all replicas are up", func(s page.Snapshot) bool {
		for _, r := range s.Fleet.Replicas {
			if r.State != page.Up {
				return false
			}
		}
		return len(s.Fleet.Replicas) > 0
	})
	return d
}

// stop ends the demo as Ctrl-C does.
func (d *demo) stop() {
	d.cmd.Process.Signal(os.Interrupt)
	late := time.AfterFunc(patience, func() { d.cmd.Process.Kill() })
	defer late.Stop()
	d.cmd.Wait()
}

// await returns the first snapshot for which the condition holds.
func (d *demo) await(t *testing.T, what string, holds func(page.Snapshot) bool) page.Snapshot {
	t.Helper()
	var last page.Snapshot
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(50 * time.Millisecond) {
		s, err := d.snapshot()
		if err != nil {
			continue
		}
		if last = s; holds(s) {
			return s
		}
	}
	state, _ := json.MarshalIndent(last, "", "  ")
	t.Fatalf("not after %v: %s\n%s", patience, what, state)
	return last
}

func (d *demo) snapshot() (page.Snapshot, error) {
	var s page.Snapshot
	res, err := http.Get(d.url + "/api/snapshot")
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// replica returns a replica by name.
func (d *demo) replica(t *testing.T, name string) page.Replica {
	t.Helper()
	s, err := d.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Fleet.Replicas {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no %s", name)
	return page.Replica{}
}

// alive reports whether a process is there. One that has ended and was not waited for still is.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
