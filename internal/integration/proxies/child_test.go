package integrationproxies

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a proxy may take to start or to end.
const patience = 10 * time.Second

// program returns the path of a proxy, or skips the test loudly.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, file := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if exe, err := exec.LookPath(file); err == nil {
			return exe
		}
	}
	missing := name + " is not on the path, so the edge was not tested behind it; apt-get install " + name
	if os.Getenv("WAYBILL_NEED_PROXIES") == "1" {
		t.Fatal(missing)
	}
	t.Skip("SKIPPED LOUDLY: " + missing)
	return ""
}

// child is a running proxy.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu     sync.Mutex
	output bytes.Buffer
}

// spawn starts a program that listens on a free port, and waits until it accepts connections. Another
// process may take the port first; spawn then tries the next one.
func spawn(t *testing.T, command func(addr string) *exec.Cmd) (addr string) {
	t.Helper()
	var c *child
	for range 3 {
		addr = freeAddr(t)
		c = &child{cmd: command(addr), ended: make(chan struct{})}
		c.cmd.Stdout, c.cmd.Stderr = c, c
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			c.cmd.Wait()
			close(c.ended)
		}()
		if c.accepts(addr) {
			t.Cleanup(func() { c.end(t) })
			return addr
		}
		c.end(t)
	}
	t.Fatalf("%s does not listen:\n%s", c.cmd, c.text())
	return ""
}

// accepts reports whether the program accepts connections at an address before it ends.
func (c *child) accepts(addr string) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-c.ended:
			return false
		case <-late:
			return false
		case <-tick.C:
		}
	}
}

// end ends the program by a signal, and waits for it.
func (c *child) end(t *testing.T) {
	t.Helper()
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.cmd.Process.Kill()
		<-c.ended
		t.Errorf("%s did not end after SIGTERM", c.cmd)
	}
	if t.Failed() {
		t.Logf("%s printed:\n%s", c.cmd, c.text())
	}
}

// Write keeps the output of the program.
func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.Write(b)
}

func (c *child) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// freeAddr returns an address with a port that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
