package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/operator"
	"github.com/waybill-go/waybill/demo/internal/service"
	"github.com/waybill-go/waybill/demo/internal/show"
)

// stackCommands are for containers, where there is no supervisor; docs/compose.md shows them at
// work.
var stackCommands = map[string]func(ctx context.Context, args []string) error{
	"run": func(_ context.Context, args []string) error {
		if len(args) == 0 || services[args[0]] == nil {
			return errors.New("run: want the role of a service: " + strings.Join(slices.Sorted(maps.Keys(services)), ", "))
		}
		return service.Container(args[0], args[1:], services[args[0]])
	},
	"init": func(_ context.Context, args []string) error {
		if len(args) != 1 {
			return errors.New("init: want the directory that has a directory for each member")
		}
		return keys.Init(args[0])
	},
	"operator":    func(ctx context.Context, args []string) error { return operator.Command(ctx, args, os.Stdout) },
	"show":        play,
	"drive":       func(ctx context.Context, args []string) error { return driver.Command(ctx, args, os.Stdout) },
	"healthcheck": func(context.Context, []string) error { return service.Check(service.HealthAddress) },
}

// stack runs a command of the compose stack, if that is what the arguments name.
func stack(args []string) (is bool, err error) {
	if len(args) == 0 || stackCommands[args[0]] == nil {
		return false, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return true, stackCommands[args[0]](ctx, args[1:])
}

// play has a page that runs, as that of the compose stack, play the 60-second show.
func play(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo show", flag.ExitOnError)
	url := flags.String("url", "http://"+show.Address, "where the page is")
	report := flags.String("report", "", "write report.json into this `directory`")
	format := flags.String("o", "text", "text or json: how the verdict is printed")
	flags.Parse(args)
	if flags.NArg() > 0 || *format != "text" && *format != "json" {
		flags.Usage()
		os.Exit(2)
	}
	verdict, err := show.Play(ctx, *url, *report, os.Stderr)
	if err != nil {
		return fmt.Errorf("show: %w", err)
	}
	return tell(verdict, *format)
}
