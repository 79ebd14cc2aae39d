// Package keys gives the demo its keys. [Init] makes the files of all members once, and the
// operator puts the first ring, sealed to the members, into a NATS bucket. From then on the
// services rotate the ring among themselves: see [Open]. No leader is needed.
package keys

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/internal/wait"
	"github.com/waybill-go/waybill/keyring"
	"github.com/waybill-go/waybill/keyring/agering"
	"github.com/waybill-go/waybill/keyring/natskv"
)

// Life is how long a waybill lives. It is short because the keys change so quickly here and a ring
// holds 64 at most.
const Life = 3 * time.Minute

// Policy returns how the keys follow each other if somebody counts the seconds, who wants a period of
// 4 s at least. A period of 0 selects [Steady].
func Policy(period time.Duration) keyring.Policy {
	p := Steady
	if period != 0 {
		p.Period, p.Delay, p.Slack = period, 3*time.Second, 20*time.Second
		p.Settle, p.Poll = 500*time.Millisecond, 500*time.Millisecond
	}
	return p
}

// Steady is the policy where nobody counts seconds: a broker may be away for two minutes, and a
// machine may sleep for as long. The comments show the defaults, which are for real life.
var Steady = keyring.Policy{
	Period:    15 * time.Second,       // 24 h
	Delay:     6 * time.Second,        // 12 h
	Settle:    time.Second,            // 60 s
	Poll:      time.Second,            // 30 s
	Horizon:   Life,                   // 72 h
	Slack:     2 * time.Minute,        // 7 days
	MaxSkew:   200 * time.Millisecond, // 5 s; all processes have one clock
	TokenLife: Life,                   // 1 h

	Protections: []keyring.Protection{keyring.Signed},
}

// Members are the services that have keys, and whether they may propose the next one. The gateway
// may not: it faces the world. The balancer has none.
var Members = map[string]bool{"gateway": false, "cart": true, "pricing": true, "payment": true, "fulfil": true}

// bucket is where the sealed ring is stored.
const bucket = "waybill"

// patience is how long a process that starts waits for its keys.
const patience = 10 * time.Second

// Open opens the ring as the member whose files are in dir, and returns it as soon as it is ready.
func Open(ctx context.Context, nc *nats.Conn, dir, member string, policy keyring.Policy) (*keyring.Ring, error) {
	wrapper, err := wrapper(dir)
	if err != nil {
		return nil, err
	}
	store, err := natskv.New(nc, bucket, trip.Domain)
	if err != nil {
		return nil, err
	}
	opts := []keyring.Option{keyring.Domain(trip.Domain), keyring.WithPolicy(policy)}
	var ring *keyring.Ring
	if Members[member] {
		ring, err = keyring.Maintain(ctx, store, wrapper, opts...)
	} else {
		ring, err = keyring.Follow(ctx, store, append(opts, keyring.Wrapped(wrapper))...)
	}
	if err != nil {
		return nil, err
	}
	// A busy machine may need more than one try to read the ring.
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ring.Ready()
		if err == nil {
			return ring, nil
		}
		if wait.For(ctx, 20*time.Millisecond) != nil {
			ring.Close()
			return nil, fmt.Errorf("keys: no ring after %v: %w", patience, err)
		}
	}
}

// wrapper returns what opens and seals the ring for the member whose files are in dir.
func wrapper(dir string) (*agering.Wrapper, error) {
	own, err := agering.LoadIdentity(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	roots, err := agering.ParseRoots(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return agering.New(trip.Domain, own, roots)
}
