//go:build compose

package compose

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStack is the whole scenario: travellers book trips while nearly everything is taken away from under them.
func TestStack(t *testing.T) {
	s := up(t)
	s.healthy()
	s.secrets()
	s.upAgain()
	tr := depart(s, "waybill", 5)
	flows(s, tr)

	for _, part := range []struct {
		name string
		do   func(*stack, *travellers)
	}{
		{"kill containers", kills},
		{"crash processes", crashes},
		{"scale up and down", scales},
		{"rotate keys", rotates},
		{"cut off and heal", cutsOff},
		{"rolling replacement", replaces},
		{"restart the broker", restartsBroker},
		{"kill the balancer", killsBalancer},
		{"kill what keeps sessions", killsSessions},
		{"press the page's buttons", presses},
		{"the 60-second show", shows},
		{"look at the page", looks},
	} {
		ok := t.Run(part.name, func(t *testing.T) {
			within := *s
			within.t = t
			part.do(&within, tr)
			flows(&within, tr)
		})
		if r := tr.report(); !ok || r.Lost > 0 {
			t.Fatalf("%s: lost %d %q", part.name, r.Lost, r.Losses)
		}
	}
	r := tr.arrive()
	t.Logf("%d journeys, %d steps, %d replicas, %d keys, %d calls made again, lost %d",
		r.Finished, r.Steps, len(r.Replicas), len(r.Keys), r.Retries, r.Lost)
	s.keptAll()
	s.balances()
}

// flows waits until more journeys have come to their end.
func flows(s *stack, tr *travellers) {
	s.t.Helper()
	before := tr.report()
	s.await("ten more journeys", time.Minute, func() string {
		if n := tr.report().Finished - before.Finished; n < 10 {
			return fmt.Sprint(10-n, " journeys")
		}
		return ""
	})
}

// serves waits until replicas take part, more than they did.
func serves(s *stack, tr *travellers, names ...string) {
	s.t.Helper()
	before := tr.now().Replicas
	s.await(strings.Join(names, ", ")+" to serve", time.Minute, func() string {
		now := tr.report().Replicas
		return strings.Join(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return now[n] > before[n] }), ", ")
	})
}

func kills(s *stack, tr *travellers) {
	var names []string
	for _, service := range []string{"cart", "gateway", "payment", "pricing-eu", "fulfil"} {
		victim := s.containers(service)[0]
		s.docker("kill", victim)
		if service != "fulfil" { // which leaves no stamp
			names = append(names, name(service, victim))
		}
	}
	flows(s, tr)
	s.step("up after the kills", "up", "-d", "--no-recreate") // the engine takes a kill for an order to stay down
	serves(s, tr, names...)
}

// crashes ends processes from outside of the engine: the restart policy brings them back without anybody.
func crashes(s *stack, tr *travellers) {
	var names []string
	for _, service := range []string{"cart", "gateway", "nats"} {
		victim := s.containers(service)[0]
		pid, err := strconv.Atoi(s.docker("inspect", "-f", "{{.State.Pid}}", victim))
		if err != nil {
			s.t.Fatal(err)
		}
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if os.Geteuid() != 0 || !strings.Contains(string(args), service) {
			s.t.Skip("SKIPPED LOUDLY: the engine's processes are not this machine's to kill")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			s.t.Fatal(err)
		}
		s.await(service+" to be started again", time.Minute, func() string {
			if n := s.docker("inspect", "-f", "{{.RestartCount}}", victim); n == "0" {
				return "a restart"
			}
			return ""
		})
		if service != "nats" {
			names = append(names, name(service, victim))
		}
	}
	serves(s, tr, names...)
}

func scales(s *stack, tr *travellers) {
	before := s.containers("cart")
	s.step("scale to 5", "up", "-d", "--no-recreate", "--scale", "cart=5", "cart")
	var added []string
	for _, c := range s.containers("cart") {
		if !slices.Contains(before, c) {
			added = append(added, name("cart", c))
		}
	}
	if len(added) != 5-len(before) {
		s.t.Fatalf("%d containers are new, want %d", len(added), 5-len(before))
	}
	serves(s, tr, added...)
	s.step("scale to 1", "up", "-d", "--no-recreate", "--scale", "cart=1", "cart")
	if left := s.containers("cart"); len(left) != 1 {
		s.t.Fatalf("%d carts are left, want 1", len(left))
	}
	flows(s, tr)
	s.step("scale to 3", "up", "-d", "--no-recreate", "--scale", "cart=3", "cart")
}

// rotates waits for the services to change their keys, and has the operator do it.
func rotates(s *stack, tr *travellers) {
	var kid string
	asked := time.Time{}
	s.await("waybills under the operator's key", 2*time.Minute, func() string {
		if tr.report().Keys[kid] > 0 {
			return ""
		}
		// A key of the services may take over at once: then it takes another try.
		if time.Since(asked) > 15*time.Second {
			kid, _, _ = strings.Cut(s.operator("rotate"), " ")
			asked = time.Now()
		}
		return kid
	})
	known := tr.report().Keys
	s.await("waybills under a key that the services made", 2*time.Minute, func() string {
		for k := range tr.report().Keys {
			if _, ok := known[k]; !ok {
				return ""
			}
		}
		return fmt.Sprintf("a key beside %v", known)
	})
	if status := s.operator("status"); !strings.Contains(status, kid) {
		s.t.Errorf("the operator's key %s is not in the ring:\n%s", kid, status)
	}
}

// cutsOff takes a container off its network: it goes on running, and hears and says nothing.
func cutsOff(s *stack, tr *travellers) {
	for _, service := range []string{"cart", "gateway", "pricing-us"} {
		victim := s.containers(service)[0]
		s.docker("network", "disconnect", s.project+"_default", victim)
		flows(s, tr)
		s.docker("network", "connect", "--alias", service, s.project+"_default", victim)
		serves(s, tr, name(service, victim))
	}
}

// replaces replaces every gateway and every cart, one after the other, each asked to end in order.
func replaces(s *stack, tr *travellers) {
	retries := tr.report().Retries
	for _, service := range []string{"gateway", "cart"} {
		old := s.containers(service)
		for _, c := range old {
			s.docker("stop", "-t", "10", c)
			if code := s.docker("inspect", "-f", "{{.State.ExitCode}}", c); code != "0" {
				s.t.Errorf("%s ended with exit code %s when it was asked to, want 0", name(service, c), code)
			}
			s.docker("rm", c)
			s.step("replace "+name(service, c), "up", "-d", "--no-recreate", "--no-deps", service)
		}
		var names []string
		for _, c := range s.containers(service) {
			if slices.Contains(old, c) {
				s.t.Errorf("%s is still there", c)
			}
			names = append(names, name(service, c))
		}
		serves(s, tr, names...)
	}
	s.t.Logf("%d calls were made again meanwhile", tr.report().Retries-retries)
}

func restartsBroker(s *stack, tr *travellers) {
	s.docker("restart", "-t", "5", s.containers("nats")[0])
}

func killsBalancer(s *stack, tr *travellers) {
	s.docker("kill", s.containers("lb")[0])
	s.step("up after the kill", "up", "-d", "--no-recreate")
}

// upAgain checks that a second up changes nothing.
func (s *stack) upAgain() {
	s.t.Helper()
	state := func() string {
		all := s.look("find", "/v", "-type", "f", "-exec", "sha256sum", "{}", "+")
		for _, service := range load(s.t).ServiceNames() {
			if !slices.Contains(oneShot, service) {
				all += fmt.Sprint(service, s.containers(service), "\n")
			}
		}
		return all
	}
	before := state()
	s.step("up again", "up", "-d")
	if after := state(); after != before {
		s.t.Errorf("a second up changed something; before:\n%s\nafter:\n%s", before, after)
	}
}

// secrets checks what lies in the volumes of the running stack.
func (s *stack) secrets() {
	s.t.Helper()
	var want []string
	for _, member := range []string{"operator", "gateway", "cart", "payment", "pricing", "fulfil"} {
		want = append(want, "/v/"+member+"/identity", "/v/"+member+"/nats.nkey", "/v/"+member+"/root.pub")
	}
	want = append(want, "/v/operator/roster", "/v/lb/nats.nkey", "/v/sticky/nats.nkey", "/v/nats/nats.conf")
	slices.Sort(want)
	files := strings.Fields(s.look("find", "/v", "-type", "f"))
	slices.Sort(files)
	if !slices.Equal(files, want) {
		s.t.Errorf("the volumes hold\n%q\nwant\n%q", files, want)
	}
	if open := s.look("find", "/v", "-mindepth", "1", "(", "-perm", "/077", "-o", "!", "-user", "65532", ")"); open != "" {
		s.t.Errorf("others than the services' user can read\n%s", open)
	}
	if found := s.look("sh", "-c", "grep -rlE 'waybill-root-key' /v; true"); found != "" {
		s.t.Errorf("the root is kept in %s", found)
	}
	if found := s.look("grep", "-rl", "waybill-identity:operator", "/v"); found != "/v/operator/identity" {
		s.t.Errorf("the operator's identity is in %s", found)
	}
	if found := s.look("sh", "-c", "grep -lE '(^|[^A-Z0-9])SU[A-Z0-9]{40,}' /v/nats/*; true"); found != "" {
		s.t.Errorf("the broker's volume holds a seed: %s", found)
	}
}

// balances checks that every order has one ticket, when nobody books any more.
func (s *stack) balances() {
	s.t.Helper()
	s.step("stop the bot", "stop", "page")
	s.await("every order to have its one ticket", time.Minute, func() string {
		var books struct{ Orders, Tickets, Journeys, Open int }
		out := s.operator("audit")
		if err := json.Unmarshal([]byte(out), &books); err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
		if books.Open > 0 || books.Orders == 0 || books.Orders != books.Tickets || books.Tickets != books.Journeys {
			return out
		}
		s.t.Logf("%d orders, %d tickets of %d journeys", books.Orders, books.Tickets, books.Journeys)
		return ""
	})
}
