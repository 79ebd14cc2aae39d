package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// TestControls uses the controls of a running demo by its API, each proven by its effect.
func TestControls(t *testing.T) {
	if !race { // under which two fleets at once are too much for two cores
		t.Parallel()
	}
	cmd, _ := command(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a := api{t, serve(t, cmd)}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGTERM)
	a.await("the bot books, and somebody watches it", func(s page.Snapshot) bool {
		return s.Verdict[0].Finished > 0 && s.Verdict[1].Finished > 0 && len(s.Charts.Points) > 0 && len(s.Fleet.Moves) > 0 &&
			len(s.Keys) > 0 && slices.Contains(replica(s, "gateway-1").Keys, s.Keys[0].KID)
	})
	for _, c := range []struct {
		name string
		test func(*testing.T, api)
	}{
		{"kill and restart", testKill}, {"journey", testJourney}, {"tamper", testTamper}, {"abroad", testAbroad},
		{"rotate and revoke", testKeys}, {"broker", testBroker}, {"store", testStore}, {"rolling restart", testRolling},
		{"refusals", testRefusals}, {"show", testShowBegins},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, api{t, a.url}) })
	}
	s := a.await("a snapshot", func(page.Snapshot) bool { return true })
	if lost := s.Verdict[0].Lost; lost != 0 {
		t.Errorf("%d journeys lost: %+v", lost, s.Log)
	}
}

func testKill(t *testing.T, a api) {
	before := a.await("gateway-2", func(s page.Snapshot) bool { return replica(s, "gateway-2").State == page.Up })
	pid, twin := replica(before, "gateway-2").PID, replica(before, "sticky-2").PID
	a.post("kill/gateway-2")
	for _, p := range []int{pid, twin} {
		if _, state := stat(p); state != "" && state != "Z" {
			t.Errorf("process %d is in state %q, want it gone", p, state)
		}
	}
	a.await("gateway-2 is down, and said to be", func(s page.Snapshot) bool {
		return replica(s, "gateway-2").State == page.Down && replica(s, "sticky-2").State == page.Down && said(s, "Killed gateway-2")
	})
	a.await("sticky sessions are lost", func(s page.Snapshot) bool { return s.Verdict[1].Lost > 0 })
	a.post("restart/gateway-2")
	s := a.await("gateway-2 is up", func(s page.Snapshot) bool { return replica(s, "gateway-2").State == page.Up })
	if now := replica(s, "gateway-2").PID; now == pid {
		t.Errorf("process id %d is that of before", now)
	}
	a.post("kill")
}

// testJourney books a trip, pays twice, and once more with an old waybill.
func testJourney(t *testing.T, a api) {
	for i, step := range []string{
		"search?to=AMS&cell=us", "flight?flight=AMS-101", "hotel?hotel=Grand&card=visa", "currency?currency=USD", "pay", "pay", "ticket",
	} {
		a.post("journey/" + step)
		s := a.await("step "+step, func(s page.Snapshot) bool { return len(s.Journey.Steps) == i+1 })
		if last := s.Journey.Steps[i]; !last.OK {
			t.Fatalf("%s: %s; log: %+v", step, last.Text, s.Log)
		}
	}
	a.post("replay")
	s := a.await("the result, and the hop of the worker", func(s page.Snapshot) bool {
		return len(s.Journey.Steps) == 7 && s.Journey.Replay != nil && slices.ContainsFunc(s.Journey.Steps[4].Hops, func(h watch.Hop) bool { return h.Via == "JetStream" })
	})
	j := s.Journey
	if j.Tickets != 1 || j.Paid != 2 || j.Claims["flight"] != "AMS-101" || j.Claims["ticket"] == "" || j.Left <= 0 || j.Left > j.Life {
		t.Errorf("got %d tickets for %d payments, %.0f of %.0f s, claims %v", j.Tickets, j.Paid, j.Left, j.Life, j.Claims)
	}
	if j.Replay == nil || !j.Replay.AsPromised || j.Replay.Verdict != "One ticket" {
		t.Errorf("replay: got %+v, want one ticket", j.Replay)
	}
	for _, step := range j.Steps {
		if !step.OK || len(step.Hops) == 0 {
			t.Errorf("step %s: ok %v (%s), %d hops", step.Name, step.OK, step.Text, len(step.Hops))
		}
		for _, h := range step.Hops {
			if h.Bytes < 200 || h.KID == "" || h.Left <= 0 || h.Verify <= 0 || h.Verify > 100e3 || h.Span == "" {
				t.Errorf("step %s: hop %+v lacks something", step.Name, h)
			}
		}
	}
	testWaterfall(t, a, j.Steps[2])
}

// testWaterfall reads the trace of a step: each hop has its bar, and each bar its parent before it.
func testWaterfall(t *testing.T, a api, step page.Step) {
	var spans []page.Span
	for late := time.Now().Add(5 * time.Second); time.Now().Before(late) && len(spans) < 12; time.Sleep(50 * time.Millisecond) {
		status, body := a.ask(http.MethodGet, "trace/"+step.Trace)
		if spans = nil; status == http.StatusOK && json.Unmarshal([]byte(body), &spans) != nil {
			t.Fatalf("trace %s: %s", step.Trace, body)
		}
	}
	seen, services := map[string]bool{"": true}, map[string]bool{}
	for _, s := range spans {
		if !seen[s.Parent] {
			t.Errorf("span %q stands before its parent", s.Name)
		}
		seen[s.ID], services[s.Service] = true, true
	}
	for _, h := range step.Hops {
		if !seen[h.Span] || !services[h.Replica] {
			t.Errorf("the hop of %s has no span in the trace of %d", h.Replica, len(spans))
		}
	}
}

func testTamper(t *testing.T, a api) {
	a.post("tamper")
	s := a.await("the result", func(s page.Snapshot) bool { return s.Journey.Tamper != nil })
	r := s.Journey.Tamper
	if !r.AsPromised || r.Verdict != "Refused" || !strings.Contains(r.Text, "the total made 1 cent: 401 forged") {
		t.Errorf("got %+v, want it refused with status 401, as forged", r)
	}
}

func testAbroad(t *testing.T, a api) {
	a.post("abroad")
	s := a.await("the result", func(s page.Snapshot) bool { return s.Journey.Abroad != nil })
	r := s.Journey.Abroad
	if !r.AsPromised || r.Verdict != "Stayed at home" || !strings.Contains(r.Text, "User-Agent") {
		t.Errorf("got %+v, want the call to arrive, and the waybill not", r)
	}
}

// testKeys rotates, and takes back the key that the visitor's waybill is signed with.
func testKeys(t *testing.T, a api) {
	before := a.await("an active key", func(s page.Snapshot) bool { return active(s) != "" })
	a.post("rotate")
	a.await("another key, and every gateway has it", func(s page.Snapshot) bool {
		now := active(s)
		return now != "" && now != active(before) && slices.Contains(replica(s, "gateway-3").Keys, now)
	})
	a.post("journey/currency?currency=GBP")
	s := a.await("the step", func(s page.Snapshot) bool { return len(s.Journey.Steps) == 8 })
	if last := s.Journey.Steps[7]; !last.OK {
		t.Errorf("after the rotation: %s", last.Text)
	}
	kid := s.Journey.Steps[7].Hops[0].KID
	a.post("revoke/" + kid)
	a.await("the key is revoked", func(s page.Snapshot) bool {
		return slices.ContainsFunc(s.Keys, func(k page.Key) bool { return k.KID == kid && k.State == page.Revoked }) &&
			!slices.ContainsFunc([]string{"gateway-1", "gateway-2", "gateway-3"}, func(name string) bool {
				return slices.Contains(replica(s, name).Keys, kid)
			})
	})
	status, body := a.ask(http.MethodPost, "revoke/"+kid)
	if status != http.StatusConflict {
		t.Errorf("revoked again: status %d (%s), want 409", status, body)
	}
}

func testBroker(t *testing.T, a api) {
	a.post("pause-broker")
	a.await("a pause", func(s page.Snapshot) bool { return s.Fleet.Paused && said(s, "Paused the broker") })
	a.await("its end", func(s page.Snapshot) bool { return !s.Fleet.Paused })
}

// testStore switches the central store on and kills it: its lane is down, and comes back with all sessions.
func testStore(t *testing.T, a api) {
	a.post("store/on")
	a.await("bookings through the store", func(s page.Snapshot) bool { return s.Verdict[2].On && s.Verdict[2].Finished > 0 })
	a.post("kill/sessiond-1")
	a.await("an outage", func(s page.Snapshot) bool { return s.Verdict[2].Unavailable > 0.5 })
	a.post("restart/sessiond-1")
	before := a.await("the store", func(s page.Snapshot) bool { return replica(s, "sessiond-1").State == page.Up })
	s := a.await("more bookings", func(s page.Snapshot) bool { return s.Verdict[2].Finished > before.Verdict[2].Finished+5 })
	if s.Verdict[2].Lost != 0 {
		t.Errorf("the store lost %d sessions, want none: it keeps them in a file", s.Verdict[2].Lost)
	}
	a.post("store/off")
}

func testRolling(t *testing.T, a api) {
	before := a.await("all are up", allUp)
	a.post("rolling-restart")
	if status, _ := a.ask(http.MethodPost, "rolling-restart"); status != http.StatusConflict {
		t.Errorf("a second one: status %d, want 409", status)
	}
	a.await("every process is another one", func(s page.Snapshot) bool {
		for _, r := range before.Fleet.Replicas {
			if r.Role != "sessiond" && r.Lane == page.Waybill && replica(s, r.Name).PID == r.PID {
				return false
			}
		}
		return allUp(s)
	})
	a.await("its story", func(s page.Snapshot) bool { return said(s, "Rolling restart: 13 replicas") })
}

func allUp(s page.Snapshot) bool {
	return !slices.ContainsFunc(s.Fleet.Replicas, func(r page.Replica) bool { return r.State != page.Up })
}

func testRefusals(t *testing.T, a api) {
	for path, want := range map[string]int{
		"kill/nobody": http.StatusNotFound, "restart/cart-1": http.StatusConflict, "revoke/AAAAAAAAAAA": http.StatusNotFound,
		"journey/fly": http.StatusNotFound,
	} {
		if status, body := a.ask(http.MethodPost, path); status != want {
			t.Errorf("%s: status %d (%s), want %d", path, status, body, want)
		}
	}
	if status, _ := a.ask(http.MethodGet, "trace/00"); status != http.StatusNotFound {
		t.Errorf("an unknown trace: status %d, want 404", status)
	}
	a.post("journey/over")
	for _, path := range []string{"tamper", "replay", "abroad"} {
		if status, body := a.ask(http.MethodPost, path); status != http.StatusConflict {
			t.Errorf("%s without a waybill: status %d (%s), want 409", path, status, body)
		}
	}
}

// testShowBegins begins the show; how it ends, the headless one shows.
func testShowBegins(t *testing.T, a api) {
	a.post("show")
	a.await("a scene", func(s page.Snapshot) bool {
		return s.Show != nil && s.Show.Running && s.Show.Scene != "" && s.Show.Length == 60
	})
	if status, body := a.ask(http.MethodPost, "kill/cart-1"); status != http.StatusConflict {
		t.Errorf("a kill by hand: status %d (%s), want 409", status, body)
	}
}
