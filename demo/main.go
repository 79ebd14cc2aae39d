// Demo books trips through a small fleet of services that keep no sessions, kills the services
// while they work and while they rotate their keys among themselves, and counts what was lost:
// nothing.
//
//	go run ./demo               the page: one URL, to watch and to meddle
//	go run ./demo --headless    the whole show in half a minute, with a verdict and an exit code
//
// Nothing is needed but Go. Every service is a separate process: this binary again, with its role
// as the first argument.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-go/waybill/demo/internal/fleet"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/show"
	"github.com/waybill-go/waybill/demo/services/cart"
	"github.com/waybill-go/waybill/demo/services/fulfil"
	"github.com/waybill-go/waybill/demo/services/gateway"
	"github.com/waybill-go/waybill/demo/services/lb"
	"github.com/waybill-go/waybill/demo/services/payment"
	"github.com/waybill-go/waybill/demo/services/pricing"
	"github.com/waybill-go/waybill/demo/services/sessiond"
	"github.com/waybill-go/waybill/demo/services/sticky"
)

var services = map[string]func(context.Context, *service.Env) error{
	"lb":      lb.Run,
	"gateway": gateway.Run,
	"cart":    cart.Run,
	"pricing": pricing.Run,
	"payment": payment.Run,
	"fulfil":  fulfil.Run,

	"sticky":   sticky.Run,
	"sessiond": sessiond.Run,

	"page": show.Page, // in containers; elsewhere this process has it
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == fleet.JanitorRole {
		return fleet.Janitor()
	}
	if len(args) > 0 && services[args[0]] != nil {
		return service.Main(services[args[0]])
	}
	if is, err := stack(args); is {
		return err
	}
	flags := flag.NewFlagSet("demo", flag.ExitOnError)
	headless := flags.Bool("headless", false, "run the whole show and print the verdict; exit 1 if anything is wrong")
	seed := flags.Uint64("seed", 1, "decides who books what, and who is killed when")
	journeys := flags.Int("journeys", 300, "how many trips are booked at least; with fewer there are fewer kills")
	minute := flags.Bool("show", false, "with --headless: the 60-second show of the page instead")
	store := flags.Bool("store", false, "also book the same trips through a central session store")
	report := flags.String("report", "", "with --headless: write report.json into this `directory`")
	format := flags.String("o", "text", "text or json: how the verdict is printed")
	flags.Parse(args)
	if flags.NArg() > 0 || *journeys < 1 || *format != "text" && *format != "json" {
		flags.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx = untilOrphaned(ctx)
	o := show.Options{
		Seed: *seed, Journeys: *journeys, Minute: *minute, Store: *store, Report: *report,
	}
	if !*headless {
		return show.Serve(ctx, o, os.Stdout)
	}
	progress := io.Writer(os.Stdout)
	if *format == "json" {
		progress = os.Stderr // standard output is for the verdict alone
	}
	verdict, err := show.Headless(ctx, o, progress)
	if err != nil {
		return err
	}
	return tell(verdict, *format)
}

// untilOrphaned returns a context that also ends when the process that started this one is gone:
// "go run" does not hand on the signal that kills it.
func untilOrphaned(ctx context.Context) context.Context {
	parent := os.Getppid()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		cancel()
	}()
	return ctx
}

func tell(v *show.Verdict, format string) error {
	if format == "json" {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		v.Print(os.Stdout)
	}
	if failed := v.Failed(); len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}
