package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is one life of a replica.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	gone  chan struct{} // closed when the process has been waited for
}

// start runs this binary again, waits for the line that says that it is ready, and returns that
// line.
func start(ctx context.Context, s Spec, args ...string) (*process, string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(exe, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	p := &process{cmd: cmd, stdin: stdin, gone: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		defer close(p.gone)
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- strings.TrimSpace(line)
		cmd.Wait()
	}()
	if err := json.NewEncoder(stdin).Encode(s); err != nil {
		p.stop()
		return nil, "", err
	}
	select {
	case said := <-ready:
		if said == "" {
			p.stop()
			return nil, "", fmt.Errorf("fleet: %s ended before it was ready", strings.Join(args, " "))
		}
		return p, said, nil
	case <-ctx.Done():
		p.stop()
		return nil, "", ctx.Err()
	}
}

// stop asks the process to end, and does not ask for ever.
func (p *process) stop() {
	p.stdin.Close()
	select {
	case <-p.gone:
	case <-time.After(2 * time.Second):
		p.kill()
	}
}

// drain asks the process to finish what it has in hand, and gives it until then to end by itself.
func (p *process) drain(within time.Duration) {
	io.WriteString(p.stdin, drain+"\n")
	select {
	case <-p.gone:
	case <-time.After(within):
		p.kill()
	}
}

// kill ends the process as a power failure would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.gone
}
