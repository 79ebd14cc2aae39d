// Package compose tests the containers of the demo: the files as they are shipped, and, with the build tag compose, the
// stack on a real engine.
package compose

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// root is the project's directory.
const root = "../../.."

// load reads the file as Compose v2 does, with all profiles.
func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithName("waybill"), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatalf("Compose v2 refuses the file: %v", err)
	}
	return project
}

// oneShot are the services that do something and end.
var oneShot = []string{"init", "declare", "operator"}

// extras start with a profile of their own name alone.
var extras = []string{"operator", "jaeger", "redis"}

// faces are the services to whose ports the host has access. All others are on the internal network alone.
var faces = []string{"lb", "page", "jaeger"}

// ours reports whether an image is built here: who runs in it says the Dockerfile.
func ours(image string) bool { return image == "waybill-demo:local" }

// TestEveryService checks what holds for all containers, whatever they do.
func TestEveryService(t *testing.T) {
	for name, s := range load(t).Services {
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q, want 127.0.0.1 alone", name, p.Published, p.HostIP)
			}
			if s.Deploy != nil && s.Deploy.Replicas != nil && *s.Deploy.Replicas > 1 {
				t.Errorf("%s publishes a port and has %d replicas, of which one could have it", name, *s.Deploy.Replicas)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeVolume {
				t.Errorf("%s mounts %s of the host, want volumes alone", name, v.Source)
			}
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: cap_drop %v, security_opt %v; want ALL and no-new-privileges:true", name, s.CapDrop, s.SecurityOpt)
		}
		if root := s.User == "" && !ours(s.Image) || strings.HasPrefix(s.User, "0"); root && name != "jaeger" {
			t.Errorf("%s runs as root: user %q", name, s.User)
		}
		if s.Privileged || len(s.CapAdd) > 0 || s.Pid != "" || s.NetworkMode == "host" {
			t.Errorf("%s has rights that it does not need", name)
		}
		if !s.ReadOnly && name != "jaeger" {
			t.Errorf("%s can write to its own file system", name)
		}
		if _, front := s.Networks["front"]; front && !slices.Contains(faces, name) {
			t.Errorf("%s is on the network from which the world is reached", name)
		}
		if optional := slices.Contains(extras, name); optional != slices.Equal(s.Profiles, []string{name}) {
			t.Errorf("%s is in the profiles %v", name, s.Profiles)
		}
		for other := range s.DependsOn {
			if slices.Contains(extras, other) {
				t.Errorf("%s waits for %s, which need not be there", name, other)
			}
		}
		if s.ContainerName != "" {
			t.Errorf("%s has a fixed name: only one could be", name)
		}
		want := types.RestartPolicyUnlessStopped
		if slices.Contains(oneShot, name) {
			want = "no"
		}
		if s.Restart != want {
			t.Errorf("%s: restart %q, want %q", name, s.Restart, want)
		}
		checked := s.HealthCheck != nil && !s.HealthCheck.Disable
		if serves := s.Restart != "no" && name != "jaeger"; checked != serves {
			t.Errorf("%s has a health check: %v, want %v", name, checked, serves)
		}
	}
}

// stores are the volumes into which a service writes while it runs. No secrets lie in them.
var stores = []string{"jetstream", "redis"}

// TestSecrets checks that no service can see another's files, and that nothing secret is given otherwise.
func TestSecrets(t *testing.T) {
	owners := map[string][]string{
		"operator": {"declare", "operator", "page"}, "nats": {"nats"}, "jetstream": {"nats"}, "lb": {"lb"}, "gateway": {"gateway"},
		"cart": {"cart"}, "payment": {"payment"}, "pricing": {"pricing-eu", "pricing-us"}, "fulfil": {"fulfil"},
		"sticky": {"sticky"}, "redis": {"redis"},
	}
	project := load(t)
	for name, s := range project.Services {
		for key := range s.Environment {
			if !strings.HasPrefix(key, "OTEL_") {
				t.Errorf("%s has %s in its environment: what it needs to know stands in files", name, key)
			}
		}
		for _, v := range s.Volumes {
			if name == "init" {
				if v.Target != "/volumes/"+v.Source {
					t.Errorf("init has %s in %s", v.Source, v.Target)
				}
				continue
			}
			if !slices.Contains(owners[v.Source], name) {
				t.Errorf("%s mounts the volume of %v", name, owners[v.Source])
			}
			if !v.ReadOnly && !slices.Contains(stores, v.Source) {
				t.Errorf("%s can write to the volume %s", name, v.Source)
			}
		}
	}
	filled := len(owners) - 1 // not that of Redis
	if len(project.Volumes) != len(owners) || len(project.Services["init"].Volumes) != filled {
		t.Errorf("%d volumes, of which init fills %d; want %d and %d", len(project.Volumes),
			len(project.Services["init"].Volumes), len(owners), filled)
	}
}

// TestRedisKeeps checks that the store that the waybills are compared with is not made worse than it has to be.
func TestRedisKeeps(t *testing.T) {
	redis := load(t).Services["redis"]
	command := strings.Join(redis.Command, " ")
	for _, want := range []string{"--dir /data", "--appendonly yes", "--appendfsync always"} {
		if !strings.Contains(command, want) {
			t.Errorf("redis runs as %q, without %s: whoever kills it loses sessions", command, want)
		}
	}
	if len(redis.Volumes) != 1 || redis.Volumes[0].Target != "/data" || redis.Volumes[0].Type != types.VolumeTypeVolume {
		t.Errorf("redis mounts %v, want one volume in /data", redis.Volumes)
	}
	if len(redis.Ports) > 0 || redis.User != "999:1000" {
		t.Errorf("redis publishes %v and runs as %q", redis.Ports, redis.User)
	}
}

// TestVolumesInImage checks that the image has a directory for each volume that init sees: a new volume has its owner from
// there.
func TestVolumesInImage(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	for _, v := range load(t).Services["init"].Volumes {
		name := v.Source
		if !strings.Contains(dockerfile, " volumes/"+name+" ") {
			t.Errorf("the Dockerfile makes no directory volumes/%s: root would own the volume, and init could not write to it", name)
		}
	}
}

// TestPinned checks that no image is whatever is newest today.
func TestPinned(t *testing.T) {
	for name, s := range load(t).Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s uses the image %s, want a tag", name, s.Image)
		}
	}
}

// TestOldDialect checks that the file keeps to what docker-compose 1.29 knows. The engine test, which runs that version,
// proves it; this says so earlier, and everywhere.
func TestOldDialect(t *testing.T) {
	for n, line := range strings.Split(read(t, "docker-compose.yml"), "\n") {
		key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		for _, unknown := range []string{
			"name", "version", "include", "develop", "start_interval", "required", "dockerfile_inline", "additional_contexts",
			"post_start", "pre_stop", "configs", "models", "provider",
		} {
			if key == unknown {
				t.Errorf("line %d: docker-compose 1.29 does not know %s", n+1, key)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
