package service

import (
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

var (
	errStarting = errors.New("starting")
	errDraining = errors.New("ending: only requests under way are finished")
)

// healthCheck answers whether a replica can do its work. The zero value is a replica that starts.
type healthCheck struct{ check atomic.Pointer[func() error] }

func (h *healthCheck) serves(check func() error) { h.check.CompareAndSwap(nil, &check) }

func (h *healthCheck) drains() {
	check := func() error { return errDraining }
	h.check.Store(&check)
}

// ServeHTTP implements http.Handler.
func (h *healthCheck) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	err := errStarting
	if check := h.check.Load(); check != nil {
		err = (*check)()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// Check asks the replica in the same container for its health. It is the container's health check, because an image
// without a shell has no other program to ask with.
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
