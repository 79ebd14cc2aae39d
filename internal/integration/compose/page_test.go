//go:build compose

package compose

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// snapshot is what the page shows, as far as this test looks.
type snapshot struct {
	Fleet struct {
		Replicas []struct{ Name, Role, State string }
	}
	Verdict []struct {
		Lane           string
		Lost, Finished int
	}
	Keys []struct{ KID, State, By string }
	Log  []struct{ Text string }
}

// page asks the page's API.
func (s *stack) page(method, path string) []byte {
	s.t.Helper()
	req, err := http.NewRequest(method, s.pageURL+"/api/"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: status %d: %s %v", method, path, res.StatusCode, data, err)
	}
	return data
}

func (s *stack) snapshot() (now snapshot) {
	s.t.Helper()
	if err := json.Unmarshal(s.page("GET", "snapshot"), &now); err != nil {
		s.t.Fatal(err)
	}
	return now
}

// state is how the page shows a replica; empty if it does not.
func (now snapshot) state(name string) string {
	for _, r := range now.Fleet.Replicas {
		if r.Name == name {
			return r.State
		}
	}
	return ""
}

// lost is what the page's travellers with waybills have lost.
func (now snapshot) lost() int { return now.Verdict[0].Lost }

// shown waits until the page shows all containers as up.
func (s *stack) shown() {
	s.t.Helper()
	s.await("the page to show all containers as up", time.Minute, func() string {
		now := s.snapshot()
		var missing []string
		for _, service := range []string{"lb", "gateway", "cart", "pricing-eu", "pricing-us", "payment", "fulfil", "sticky"} {
			for _, c := range s.containers(service) {
				if n := name(service, c); now.state(n) != "up" {
					missing = append(missing, n)
				}
			}
		}
		return strings.Join(missing, ", ")
	})
}

// presses presses the page's buttons: what they do is seen on the engine, not only on the page.
func presses(s *stack, tr *travellers) {
	s.shown()
	victim := s.containers("cart")[0]
	before := s.docker("inspect", "-f", "{{.RestartCount}} {{.State.StartedAt}}", victim)
	s.page("POST", "kill/"+name("cart", victim))
	if state := s.snapshot().state(name("cart", victim)); state == "up" {
		// It may be up again by now, but not without having been started again.
		if now := s.docker("inspect", "-f", "{{.RestartCount}} {{.State.StartedAt}}", victim); now == before {
			s.t.Errorf("%s was killed, and is shown as up", name("cart", victim))
		}
	}
	s.await("the engine to start it again", time.Minute, func() string {
		if now := s.docker("inspect", "-f", "{{.RestartCount}} {{.State.StartedAt}}", victim); now == before {
			return now
		}
		return ""
	})
	serves(s, tr, name("cart", victim))

	known := map[string]bool{}
	for _, k := range s.snapshot().Keys {
		known[k.KID] = true
	}
	s.page("POST", "rotate")
	s.await("the page to tell of the key, and to show it", 10*time.Second, func() string {
		now := s.snapshot()
		told := slices.ContainsFunc(now.Log, func(e struct{ Text string }) bool {
			return strings.Contains(e.Text, "Rotated the keys by hand")
		})
		shown := slices.ContainsFunc(now.Keys, func(k struct{ KID, State, By string }) bool {
			return !known[k.KID] && k.State != "revoked"
		})
		if told && shown {
			return ""
		}
		return fmt.Sprintf("told %v, shown %v", told, shown)
	})
}

// shows plays the 60-second show from outside, as the documents say, and keeps its report.
func shows(s *stack, _ *travellers) {
	dir := filepath.Join(s.t.TempDir(), "report")
	if kept := os.Getenv("WAYBILL_ARTEFACTS"); kept != "" {
		dir = filepath.Join(kept, "compose-show")
	}
	cmd := exec.Command(s.program(), "show", "--url", s.pageURL, "--report", dir)
	out, err := cmd.CombinedOutput()
	s.t.Logf("%s", out)
	if err != nil {
		s.t.Fatalf("the show: %v", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var r struct {
		OK    bool
		Lanes []struct {
			Lane           string
			Lost, Finished int
		}
		Charts struct{ Points []struct{ At, Rate float64 } }
		Events []struct{ Text string }
	}
	if err := json.Unmarshal(data, &r); err != nil {
		s.t.Fatal(err)
	}
	if !r.OK || r.Lanes[0].Lane != "waybill" || r.Lanes[0].Lost != 0 || r.Lanes[0].Finished == 0 || len(r.Charts.Points) < 50 {
		s.t.Errorf("the report: ok %v, lanes %+v, %d seconds", r.OK, r.Lanes, len(r.Charts.Points))
	}
	killed := 0
	for _, e := range r.Events {
		if strings.HasPrefix(e.Text, "Killed ") {
			killed++
		}
	}
	if killed < 5 {
		s.t.Errorf("the report tells of %d kills, want 5 at least", killed)
	}
}

// looks opens the page in a browser, as the tests of the page do without containers: their names are longer here.
func looks(s *stack, _ *travellers) {
	s.shown()
	cmd := exec.Command("go", "test", "-count=1", "-timeout", "5m", "-v", "-run", "^TestViews$", "./internal/browser")
	cmd.Dir = filepath.Join(root, "demo")
	cmd.Env = append(os.Environ(), "WAYBILL_PAGE="+s.pageURL)
	if kept := os.Getenv("WAYBILL_ARTEFACTS"); kept != "" {
		cmd.Env = append(cmd.Env, "WAYBILL_SCREENSHOTS="+filepath.Join(kept, "compose-page"))
	}
	out, err := cmd.CombinedOutput()
	s.t.Logf("%s", out)
	if err != nil {
		s.t.Errorf("the page: %v", err)
	}
}

// keptAll checks what the page's own travellers have to say of all that was done to the stack.
func (s *stack) keptAll() {
	s.t.Helper()
	now := s.snapshot()
	if now.lost() != 0 || now.Verdict[0].Finished == 0 {
		s.t.Errorf("the page's travellers: %+v, want journeys with waybills and none lost", now.Verdict)
	}
	s.t.Log("on the page: ", fmt.Sprintf("%+v", now.Verdict))
}
