package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/keys"
)

// containers is the compose stack without containers: the same commands, as processes on the loopback interface.
type containers struct {
	t    *testing.T
	dir  string // of the volumes
	nats string
}

func newContainers(t *testing.T) *containers {
	t.Helper()
	c := &containers{t: t, dir: brokertest.Volumes(t)}
	if err := keys.Init(c.dir); err != nil {
		t.Fatal(err)
	}
	c.nats = brokertest.Start(t, c.dir)
	cmd, _ := command(t, "operator", "--nats", c.nats, "--secrets", filepath.Join(c.dir, "operator"), "declare")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

// run starts a role, and returns it with where it listens, once it serves.
func (c *containers) run(role string, args ...string) (*exec.Cmd, string) {
	c.t.Helper()
	cmd, _ := command(c.t, append([]string{"run", role, "--nats", c.nats, "--secrets", filepath.Join(c.dir, role),
		"--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cmd.Process.Kill() })
	said, _ := bufio.NewReader(out).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(said), " serves on ")
	if !ok {
		c.t.Fatalf("%s said %q, want where it serves", role, said)
	}
	go io.Copy(io.Discard, out)
	return cmd, addr
}

// TestDrive sends travellers to a fleet without a supervisor. First all is well, though a replica of each kind is asked to
// end meanwhile; then what stands in between throws a single answer's waybill away.
func TestDrive(t *testing.T) {
	c := newContainers(t)
	var leaving []*exec.Cmd
	stay := func(role string, args ...string) string {
		_, addr := c.run(role, args...)
		return addr
	}
	leave := func(role string, args ...string) string {
		cmd, addr := c.run(role, args...)
		leaving = append(leaving, cmd)
		return addr
	}
	carts := []string{"--peer=cart=" + stay("cart"), "--peer=cart=" + leave("cart"),
		"--peer=payment=" + stay("payment"), "--peer=payment=" + leave("payment")}
	for _, run := range []func(string, ...string) string{stay, leave} {
		run("fulfil")
		run("pricing", "--cell=eu")
		run("pricing", "--cell=us")
	}
	lb := stay("lb", "--peer=gateway="+stay("gateway", carts...), "--peer=gateway="+leave("gateway", carts...))

	calm := time.AfterFunc(time.Second, func() {
		for _, cmd := range leaving {
			cmd.Process.Signal(syscall.SIGTERM)
		}
	})
	defer calm.Stop()
	judge(t, "all is well", "http://"+lb, 3, false)
	for _, cmd := range leaving {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v ended with %v when it was asked to, want exit code 0", cmd.Args[1:3], err)
		}
	}
	var done atomic.Bool
	lossy := between(t, lb, func(res *http.Response) { // the journey goes on with the waybill of before
		if res.Request.URL.Path == "/currency" && done.CompareAndSwap(false, true) {
			res.Header.Del(waybill.HeaderReturn)
		}
	})
	judge(t, "an update is lost", lossy, 2, true)
}

// TestDriveLanes kills one of two servers with sessions. That its sessions are lost is the result and no failure.
func TestDriveLanes(t *testing.T) {
	c := newContainers(t)
	_, one := c.run("sticky")
	victim, other := c.run("sticky")
	_, gateway := c.run("gateway")
	_, lb := c.run("lb", "--peer=gateway="+gateway, "--peer=sticky="+one, "--peer=sticky="+other)
	var answers atomic.Int64
	deadly := between(t, lb, func(*http.Response) {
		if answers.Add(1) == 20 {
			victim.Process.Kill()
		}
	})
	exit, r, out := drives(t, deadly, 3, "--lane", "sticky")
	if exit != 0 || r.Lane != "sticky" || r.Lost == 0 || r.OK || r.Finished == 0 || len(r.Replicas) == 0 {
		t.Errorf("a server is killed: exit code %d, %+v\n%s", exit, r, out)
	}
	exit, r, out = drives(t, "http://"+lb, 2, "--lane", "sticky")
	if exit != 0 || !r.OK || r.Lost != 0 || r.Finished == 0 {
		t.Errorf("the other one is left: exit code %d, %+v\n%s", exit, r, out)
	}
}

// judge drives, and checks the verdict.
func judge(t *testing.T, name, url string, seconds int, lost bool) {
	t.Helper()
	exit, r, out := drives(t, url, seconds)
	if (exit == 1) != lost || exit > 1 || r.OK == lost || (r.Lost > 0) != lost {
		t.Errorf("%s: exit code %d, ok %v, lost %d\n%s", name, exit, r.OK, r.Lost, out)
	}
	if r.Steps < 6*(r.Started-1) || r.Started == 0 || len(r.Replicas) < 4 || len(r.Keys) == 0 || r.Lane != "waybill" {
		t.Errorf("%s: the report lacks something: %+v", name, r)
	}
	if !strings.Contains(out, "\nlost: ") {
		t.Errorf("%s: no verdict is printed:\n%s", name, out)
	}
}

// drives drives, and returns the exit code, the report and what was printed.
func drives(t *testing.T, url string, seconds int, args ...string) (exit int, r driver.Report, out string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	cmd, _ := command(t, append([]string{"drive", "--url", url, "--seconds", strconv.Itoa(seconds), "--rate", "5",
		"--report", path}, args...)...)
	said, _ := cmd.CombinedOutput() // its exit code says it
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no report: %v\n%s", err, said)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), r, string(said)
}

// between returns the URL of a proxy before the balancer that does something with the answers.
func between(t *testing.T, lb string, do func(*http.Response)) string {
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: lb}) },
		ModifyResponse: func(res *http.Response) error { do(res); return nil },
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestStackUsage checks what the commands of the compose stack say when they are used wrongly.
func TestStackUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"run", "want the role of a service: "},
		{"run nobody", "want the role of a service: "},
		{"run cart --secrets /nowhere", `has "demo init" run?`},
		{"init", "want the directory"},
		{"init /nowhere", "/nowhere/"},
		{"operator burn", "want one of: declare, status, rotate, revoke KID, audit"},
		{"drive --rate 0", "--rate between 0 and 1000"},
		{"drive --url ftp://x", "want one such as http://127.0.0.1:7718"},
		{"drive --lane bus", "want waybill, sticky or store"},
		{"drive now", `unexpected argument "now"`},
		{"show --url http://127.0.0.1:1", "is the page there?"},
	} {
		cmd, _ := command(t, strings.Fields(c.args)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("demo %s: %v, %q; want a failure with %q", c.args, err, out, c.want)
		}
	}
}
