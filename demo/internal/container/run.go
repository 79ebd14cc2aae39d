package container

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/crew"
	"github.com/waybill-go/waybill/demo/internal/service"
)

// Run runs a role until SIGTERM, and then until everything under way is done.
func Run(role string, args []string, run func(context.Context, *service.Env) error) error {
	o, err := parse(role, args)
	if err != nil {
		return err
	}
	service.Tell(slog.LevelWarn) // a key swap is not worth a line from each
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	lis, err := net.Listen("tcp", o.health)
	if err != nil {
		return err
	}
	var h health
	go (&http.Server{Handler: &h, ReadHeaderTimeout: time.Second}).Serve(lis)
	line, err := broker.Join(o.spec.Broker, filepath.Join(o.spec.Secrets, SeedFile), o.spec.Name)
	if err != nil {
		return err
	}
	defer line.Close()
	context.AfterFunc(ctx, h.drains)
	if err := crew.Obey(line.Conn, o.spec.Name, crew.Acts{Drain: stop, Hold: line.Hold}); err != nil {
		return err
	}
	return service.Run(ctx, o.spec, line.Conn, run, func(e *service.Env, addr string) {
		h.serves(e.Healthy)
		fmt.Printf("%s serves on %s\n", e.Name, addr)
	})
}
