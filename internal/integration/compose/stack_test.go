//go:build compose

package compose

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stack is the containers of the shipped files, running.
type stack struct {
	t       *testing.T
	command []string // docker-compose or docker compose
	project string
	url     string // of the balancer
	pageURL string
}

// up builds the image and starts everything, as a user does. It all goes when the test ends.
func up(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, command: []string{"docker-compose"}, project: os.Getenv("COMPOSE_PROJECT_NAME")}
	if s.project == "" {
		s.project = fmt.Sprint("waybill-test-", os.Getpid())
		t.Setenv("COMPOSE_PROJECT_NAME", s.project)
	}
	if _, err := exec.LookPath(s.command[0]); err != nil {
		s.command = []string{"docker", "compose"}
	}
	port := freePort(t)
	t.Setenv("WAYBILL_PORT", port)
	s.url = "http://127.0.0.1:" + port
	port = freePort(t)
	t.Setenv("WAYBILL_PAGE_PORT", port)
	s.pageURL = "http://127.0.0.1:" + port
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := s.compose("logs", "--tail=20")
			t.Log(out)
		}
		if out, err := s.compose("--profile", "redis", "down", "-v", "--remove-orphans", "-t", "5"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	s.step("up", "up", "-d", "--build")
	return s
}

func freePort(t *testing.T) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	return port
}

// compose runs a command of Compose.
func (s *stack) compose(args ...string) (string, error) {
	return s.run(append(s.command, args...)...)
}

func (s *stack) run(args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// step runs a command of Compose that has to succeed, and says how long it took.
func (s *stack) step(name string, args ...string) string {
	s.t.Helper()
	began := time.Now()
	out, err := s.compose(args...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	s.t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
	return out
}

// docker runs a command of the engine that has to succeed.
func (s *stack) docker(args ...string) string {
	s.t.Helper()
	out, err := s.run(append([]string{"docker"}, args...)...)
	if err != nil {
		s.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// containers returns the ids of a service's containers that are there, also of those that do not run.
func (s *stack) containers(service string) []string {
	s.t.Helper()
	ids := strings.Fields(s.docker("ps", "-aq", "--filter", "label=com.docker.compose.project="+s.project,
		"--filter", "label=com.docker.compose.service="+service, "--filter", "label=com.docker.compose.oneoff=False"))
	slices.Sort(ids)
	return ids
}

// name is what a replica calls itself. Its hostname is the container's id.
func name(service, container string) string {
	role, _, _ := strings.Cut(service, "-") // of pricing-eu
	return role + "-" + container[:8]
}

// healthy waits until every container that says how it is says that it is well.
func (s *stack) healthy() {
	s.t.Helper()
	s.await("all containers to be healthy", time.Minute, func() string {
		all := s.docker("ps", "--filter", "label=com.docker.compose.project="+s.project, "--format", "{{.Names}} {{.Status}}")
		var bad []string
		for line := range strings.Lines(all) {
			if !strings.Contains(line, "(healthy)") {
				bad = append(bad, strings.TrimSpace(line))
			}
		}
		return strings.Join(bad, ", ")
	})
}

// await waits until nothing is missing.
func (s *stack) await(what string, patience time.Duration, missing func() string) {
	s.t.Helper()
	began := time.Now()
	for {
		left := missing()
		if left == "" {
			s.t.Logf("%s: after %.1f s", what, time.Since(began).Seconds())
			return
		}
		if time.Since(began) > patience {
			s.t.Fatalf("waited %v for %s; missing: %s", patience, what, left)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// operator runs a command of the operator in a container of its own, and returns what it printed.
func (s *stack) operator(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.command[0], append(append(s.command[1:], "run", "--rm", "-T", "operator"), args...)...)
	cmd.Dir = root
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("operator %s: %v\n%s", strings.Join(args, " "), err, failed.String())
	}
	return string(out)
}

// look runs a command in a container that sees all volumes with files of init, and nothing else.
func (s *stack) look(command ...string) string {
	s.t.Helper()
	args := []string{"run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "/bin/busybox"}
	for name := range load(s.t).Volumes {
		if !slices.Contains(stores, name) {
			args = append(args, "-v", s.project+"_"+name+":/v/"+name+":ro")
		}
	}
	image := cmp.Or(os.Getenv("NATS_IMAGE"), "nats:2-alpine")
	return s.docker(append(append(args, image), command...)...)
}

// program takes the program out of the image: it is static, and runs on the host as well.
func (s *stack) program() string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "demo")
	container := s.docker("create", "waybill-demo:local")
	defer s.docker("rm", container)
	s.docker("cp", container+":/demo", path)
	return path
}
