// Package watch lets the demo see what its services do: each tells the observer when it begins to handle something
// and when it has done so. What is in flight on a process when it is killed is known by this, and what a journey did
// on its way can be shown. Whether anything was lost is decided elsewhere, from the answers alone.
package watch

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/trip"
)

const subject = "demo.hop"

// Hop is one service handling one request or message.
type Hop struct {
	Replica string
	PID     int
	Serial  uint64 // of the process
	Began   time.Time
	Done    bool

	// Of a hop that is done and had a waybill:
	Via     string
	Journey string
	Step    string
	KID     string   // of the key that the waybill came under
	Bytes   int      // of the token that came
	Changed []string // claims that the hop, or one below it, changed
}

// Reporter reports the hops of one process.
type Reporter struct {
	nc      *nats.Conn
	replica string
	serial  atomic.Uint64
}

// NewReporter returns the reporter of a replica.
func NewReporter(nc *nats.Conn, replica string) *Reporter { return &Reporter{nc: nc, replica: replica} }

// Begin reports that a hop begins and returns what reports its end. That must be called before the answer leaves.
func (r *Reporter) Begin(ctx context.Context, via string) (end func()) {
	hop := Hop{Replica: r.replica, PID: os.Getpid(), Serial: r.serial.Add(1), Began: time.Now(), Via: via}
	r.publish(hop)
	came, _ := waybill.FromContext(ctx)
	return func() {
		hop.Done = true
		if came != nil {
			hop.describe(ctx, came)
		}
		r.publish(hop)
	}
}

// publish returns when the server has the report: a process that is killed now cannot take it along.
func (r *Reporter) publish(hop Hop) {
	data, err := json.Marshal(hop)
	if err != nil {
		panic(err) // plain data
	}
	if r.nc.Publish(subject, data) == nil {
		r.nc.FlushTimeout(time.Second)
	}
}

func (h *Hop) describe(ctx context.Context, came *waybill.Waybill) {
	now, _ := waybill.FromContext(ctx)
	h.Journey, h.KID, h.Bytes = came.ID(), came.KeyID(), len(came.Token())
	h.Step, _ = trip.Step.Of(now)
	before := trip.StateOf(came)
	if _, begun := trip.Step.Of(came); !begun {
		before = nil // the journey started with this request: everything is new
	}
	for name, v := range trip.StateOf(now) {
		if string(before[name]) != string(v) && name != trip.Step.Name() && name != trip.Stamps.Name() {
			h.Changed = append(h.Changed, name+"="+strings.Trim(string(v), `"`))
		}
	}
	slices.Sort(h.Changed)
	had, _ := trip.Stamps.Of(came)
	has, _ := trip.Stamps.Of(now)
	for _, stamp := range has {
		if !slices.Contains(had, stamp) {
			h.Changed = append(h.Changed, "stamps+"+stamp)
		}
	}
}
