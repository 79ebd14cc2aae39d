package show

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// resident is the name, in a verdict's memory, of what ps would add up.
const resident = "resident"

// weigh returns the memory that is in use by role, in all under "total", and what ps would say under "resident".
func (s *stage) weigh() map[string]int64 {
	now := map[string]int64{}
	for name, m := range s.fleet.Memory() {
		now[roleOf(name)] += m.Used
		now["total"] += m.Used
		now[resident] += m.Resident
	}
	return now
}

// measure keeps the peaks of the memory in use until ctx is done.
func measure(ctx context.Context, s *stage) map[string]int64 {
	peak := map[string]int64{}
	for {
		for role, n := range s.weigh() {
			peak[role] = max(peak[role], n)
		}
		if pause(ctx, time.Second) != nil {
			return maps.Clone(peak)
		}
	}
}

// memory is one line of it.
func (v *Verdict) memory() string {
	if v.Memory["total"] == 0 {
		return "memory not measured here"
	}
	var parts []string
	for _, role := range append(slices.Concat(Roles, Baseline), "supervisor") {
		if v.Memory[role] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", role, v.Memory[role]>>20))
		}
	}
	return fmt.Sprintf("%d MiB in use (%s); %d MiB as ps has it, which counts the one binary with each process",
		v.Memory["total"]>>20, strings.Join(parts, ", "), v.Memory[resident]>>20)
}
