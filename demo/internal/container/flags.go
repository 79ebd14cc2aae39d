package container

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/keys"
)

// The files in a service's volume. Nothing secret stands in arguments or the environment.
const (
	SeedFile     = "nats.nkey" // who the service is to the broker
	IdentityFile = "identity"  // who it is to the ring
	RootFile     = "root.pub"  // what signs rosters
)

// peers are addresses by role: --peer cart=dns:///cart:9000.
type peers map[string][]string

// String implements flag.Value.
func (p peers) String() string { return "" }

// Set implements flag.Value.
func (p peers) Set(text string) error {
	role, addr, ok := strings.Cut(text, "=")
	if !ok || role == "" || addr == "" {
		return errors.New("want ROLE=ADDRESS, such as cart=dns:///cart:9000")
	}
	p[role] = append(p[role], addr)
	return nil
}

// options are what a container is told.
type options struct {
	spec   fleet.Spec
	health string // address
}

// parse reads the arguments after the role.
func parse(role string, args []string) (options, error) {
	o := options{spec: fleet.Spec{Role: role, Peers: map[string][]string{}}}
	flags := flag.NewFlagSet("demo run "+role, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.spec.Addr, "listen", "", "host:port to serve on, such as :9000")
	flags.StringVar(&o.spec.Cell, "cell", "", "which prices a pricing service knows")
	flags.StringVar(&o.spec.Broker, "nats", "nats://nats:4222", "URL of the NATS server")
	flags.StringVar(&o.spec.Traces, "traces", "", "URL that takes the spans, beside that of the environment")
	flags.StringVar(&o.spec.Secrets, "secrets", "/secrets", "directory with the service's own files")
	flags.StringVar(&o.health, "health", HealthAddress, "host:port of the health check")
	flags.Var(peers(o.spec.Peers), "peer", "ROLE=ADDRESS of a service that this one calls; may be repeated")
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("run %s: %w", role, err)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("run %s: what is %q for?", role, flags.Arg(0))
	}
	host, err := os.Hostname()
	if err != nil {
		return o, err
	}
	o.spec.Name = Name(role, host)
	return o, o.member()
}

// Name is what a replica is called: by its role, and by the container's id, which is its hostname, as far as people read
// it.
func Name(role, host string) string { return role + "-" + host[:min(8, len(host))] }

// member fills in who the service is to the ring, if it is a member.
func (o *options) member() error {
	proposes, ok := keys.Members[o.spec.Role]
	if !ok {
		return nil
	}
	root, err := os.ReadFile(filepath.Join(o.spec.Secrets, RootFile))
	if err != nil {
		return fmt.Errorf("%w: has \"demo init\" run?", err)
	}
	o.spec.Keys = &keys.Member{
		Identity: filepath.Join(o.spec.Secrets, IdentityFile), Root: strings.TrimSpace(string(root)), Proposes: proposes,
		Policy: &keys.Steady,
	}
	return nil
}
