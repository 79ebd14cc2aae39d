// Package watch lets the demo see its services at work: each tells the observer when it begins to
// handle something and when it has done so. From this the demo knows what was in flight on a
// process that was killed, and can show the way of a journey. Whether anything was lost is decided
// elsewhere, from the answers alone.
package watch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/keyring"
)

const subject = "demo.hop"

// Life names this life of the process. A container that is started again has the same name and the
// same process id.
var Life = rand.Text()[:12]

// Hop is one service handling one request or message. The page shows it.
type Hop struct {
	Replica string    `json:"replica"`
	Life    string    `json:"life"`   // of its process
	Serial  uint64    `json:"serial"` // in this life
	Began   time.Time `json:"began"`
	Done    bool      `json:"done"`

	// Of a hop that is done and had a waybill:
	Via     string   `json:"via"` // "HTTP", "gRPC", "NATS", "JetStream", …
	Journey string   `json:"journey"`
	Step    string   `json:"step"`
	KID     string   `json:"kid"`     // of the key that the waybill came under
	Bytes   int      `json:"bytes"`   // of the token that came
	Left    float64  `json:"left"`    // seconds of the token's life
	Verify  float64  `json:"verify"`  // microseconds to open the token; 0 if not measured
	Trace   string   `json:"trace"`   // id, if the request is traced
	Span    string   `json:"span"`    // id of the hop's span
	Changed []string `json:"changed"` // claims that the hop, or one below it, changed: "hotel=AMS-Canal"
}

// Reporter reports the hops of one process.
type Reporter struct {
	nc      *nats.Conn
	replica string
	auth    *waybill.Authority // nil for a service that has no keys
	ring    *keyring.Ring      // nil with auth
	serial  atomic.Uint64
	deaf    atomic.Int64 // until then the server is not waited for; in Unix nanoseconds
}

// NewReporter returns the reporter of a replica.
func NewReporter(nc *nats.Conn, replica string, auth *waybill.Authority, ring *keyring.Ring) *Reporter {
	return &Reporter{nc: nc, replica: replica, auth: auth, ring: ring}
}

// Begin reports that a hop begins and returns what reports its end. That must be called before the
// answer leaves.
func (r *Reporter) Begin(ctx context.Context, via string) (end func()) {
	hop := Hop{Replica: r.replica, Life: Life, Serial: r.serial.Add(1), Began: time.Now(), Via: via}
	if at := trace.SpanContextFromContext(ctx); at.IsSampled() {
		hop.Trace, hop.Span = at.TraceID().String(), at.SpanID().String()
	}
	r.publish(hop)
	came, _ := waybill.FromContext(ctx)
	return func() {
		hop.Done = true
		if came != nil {
			hop.describe(ctx, came)
			hop.Left = time.Until(came.Expires()).Seconds()
			hop.Verify = float64(r.verify(came, hop.Trace != "").Nanoseconds()) / 1000
		}
		r.publish(hop)
	}
}

// verify opens a token three times more and returns the shortest time, because the middleware has
// already opened it unmeasured. Only hops that somebody looks at pay for this.
func (r *Reporter) verify(came *waybill.Waybill, watched bool) time.Duration {
	if r.auth == nil || !watched {
		return 0
	}
	var quickest time.Duration
	for range 3 { // a busy machine may take the processor away in the middle of one
		began := time.Now()
		if _, err := r.auth.Open(came.Token()); err != nil {
			return 0 // it has expired in the meantime
		}
		if took := time.Since(began); quickest == 0 || took < quickest {
			quickest = took
		}
	}
	return quickest
}

// patience is how long a hop waits for the server to have its report. After waiting in vain, no hop
// waits for as long as deaf: a broker that hangs must not delay what does not need it.
const (
	patience = 300 * time.Millisecond
	deaf     = time.Second
)

// publish returns when the server has the report: a process that is killed now cannot take it
// along.
func (r *Reporter) publish(hop Hop) {
	data, err := json.Marshal(hop)
	if err != nil {
		panic(err) // plain data
	}
	if r.nc.Publish(subject, data) != nil || time.Now().UnixNano() < r.deaf.Load() {
		return
	}
	if r.nc.FlushTimeout(patience) != nil {
		r.deaf.Store(time.Now().Add(deaf).UnixNano())
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
