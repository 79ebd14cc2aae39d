package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// drain is the line that asks a process to end when it has done what it has in hand.
const drain = "drain"

// Child is the other end: it reads what this process is to be, and ends the process as soon as its
// starter is gone. The context is done when the process is to drain.
func Child() (Spec, context.Context, error) {
	signal.Ignore(os.Interrupt) // a terminal sends Ctrl-C to all processes; the starter handles it
	var s Spec
	d := json.NewDecoder(os.Stdin)
	if err := d.Decode(&s); err != nil {
		return s, nil, fmt.Errorf("fleet: this is started by the demo, not by hand: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		lines := bufio.NewScanner(io.MultiReader(d.Buffered(), os.Stdin))
		for lines.Scan() {
			if lines.Text() == drain {
				cancel()
			}
		}
		os.Exit(0)
	}()
	return s, ctx, nil
}

// Listen opens the process's port. A process that was killed comes back on the port that it had,
// which may take a moment to be free again.
func (s Spec) Listen() (net.Listener, error) {
	if s.Addr == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		lis, err := net.Listen("tcp", s.Addr)
		if err == nil || time.Now().After(deadline) {
			return lis, err
		}
	}
}

// ListenNextFree opens a port, or the next one that is free.
func ListenNextFree(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	for p := first; ; p++ {
		lis, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(p)))
		if err == nil || p >= first+100 {
			return lis, err
		}
	}
}

// Ready tells the starter that the process serves, and where.
func Ready(addr string) { fmt.Println(addr) }

// Janitor makes a directory, and removes it when its starter is gone. It is a separate process
// because the starter may be killed without a chance to clean up, and it makes the directory itself
// so that there is no moment without a janitor. Directories whose starter and janitor were killed
// together it removes first.
func Janitor() error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	sweep(os.TempDir())
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getppid()))
	if err != nil {
		return err
	}
	Ready(dir)
	io.Copy(io.Discard, os.Stdin)
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // a server that is just dying may still write
	}
	return err
}
