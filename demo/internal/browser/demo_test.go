package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
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

// demo is the running program. All tests look at the same one: it takes a moment to start, and must bear what they do.
type demo struct {
	url string
	cmd *exec.Cmd // nil if it runs elsewhere
	dir string    // of the built program
}

// running is the demo in WAYBILL_PAGE, which may run in containers, else one of our own. Only some tests can look at the
// former: TestViews.
var running = sync.OnceValues(func() (*demo, error) {
	if url := os.Getenv("WAYBILL_PAGE"); url != "" {
		return &demo{url: url}, nil
	}
	return launch()
})

// atEnd is what has to be done when all tests are over.
var atEnd []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range atEnd {
		end()
	}
	os.Exit(code)
}

var address = regexp.MustCompile(`^http://127\.0\.0\.1:\d+`)

// launch builds the demo, starts it, and returns when it has said where its page is.
func launch() (*demo, error) {
	dir, err := os.MkdirTemp("", "waybill-browser-")
	if err != nil {
		return nil, err
	}
	d := &demo{dir: dir, cmd: exec.Command(filepath.Join(dir, "demo"))}
	atEnd = append(atEnd, d.stop)
	if out, err := exec.Command("go", "build", "-o", d.cmd.Path, "github.com/waybill-go/waybill/demo").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	d.cmd.Stderr = os.Stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for d.url == "" && lines.Scan() {
		d.url = address.FindString(lines.Text())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	if d.url == "" {
		return nil, fmt.Errorf("the demo named no address: %v", lines.Err())
	}
	return d, nil
}

// start returns the demo with everything up, and no journey begun.
func start(t *testing.T) *demo {
	t.Helper()
	d, err := running()
	if err != nil {
		t.Fatal(err)
	}
	d.await(t, "all replicas are up", func(s page.Snapshot) bool {
		for _, r := range s.Fleet.Replicas {
			if r.State != page.Up {
				return false
			}
		}
		return len(s.Fleet.Replicas) > 0
	})
	d.post(t, "journey/over")
	d.await(t, "no journey is begun", func(s page.Snapshot) bool { return s.Journey.ID == "" })
	return d
}

// stop ends the demo as Ctrl-C does.
func (d *demo) stop() {
	defer os.RemoveAll(d.dir)
	if d.cmd.Process == nil {
		return
	}
	d.cmd.Process.Signal(os.Interrupt)
	late := time.AfterFunc(patience, func() { d.cmd.Process.Kill() })
	defer late.Stop()
	d.cmd.Wait()
}

// outside is a browser other than the one that the tests look at.
var outside = func() http.Client {
	jar, _ := cookiejar.New(nil)
	return http.Client{Jar: jar}
}()

// post does what a button does.
func (d *demo) post(t *testing.T, path string) {
	t.Helper()
	res, err := outside.Post(d.url+"/api/"+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		why, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: status %d: %s", path, res.StatusCode, why)
	}
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
	last.Charts = page.Charts{}
	state, _ := json.Marshal(last)
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

// last returns the name of the last replica that plays a role.
func (d *demo) last(t *testing.T, role string) (name string) {
	t.Helper()
	s, err := d.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Fleet.Replicas {
		if r.Role == role {
			name = r.Name
		}
	}
	return name
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
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}
