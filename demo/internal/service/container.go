package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/fleet"
)

// Container runs a role in a container until SIGTERM, and then until everything under way is done.
// Flags tell the service what it is, and its volume holds its own files. It finds its peers by name
// and is known by its hostname.
func Container(role string, args []string, run func(context.Context, *Env) error) error {
	spec, health, err := parse(role, args)
	if err != nil {
		return err
	}
	logFrom(slog.LevelWarn) // a key swap is not worth a line from each
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	line, err := broker.Join(spec.Broker, spec.Secrets, spec.Name)
	if err != nil {
		return err
	}
	defer line.Close()
	lis, err := net.Listen("tcp", health)
	if err != nil {
		return err
	}
	h := healthCheck{ctx: ctx}
	go (&http.Server{Handler: &h, ReadHeaderTimeout: time.Second}).Serve(lis)
	return start(ctx, stop, spec, line, run, func(e *Env, addr string) {
		check := e.healthy
		h.check.Store(&check)
		fmt.Printf("%s serves on %s\n", e.Name, addr)
	})
}

// parse reads the arguments after the role. Health is the address of the health check.
func parse(role string, args []string) (spec fleet.Spec, health string, err error) {
	spec = fleet.Spec{Role: role, Peers: map[string][]string{}}
	flags := flag.NewFlagSet("demo run "+role, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&spec.Addr, "listen", "", "host:port to serve on, such as :9000")
	flags.StringVar(&spec.Cell, "cell", "", "the prices that a pricing service knows")
	flags.StringVar(&spec.Broker, "nats", "nats://nats:4222", "URL of the NATS server")
	flags.StringVar(&spec.Secrets, "secrets", "/secrets", "directory with the service's own files")
	flags.StringVar(&health, "health", HealthAddress, "host:port of the health check")
	flags.Func("peer", "ROLE=ADDRESS of a service that this one calls; may be repeated", func(text string) error {
		role, addr, ok := strings.Cut(text, "=")
		if !ok || role == "" || addr == "" {
			return errors.New("want ROLE=ADDRESS, such as cart=dns:///cart:9000")
		}
		spec.Peers[role] = append(spec.Peers[role], addr)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return spec, "", fmt.Errorf("run %s: %w", role, err)
	}
	if flags.NArg() > 0 {
		return spec, "", fmt.Errorf("run %s: unexpected argument %q", role, flags.Arg(0))
	}
	host, err := os.Hostname()
	spec.Name = nameOf(role, host)
	return spec, health, err
}

// nameOf returns a replica's name: its role, and the part of the container's id that people read,
// which is its hostname.
func nameOf(role, host string) string { return role + "-" + host[:min(8, len(host))] }
