// Package natskvtest keeps rings in a real server, which is killed, wiped and brought back.
package natskvtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// asBroker tells this binary to be a server and not a test: only another process can be killed.
const asBroker = "WAYBILL_TEST_BROKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asBroker); dir != "" {
		if err := serveBroker(dir, os.Getenv(asBroker+"_ADDRESS")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv(asVictim); path != "" {
		panicWith(path)
	}
	os.Exit(m.Run())
}

// serveBroker runs until the test's process ends, however that ends.
func serveBroker(dir, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	opts := &server.Options{Host: host, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true}
	if _, err := fmt.Sscan(port, &opts.Port); err != nil {
		return err
	}
	if routes := os.Getenv(asBroker + "_ROUTES"); routes != "" {
		if err := joinCluster(opts, os.Getenv(asBroker+"_NAME"), strings.Split(routes, " ")); err != nil {
			return err
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return fmt.Errorf("the server at %s does not take connections", address)
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// joinCluster makes a server one of several, of which the name is the number of its own route.
func joinCluster(opts *server.Options, name string, routes []string) error {
	opts.ServerName, opts.Cluster = name, server.ClusterOpts{Name: "keys"}
	for i, address := range routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: address})
		if fmt.Sprint(i) != name {
			continue
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		opts.Cluster.Host = host
		if _, err := fmt.Sscan(port, &opts.Cluster.Port); err != nil {
			return err
		}
	}
	return nil
}

// broker is a server in a process of its own, always at the same address.
type broker struct {
	t       testing.TB
	dir     string
	address string
	cluster []string // what tells the process of the others
	cmd     *exec.Cmd
}

func startBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{t: t, dir: filepath.Join(t.TempDir(), "store"), address: freeAddress(t)}
	b.start()
	t.Cleanup(b.kill)
	return b
}

// freeAddress returns one that nobody listens on, and that clients find again after a restart.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

func (b *broker) url() string { return "nats://" + b.address }

// start returns when the server takes connections.
func (b *broker) start() {
	b.t.Helper()
	exe, err := os.Executable()
	check(b.t, err)
	b.cmd = exec.Command(exe)
	b.cmd.Env = append(append(os.Environ(), asBroker+"="+b.dir, asBroker+"_ADDRESS="+b.address), b.cluster...)
	b.cmd.Stderr = os.Stderr
	if _, err = b.cmd.StdinPipe(); err != nil { // closed by the end of this process
		b.t.Fatal(err)
	}
	out, err := b.cmd.StdoutPipe()
	check(b.t, err)
	check(b.t, b.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != "ready" {
		b.t.Fatalf("the server said %q, %v, want %q", line, err, "ready")
	}
}

// kill ends the server by SIGKILL, if it runs.
func (b *broker) kill() {
	if b.cmd == nil {
		return
	}
	b.cmd.Process.Kill()
	b.cmd.Wait()
	b.cmd = nil
}

// wipe removes what a killed server stored.
func (b *broker) wipe() {
	b.t.Helper()
	check(b.t, os.RemoveAll(b.dir))
	check(b.t, os.Mkdir(b.dir, 0o700))
}

// connect opens a connection that outlasts the server, until the test ends.
func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(20*time.Millisecond, 0),
	}, opts...)
	nc, err := nats.Connect(url, opts...)
	check(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// startServer runs a server in this process until the test ends.
func startServer(t testing.TB, edits ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}
	for _, edit := range edits {
		edit(opts)
	}
	s, err := server.NewServer(opts)
	check(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not take connections")
	}
	return s
}

// receive waits for a value.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// check fails the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
