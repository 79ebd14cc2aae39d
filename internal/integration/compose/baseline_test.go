//go:build compose

package compose

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// killsSessions sends travellers to the lanes beside the waybill's, and takes away from both what their sessions are in.
func killsSessions(s *stack, tr *travellers) {
	res, err := http.Post(s.url+"/store/search?to=AMS&cell=eu", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		s.t.Errorf("the store lane without a store: status %d, want 503", res.StatusCode)
	}
	s.step("up with Redis", "--profile", "redis", "up", "-d", "--no-recreate")
	s.healthy()
	// So many that each server has some sessions, and so few that a small machine can still bring Redis back in time.
	sticky, store := depart(s, "sticky", 4), depart(s, "store", 2)
	flows(s, sticky)
	flows(s, store)
	if r := sticky.report(); r.Lost > 0 || len(r.Failures) > 0 {
		s.t.Errorf("before anything was killed the sticky lane lost %q, and failed: %q", r.Losses, r.Failures)
	}
	killsSticky(s, tr, sticky, store)
	killsRedis(s, tr, sticky, store)

	r := store.arrive()
	s.t.Logf("store: %d journeys, unavailable for %.1f s, lost %d", r.Finished, r.Unavailable, r.Lost)
	r = sticky.end()
	s.t.Logf("sticky: %d journeys begun, %d finished, unavailable for %.1f s, lost %d", r.Started, r.Finished, r.Unavailable, r.Lost)
	// What was not lost came to its end.
	if r.Lost == 0 || r.Finished+r.Lost != r.Started || len(r.Failures) != r.Lost {
		s.t.Errorf("sticky: %d begun, %d finished, lost %d %q, failures %q", r.Started, r.Finished, r.Lost, r.Losses, r.Failures)
	}
}

// killsSticky kills one server of three. Its sessions are gone, and nobody else's.
func killsSticky(s *stack, tr, sticky, store *travellers) {
	victim := s.containers("sticky")[0]
	s.docker("kill", victim)
	s.await("the sticky lane to have lost sessions", time.Minute, func() string {
		if sticky.report().Lost == 0 {
			return "a loss"
		}
		return ""
	})
	flows(s, sticky)
	flows(s, store)
	lost := sticky.now().Lost
	s.step("up after the kill", "--profile", "redis", "up", "-d", "--no-recreate")
	serves(s, sticky, name("sticky", victim))
	none(s.t, "a sticky server was killed", tr, store)
	s.t.Logf("one of three sticky servers was killed: sticky lost %d", lost)
}

// killsRedis kills the store: nobody has a session until it is back, and then everybody has theirs.
func killsRedis(s *stack, tr, sticky, store *travellers) {
	redis := s.containers("redis")[0]
	if n := s.docker("exec", redis, "redis-cli", "dbsize"); n == "0" {
		s.t.Error("Redis holds no session")
	}
	before, lost := store.now(), sticky.report().Lost
	s.docker("kill", redis)
	s.await("the store lane to be away for three seconds", time.Minute, func() string {
		if away := store.report().Unavailable - before.Unavailable; away < 3 {
			return fmt.Sprintf("%.1f s of them", 3-away)
		}
		return ""
	})
	flows(s, tr)
	flows(s, sticky)
	s.docker("start", redis)
	flows(s, store)
	after := store.now()
	if len(after.Failures) > 0 {
		s.t.Errorf("the store lane failed: %q", after.Failures)
	}
	if now := sticky.report().Lost; now != lost {
		s.t.Errorf("the sticky lane lost %d more by the store's end", now-lost)
	}
	none(s.t, "Redis was killed", tr, store)
	s.t.Logf("Redis was killed: store unavailable for %.1f s", after.Unavailable-before.Unavailable)
}

// none checks that lanes have lost nothing.
func none(t *testing.T, what string, lanes ...*travellers) {
	t.Helper()
	for _, tr := range lanes {
		if r := tr.now(); r.Lost > 0 {
			t.Errorf("%s: %s lost %d %q", what, r.Lane, r.Lost, r.Losses)
		}
	}
}
