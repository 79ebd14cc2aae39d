//go:build compose

package compose

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// report is what "demo drive -o json" prints.
type report struct {
	OK       bool           `json:"ok"`
	Lane     string         `json:"lane"`
	Seconds  float64        `json:"seconds"`
	Started  int            `json:"started"`
	Finished int            `json:"finished"`
	Steps    int            `json:"steps"`
	Lost     int            `json:"lost"`
	Retries  int            `json:"retries"`
	Replicas map[string]int `json:"replicas"`
	Keys     map[string]int `json:"keys"`
	Losses   []string       `json:"losses"`
	Failures []string       `json:"failures"`

	Unavailable float64 `json:"unavailable"` // seconds
}

// travellers are "demo drive" on the host, for as long as the test goes on.
type travellers struct {
	t    *testing.T
	cmd  *exec.Cmd
	said chan struct{} // closed when there is no more

	mu   sync.Mutex
	last report
}

// depart sends travellers to the stack, in one of its lanes: so many in a second.
func depart(s *stack, lane string, rate int) *travellers {
	t := s.t
	t.Helper()
	tr := &travellers{t: t, said: make(chan struct{})}
	tr.cmd = exec.Command(s.program(), "drive", "--url", s.url, "--lane", lane, "--seconds", "0", "--rate", strconv.Itoa(rate), "-o", "json",
		"--report", filepath.Join(artefacts(t), "compose-"+lane+".json"))
	tr.cmd.Stderr = os.Stderr
	out, err := tr.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.cmd.Process.Kill() })
	go tr.listen(out)
	return tr
}

// artefacts is where CI looks for what a run leaves.
func artefacts(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WAYBILL_ARTEFACTS")
	if dir == "" {
		return t.TempDir()
	}
	return dir
}

func (tr *travellers) listen(out io.Reader) {
	defer close(tr.said)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) == nil {
			tr.mu.Lock()
			tr.last = r
			tr.mu.Unlock()
		}
	}
}

func (tr *travellers) report() report {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.last
}

// now returns a report that was made after the call.
func (tr *travellers) now() report {
	for old := tr.report().Seconds; ; time.Sleep(100 * time.Millisecond) {
		select {
		case <-tr.said:
			return tr.report()
		default:
		}
		if r := tr.report(); r.Seconds > old+1 { // one a second
			return r
		}
	}
}

// arrive lets those who are under way finish, and judges that nothing was lost.
func (tr *travellers) arrive() report {
	tr.t.Helper()
	r := tr.end()
	if !r.OK || r.Lost != 0 || r.Finished != r.Started || r.Finished == 0 {
		tr.t.Errorf("verdict: ok %v, %d of %d finished, lost %d\n%q\n%q", r.OK, r.Finished, r.Started, r.Lost, r.Losses,
			r.Failures)
	}
	return r
}

// end lets those who are under way finish.
func (tr *travellers) end() report {
	tr.t.Helper()
	if err := tr.cmd.Process.Signal(os.Interrupt); err != nil {
		tr.t.Fatal(err)
	}
	select {
	case <-tr.said:
	case <-time.After(time.Minute):
		tr.t.Fatal("the travellers do not come to an end")
	}
	if err := tr.cmd.Wait(); err != nil {
		tr.t.Errorf("drive: %v", err)
	}
	return tr.report()
}
