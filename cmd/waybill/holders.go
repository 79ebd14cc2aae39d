package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// holder is a node that has reported the state of its ring.
type holder struct {
	Name        string `json:"name"`
	Host        string `json:"host,omitempty"`
	Epoch       uint64 `json:"epoch"`
	Generation  uint64 `json:"generation"`
	Keys        int    `json:"keys"`
	Pending     int    `json:"pending"`
	ContactAge  string `json:"contact_age"`
	ClockOffset string `json:"clock_offset"`
	Problem     string `json:"problem,omitempty"`

	offset time.Duration
}

// nodes asks the nodes of a ring in NATS. The readers of a file are unknown.
func (s *sealedRing) nodes(ctx context.Context) ([]holder, error) {
	out := []holder{}
	if s.bucket == nil {
		return out, nil
	}
	reports, err := s.bucket.Ask(ctx)
	for _, r := range reports {
		out = append(out, holder{oneLine(r.Name), oneLine(r.Host), r.Epoch, r.Generation, r.Keys, r.Pending,
			r.ContactAge.Round(time.Millisecond).String(), r.ClockOffset.Round(time.Millisecond).String(), oneLine(r.Problem),
			r.ClockOffset})
	}
	return out, judged(err)
}

// has reports whether the node has the ring of the store. A later epoch begins its generations at
// 1.
func (h holder) has(v *sealedView) bool {
	return h.Epoch == v.set.Epoch() && h.Generation == v.set.Generation()
}

// holders is the table of the nodes, below the table of the keys.
func holders(s *sealedRing, v *sealedView, nodes []holder) string {
	if s.bucket == nil {
		return ""
	}
	if len(nodes) == 0 {
		return "no node answered: nodes answer if they call natskv.Store.Answer\n"
	}
	var b strings.Builder
	current := 0
	for _, n := range nodes {
		if n.has(v) {
			current++
		}
	}
	fmt.Fprintf(&b, "%d nodes answered, %d of them have this generation\n", len(nodes), current)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tHOST\tEPOCH\tGENERATION\tKEYS\tPENDING\tSTORE CONTACT\tCLOCK\tSTATE")
	for _, n := range nodes {
		state := "ready"
		if n.Problem != "" {
			state = n.Problem
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s ago\t%s\t%s\n", n.Name, n.Host, n.Epoch, n.Generation, n.Keys, n.Pending,
			n.ContactAge, n.ClockOffset, state)
	}
	w.Flush()
	return b.String()
}
