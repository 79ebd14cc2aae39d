package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// HealthAddress is where a container tells its health, to itself alone.
const HealthAddress = "127.0.0.1:9100"

// healthCheck answers whether a replica can do its work. The context is done when the replica is to
// end.
type healthCheck struct {
	ctx   context.Context
	check atomic.Pointer[func() error] // nil while the replica starts
}

// ServeHTTP implements http.Handler.
func (h *healthCheck) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	err := errors.New("starting")
	if h.ctx.Err() != nil {
		err = errors.New("ending: only requests under way are finished")
	} else if check := h.check.Load(); check != nil {
		err = (*check)()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// Check asks the replica in the same container for its health. It is the container's health check,
// because an image without a shell has no other program to ask with.
func Check(addr string) error {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get("http://" + addr)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return fmt.Errorf("not healthy: %s", strings.TrimSpace(string(why)))
}
