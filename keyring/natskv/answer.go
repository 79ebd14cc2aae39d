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

// The bounds of what the nodes of a domain say.
const (
	quiet      = 500 * time.Millisecond // after the last answer no further one is waited for
	maxReport  = 4 << 10
	maxReports = 4096
	maxProblem = 512
)

// Report is how the ring of one node stands, in that node's own words. Nothing of a key is in it. It is not signed: who
// may publish to the asker's inbox can say anything.
type Report struct {
	Name        string        `json:"name"`           // of the service
	Host        string        `json:"host,omitempty"` // where it runs
	Epoch       uint64        `json:"epoch"`
	Generation  uint64        `json:"generation"` // within the epoch; 0: it has no keys
	Keys        int           `json:"keys"`
	Pending     int           `json:"pending"`
	ContactAge  time.Duration `json:"contact_age"`  // since the store last answered, in ns
	ClockOffset time.Duration `json:"clock_offset"` // the store's clock less the node's, in ns
	Problem     string        `json:"problem,omitempty"`
}

// Answer tells who asks, with [Store.Ask] or "waybill keys status", how the node's ring stands, until stop is called or
// the connection closed. The name is that of the service. A node needs the permission to subscribe to [StatusSubject]
// and to answer (allow_responses). Who may publish to that subject can ask: let that be operators.
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
			m.Respond(data) // if that fails, who asked asks again
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

// Ask returns how the rings of the nodes stand that [Store.Answer], sorted by name and host. It waits until none has
// answered for half a second, or ctx ends. None is not an error: nodes need not answer.
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

// parseReport reads an answer. One that it cannot read is of nobody that it knows.
func parseReport(data []byte) (r Report, ok bool) {
	if len(data) > maxReport {
		return r, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return r, d.Decode(&r) == nil && r.Name != "" && !d.More()
}
