package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/show"
)

// serve starts the demo and returns the URL that it prints, once the fleet is ready. The usual port is taken, if only by
// this test.
func serve(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	if lis, err := net.Listen("tcp", show.Address); err == nil {
		defer lis.Close()
	}
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
	url, saidTaken := "", false
	for url == "" && lines.Scan() {
		saidTaken = saidTaken || strings.Contains(lines.Text(), "is taken")
		if strings.HasPrefix(lines.Text(), "http://") {
			url = lines.Text()
		}
	}
	if took := time.Since(began); took > 2*time.Second && !race {
		t.Errorf("printed its URL after %v, want 2 s at most", took)
	}
	if url == "" || url == "http://"+show.Address || !saidTaken {
		t.Fatalf("serves on %q, said that the port is taken: %v; want another port, and true", url, saidTaken)
	}
	if _, err := http.Get(url); err != nil {
		t.Errorf("printed %s, and is not there: %v", url, err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C") {
	}
	go io.Copy(io.Discard, out) // so that the demo can go on printing
	return url
}

// api is the demo from outside. Its requests have the cookies of one browser.
type api struct {
	t   *testing.T
	url string
}

// browser holds the cookies.
var browser = func() http.Client {
	jar, _ := cookiejar.New(nil)
	return http.Client{Jar: jar}
}()

// ask sends a request to the API and returns the status and the body.
func (a api) ask(method, path string) (int, string) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.url+"/api/"+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := browser.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// post uses a control.
func (a api) post(path string) {
	a.t.Helper()
	if status, body := a.ask(http.MethodPost, path); status != http.StatusNoContent {
		a.t.Fatalf("%s: status %d: %s", path, status, body)
	}
}

// patience is how long a test waits for what takes a second on a machine that is not busy.
const patience = time.Minute

// await returns the first snapshot for which the condition holds.
func (a api) await(what string, holds func(page.Snapshot) bool) page.Snapshot {
	a.t.Helper()
	var s page.Snapshot
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(20 * time.Millisecond) {
		status, body := a.ask(http.MethodGet, "snapshot")
		s = page.Snapshot{}
		if err := json.Unmarshal([]byte(body), &s); err != nil || status != http.StatusOK {
			a.t.Fatalf("snapshot: status %d, %v", status, err)
		}
		if holds(s) {
			return s
		}
	}
	a.t.Fatalf("waited %v for this: %s; the last snapshot is %+v", patience, what, s)
	return s
}

// replica returns one by its name.
func replica(s page.Snapshot, name string) page.Replica {
	for _, r := range s.Fleet.Replicas {
		if r.Name == name {
			return r
		}
	}
	return page.Replica{}
}

// active returns the kid of the key that issues.
func active(s page.Snapshot) string {
	for _, k := range s.Keys {
		if k.State == page.Active {
			return k.KID
		}
	}
	return ""
}

// said reports whether the log has an event with a text in it.
func said(s page.Snapshot, text string) bool {
	for _, e := range s.Log {
		if strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}
