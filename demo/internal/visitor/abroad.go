package visitor

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Abroad is a foreign host. It answers every request, and remembers what it should not have
// received.
type Abroad struct {
	addr string // by which the demo's services know it
	srv  *http.Server

	mu      sync.Mutex
	calls   int
	headers []string // of the last call, by name
	leaks   []string // where in any call there was what looks like a waybill
}

// OpenAbroad starts it at an address, which may have port 0 for a free one. The demo's services
// know the host by the name, which is not one by which they call each other.
func OpenAbroad(addr, name string) (*Abroad, error) {
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("visitor: %w", err)
	}
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	a := &Abroad{addr: net.JoinHostPort(name, port)}
	a.srv = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	go a.srv.Serve(lis)
	return a, nil
}

// Addr returns the host's address.
func (a *Abroad) Addr() string { return a.addr }

// Close ends it.
func (a *Abroad) Close() { a.srv.Close() }

// ServeHTTP implements http.Handler.
func (a *Abroad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	a.mu.Lock()
	defer a.mu.Unlock()
	look := func(where, what string) {
		if strings.Contains(strings.ToLower(where), "waybill") || strings.Contains(what, "eyJ") {
			a.leaks = append(a.leaks, where)
		}
	}
	a.calls++
	a.headers = nil
	for name, values := range r.Header {
		a.headers = append(a.headers, name)
		look(name, strings.Join(values, " "))
	}
	slices.Sort(a.headers)
	look("url", r.URL.String())
	look("body", string(body))
}

// seen returns how many calls came, the headers of the last one, and all leaks.
func (a *Abroad) seen() (calls int, headers, leaks []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls, a.headers, slices.Clone(a.leaks)
}
