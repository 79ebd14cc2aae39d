package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/show"
	"github.com/waybill-go/waybill/demo/internal/visitor"
	"github.com/waybill-go/waybill/demo/internal/watch"
	"github.com/waybill-go/waybill/demo/services/gateway"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// TestMain makes the test binary the demo itself, for the tests that run it and for the processes that it starts.
func TestMain(m *testing.M) {
	if os.Getenv("WAYBILL_DEMO_MAIN") != "" {
		sabotage(os.Getenv("WAYBILL_DEMO_SABOTAGE"))
		main()
		return
	}
	os.Exit(m.Run())
}

// sabotage makes the demo do one thing that the verdict must notice. The faults are placed where the journey can go on, so
// that no request fails and only the ledger can tell.
func sabotage(fault string) {
	var once atomic.Bool
	switch fault {
	case "drop": // an answer's update is thrown away
		driver.Interfere = func(step string, jar *waybillhttp.Jar, sent, _ []string) {
			if step == gateway.Currency && once.CompareAndSwap(false, true) {
				jar.Restore(sent)
			}
		}
	case "replay": // an answer's update is replaced by an older one
		driver.Interfere = func(step string, jar *waybillhttp.Jar, _, before []string) {
			if step == gateway.Pay && once.CompareAndSwap(false, true) {
				jar.Restore(before)
			}
		}
	case "forge": // a valid token is passed off as a forged one
		visitor.Forge = func(token string) []visitor.Forgery { return []visitor.Forgery{{What: "nothing", Token: token}} }
	}
}

// command returns the demo with its temporary files in a directory of their own.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cmd = exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "WAYBILL_DEMO_MAIN=1", "TMPDIR="+dir, "TMP="+dir,
		"GORACE=atexit_sleep_ms=0") // under the race detector a process would take a second to end
	return cmd, dir
}

// headless runs the show and returns its verdict, what it said beside it, and its exit code.
func headless(t *testing.T, sabotage string, args ...string) (v show.Verdict, said string, exit int) {
	t.Helper()
	cmd, dir := command(t, append([]string{"--headless", "-o", "json"}, args...)...)
	cmd.Env = append(cmd.Env, "WAYBILL_DEMO_SABOTAGE="+sabotage)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("no verdict: %v\n%s\n%s", err, out, &stderr)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
	return v, stderr.String(), cmd.ProcessState.ExitCode()
}

func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	return names
}

func TestHeadless(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "report")
	v, said, exit := headless(t, "", "--journeys", "60", "--report", dir)
	if exit != 0 || !v.OK {
		t.Errorf("exit code %d, ok %v, want 0 and true; failed: %v\n%s", exit, v.OK, v.Failed(), said)
	}
	var names []string
	for _, l := range v.Lines {
		names = append(names, l.Name)
		t.Logf("%s: %s", l.Name, l.Value)
	}
	want := []string{
		"journeys", "all booked", "steps acknowledged", "kills", "retries", "next step on another gateway",
		"claims changed by parallel calls", "key swap 1", "key swap 2", "key swaps", "misrouted", "tickets", "duplicates",
		"forged tokens", "replayed payment", "foreign host", "unexpected exits", "baseline, sticky", "lost",
	}
	if !slices.Equal(names, want) {
		t.Errorf("lines of the verdict: got %q, want %q", names, want)
	}
	if v.Seconds > 60 {
		t.Errorf("took %.1f s, want 60 at most", v.Seconds)
	}
	t.Run("baseline", func(t *testing.T) { testBaseline(t, v.Lanes) })
	t.Run("report", func(t *testing.T) { testReport(t, dir) })
	t.Run("hops", func(t *testing.T) { testHops(t, v.Hops) })
	if text := "One journey, hop by hop"; !strings.Contains(said, text) {
		t.Errorf("the show did not print %q:\n%s", text, said)
	}
}

// testBaseline checks that the same load and the same kills cost the sticky lane what they did not cost the waybills.
func testBaseline(t *testing.T, lanes []page.Card) {
	if len(lanes) != 3 {
		t.Fatalf("got %d lanes, want 3", len(lanes))
	}
	waybill, sticky, store := lanes[0], lanes[1], lanes[2]
	if waybill.Lane != page.Waybill || waybill.Lost != 0 || waybill.Finished < 61 {
		t.Errorf("got %+v, want no waybill lost of 61 journeys or more", waybill)
	}
	if sticky.Lane != page.Sticky || sticky.Lost == 0 || sticky.Finished == 0 {
		t.Errorf("got %+v, want some sticky sessions lost, and some not", sticky)
	}
	// The first one was for the waybill alone, to show its way.
	if load := sticky.Lost + sticky.Finished; load != waybill.Finished-1 {
		t.Errorf("%d sticky journeys beside %d with a waybill, want the same load", load, waybill.Finished-1)
	}
	if store.Lane != page.Store || store.On || store.Finished != 0 {
		t.Errorf("got %+v, want a store that is off", store)
	}
}

// testReport checks that a report is well formed, and has the events.
func testReport(t *testing.T, dir string) {
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r show.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if !r.OK || r.Seed != 1 || len(r.Charts.Points) < 3 || len(r.Events) < 6 || r.Steps.Steps < 360 || r.Steps.P99 < r.Steps.P50 {
		t.Errorf("report: ok %v, seed %d, %d points, %d events, steps %+v",
			r.OK, r.Seed, len(r.Charts.Points), len(r.Events), r.Steps)
	}
}

// testHops checks the way that the first journey is said to have gone.
func testHops(t *testing.T, hops []watch.Hop) {
	met := map[string]bool{}
	for _, h := range hops {
		role, _, _ := strings.Cut(h.Replica, "-")
		met[role+" by "+h.Via] = true
		if h.Bytes < 200 || h.Bytes > 2048 || h.KID == "" || h.Step == "" {
			t.Errorf("hop %+v: want a step, a key and a token of 200 to 2048 bytes", h)
		}
	}
	for _, want := range []string{
		"gateway by HTTP", "cart by gRPC", "cart by gRPC stream", "pricing by NATS", "payment by gRPC",
		"fulfil by JetStream",
	} {
		if !met[want] {
			t.Errorf("no hop %q, got %v", want, met)
		}
	}
}

// TestSabotage checks that the verdict is red when a single answer's update goes astray: the journey lacks what it was
// told, and its ticket is of another trip than it holds; and when a single forged token is taken. Nothing else may be
// wrong.
func TestSabotage(t *testing.T) {
	notUnderRace(t)
	t.Run("forge", func(t *testing.T) {
		t.Parallel()
		v, said, exit := headless(t, "forge", "--journeys", "10")
		if got := v.Failed(); exit != 1 || v.OK || !slices.Equal(got, []string{"forged tokens"}) {
			t.Errorf("exit code %d, failed lines %q, want 1 and forged tokens alone\n%s", exit, got, said)
		}
	})
	for _, sabotage := range []string{"drop", "replay"} {
		t.Run(sabotage, func(t *testing.T) {
			t.Parallel()
			v, said, exit := headless(t, sabotage, "--journeys", "60")
			if exit != 1 || v.OK {
				t.Errorf("exit code %d, ok %v, want 1 and false", exit, v.OK)
			}
			if got := v.Failed(); !slices.Equal(got, []string{"tickets", "lost"}) {
				t.Errorf("failed lines: got %q, want tickets and lost\n%s\n%+v", got, said, v.Lines)
			}
			if lost := v.Lines[len(v.Lines)-1]; lost.Value != "1" || len(lost.Detail) != 1 {
				t.Errorf("lost: got %s (%q), want 1 journey and what it lost", lost.Value, lost.Detail)
			}
			if !strings.Contains(said, "demo: failed: tickets, lost") {
				t.Errorf("standard error does not say which line failed:\n%s", said)
			}
		})
	}
}

// TestShow plays the 60-second show, with all lanes.
func TestShow(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	v, said, exit := headless(t, "", "--show", "--store", "--seed", "7")
	if exit != 0 || !v.OK {
		t.Fatalf("exit code %d, ok %v, want 0 and true; failed: %v\n%s", exit, v.OK, v.Failed(), said)
	}
	waybill, sticky, store := v.Lanes[0], v.Lanes[1], v.Lanes[2]
	if waybill.Lost != 0 || sticky.Lost == 0 || store.Lost != 0 {
		t.Errorf("lost: waybill %d, sticky %d, store %d; want none, some, none", waybill.Lost, sticky.Lost, store.Lost)
	}
	if store.Unavailable < 0.5 {
		t.Errorf("the store was unavailable for %.1f s, want half a second or more: it was killed for one", store.Unavailable)
	}
	for _, text := range []string{
		"Killed cart-", "Rotated the keys by hand", "rolling restart of 3 replicas", "Paused the broker for 2 s", "Killed fulfil-",
		"Killed sessiond-1", "6 forged waybills: 0 accepted", "Started everything again",
	} {
		if !strings.Contains(said, text) {
			t.Errorf("the show did not say %q:\n%s", text, said)
		}
	}
}
