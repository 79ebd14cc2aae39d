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

// Abroad is a host of somebody else's. It answers every request, and remembers what it should not have been sent.
type Abroad struct {
	addr string // by which the demo's services know it
	srv  *http.Server

	mu    sync.Mutex
	n     int
	last  call
	leaks []string
}

// call is one request that came.
type call struct {
	names  []string // of its headers
	leaked []string // what in it looks like a waybill
}

// OpenAbroad starts it at an address, which may have port 0 for a free one. The name is that by which the demo's services
// know the host: not one by which they call each other.
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

// Addr returns where it is.
func (a *Abroad) Addr() string { return a.addr }

// Close ends it.
func (a *Abroad) Close() { a.srv.Close() }

// ServeHTTP implements http.Handler.
func (a *Abroad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var c call
	look := func(where, what string) {
		if strings.Contains(strings.ToLower(where), "waybill") || strings.Contains(what, "eyJ") {
			c.leaked = append(c.leaked, where)
		}
	}
	for name, values := range r.Header {
		c.names = append(c.names, name)
		look(name, strings.Join(values, " "))
	}
	slices.Sort(c.names)
	look("url", r.URL.String())
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	look("body", string(body))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n, a.last = a.n+1, c
	if len(a.leaks) < 100 {
		a.leaks = append(a.leaks, c.leaked...)
	}
}

// calls returns how many there were, and the last one.
func (a *Abroad) calls() (int, call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n, a.last
}

// leaked returns where in any call there was what looks like a waybill.
func (a *Abroad) leaked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.leaks)
}
