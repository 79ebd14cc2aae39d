package natskv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill/keyring"
)

// The bounds of the reports of the nodes of a domain.
const (
	quiet      = 500 * time.Millisecond // how long Ask waits for another answer
	maxReport  = 4 << 10
	maxReports = 4096
	maxProblem = 512
)

// Report is the state of the ring of one node, as that node reports it. It contains no key
// material. It is not signed: anyone who may publish to the inbox of the caller can forge it.
type Report struct {
	Name        string        `json:"name"`           // name of the service
	Host        string        `json:"host,omitempty"` // host on which the node runs
	Epoch       uint64        `json:"epoch"`
	Generation  uint64        `json:"generation"` // within the epoch; 0 if the node has no keys
	Keys        int           `json:"keys"`
	Pending     int           `json:"pending"`
	ContactAge  time.Duration `json:"contact_age"`  // since the store last answered, in ns
	ClockOffset time.Duration `json:"clock_offset"` // the store's clock minus the node's, in ns
	Problem     string        `json:"problem,omitempty"`
}

// Answer sends a [Report] on the node's ring to every caller of [Store.Ask] or "waybill keys
// status", until stop is called or the connection is closed. The name is the name of the service.
// The node needs permission to subscribe to [StatusSubject] and to answer (allow_responses). Allow
// only operators to publish to that subject.
func (s *Store) Answer(name string, ring *keyring.Ring) (stop func() error, err error) {
	if !s.usable() {
		return nil, errNoConnection
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	sub, err := s.nc.Subscribe(s.status, func(m *nats.Msg) {
		if data, err := json.Marshal(report(name, host, ring)); err == nil && m.Reply != "" {
			m.Respond(data) // if that fails, the caller asks again
		}
	})
	if err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	return sub.Unsubscribe, nil
}

func report(name, host string, ring *keyring.Ring) Report {
	stats := ring.Stats()
	r := Report{Name: name, Host: host, Epoch: stats.Epoch, Generation: stats.Generation, Keys: stats.Keys,
		Pending: stats.Pending, ContactAge: stats.ContactAge, ClockOffset: stats.ClockOffset}
	if err := ring.Ready(); err != nil {
		text := err.Error()
		r.Problem = text[:min(len(text), maxProblem)]
	}
	return r
}

// Ask returns the reports of all nodes that called [Store.Answer], sorted by name and host. It
// returns when no node has answered for half a second, or when ctx ends. No answer is not an error:
// nodes need not answer.
func (s *Store) Ask(ctx context.Context) ([]Report, error) {
	if !s.usable() {
		return nil, errNoConnection
	}
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	defer sub.Unsubscribe()
	if err := s.nc.PublishRequest(s.status, inbox, nil); err != nil {
		return nil, fmt.Errorf("natskv: %w", err)
	}
	var reports []Report
	for len(reports) < maxReports {
		wait, cancel := context.WithTimeout(ctx, quiet)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("natskv: %w", err)
		}
		if r, ok := parseReport(m.Data); ok {
			reports = append(reports, r)
		}
	}
	slices.SortFunc(reports, func(a, b Report) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Host, b.Host)) })
	return reports, ctx.Err()
}

// parseReport reads an answer. It reports false for anything but a report.
func parseReport(data []byte) (r Report, ok bool) {
	if len(data) > maxReport {
		return r, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return r, d.Decode(&r) == nil && r.Name != "" && !d.More()
}
