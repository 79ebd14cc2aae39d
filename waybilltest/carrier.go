package waybilltest

import (
	"context"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
)

// Headers are the headers of a request, a message or an answer. Those of the waybill have the names [waybill.Header] and
// [waybill.HeaderReturn] here, however the carrier spells them.
type Headers map[string][]string

// Service is what a [Carrier] takes a request to.
type Service struct {
	Auth    *waybill.Authority
	Context context.Context // what requests inherit, as with http.Server's BaseContext; a carrier that cannot ignores it

	// Handle is the application: it gets the request's context, and the headers that a handler can see and copy. It may
	// panic: recover that where the carrier's users would, outside of its server side.
	Handle func(ctx context.Context, seen Headers) error
}

// Carrier is a carrier of one's own, as [CheckCarrier] drives it. Its functions are called concurrently; whatever they
// open they close with the test. All but OneWay are required.
type Carrier struct {
	// Call sends one request in ctx through the carrier's client side and server side, and waits for the answer, or of a
	// message for its dispatch. It returns the headers that the caller can see in the answer, and the call's error: what
	// the handler failed with, or the refusal.
	Call func(ctx context.Context, auth *waybill.Authority, s Service) (Headers, error)

	// Raw sends a request that has exactly these headers through the server side alone, as a client that knows nothing of
	// waybills does, waits until the server side is done with it, also with a message, and returns all headers of the
	// answer.
	Raw func(s Service, h Headers) (Headers, error)

	// Answer sends one request in ctx through the client side alone, to a peer that knows nothing of waybills: it hands
	// the headers that arrive to answer, and sends back what that returns.
	Answer func(ctx context.Context, auth *waybill.Authority, answer func(Headers) Headers) error

	OneWay bool // messages: nothing comes back
}

// CheckCarrier checks a carrier of one's own against what the transports of this module keep to: that the token arrives as
// it was sent, that nothing but one good token is a waybill, that requests share nothing, that changes come back from calls
// that succeeded and that failed, that what comes back is verified, and that none of it changes the call itself. Each
// failure says what a user would suffer, and what to do.
//
//	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: call, Raw: raw, Answer: answer})
//
// With a *testing.T each property is a subtest.
func CheckCarrier(t testing.TB, c Carrier) {
	t.Helper()
	if c.Call == nil || c.Raw == nil || c.Answer == nil {
		t.Fatalf("CheckCarrier: Call, Raw and Answer are required")
	}
	checks := wayIn
	if !c.OneWay {
		checks = append(checks[:len(checks):len(checks)], wayBack...)
	}
	for _, check := range checks {
		run(t, check.name, func(t testing.TB) { check.run(carrierCheck{Carrier: c, t: t}) })
	}
}

// property is one thing that a carrier has to keep to.
type property struct {
	name string
	run  func(carrierCheck)
}

// run is a subtest where there can be one.
func run(t testing.TB, name string, check func(testing.TB)) {
	if t, ok := t.(*testing.T); ok {
		t.Run(name, func(t *testing.T) { check(t) })
		return
	}
	check(t)
}

// carrierPatience is how long a carrier may take for what must happen.
const carrierPatience = 20 * time.Second

type carrierCheck struct {
	Carrier
	t testing.TB
}

// The claims of the checks.
var (
	checkCell    = waybill.NewClaim[string]("cell")
	checkSeats   = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	checkReceipt = waybill.NewClaim[string]("receipt").OnSuccess()
)

func (c carrierCheck) authority(opts ...waybill.Option) *waybill.Authority {
	c.t.Helper()
	return Authority(c.t, append(opts, waybill.Claims(checkCell, checkSeats, checkReceipt))...)
}

// journey is the context of a caller, with a waybill.
func (c carrierCheck) journey(auth *waybill.Authority) context.Context {
	c.t.Helper()
	return Context(c.t, auth, checkCell.To("a"), checkSeats.To(1), checkReceipt.To("r1"))
}

// token is one that was issued and is good.
func (c carrierCheck) token(auth *waybill.Authority) string {
	c.t.Helper()
	wb, err := auth.Issue(checkCell.To("a"))
	if err != nil {
		c.t.Fatalf("waybilltest: %v", err)
	}
	return wb.Token()
}

// visit is one run of a handler.
type visit struct {
	ctx  context.Context
	wb   *waybill.Waybill
	err  error // why there is none
	seen Headers
}

// service returns a service, and where the visits of its handler are found when they are over. A nil handle does nothing.
func (c carrierCheck) service(auth *waybill.Authority, handle func(context.Context) error) (Service, chan visit) {
	visits := make(chan visit, 256)
	return Service{Auth: auth, Context: context.Background(), Handle: func(ctx context.Context, seen Headers) error {
		wb, err := waybill.FromContext(ctx)
		defer func() { visits <- visit{ctx, wb, err, seen} }()
		if handle == nil {
			return nil
		}
		return handle(ctx)
	}}, visits
}

// visited waits for a visit.
func (c carrierCheck) visited(visits <-chan visit, what string) visit {
	c.t.Helper()
	select {
	case v := <-visits:
		return v
	case <-time.After(carrierPatience):
		c.t.Fatalf("%s: the handler did not run within %v", what, carrierPatience)
		return visit{}
	}
}

// call is a Call that must succeed, with the visit that it makes.
func (c carrierCheck) call(ctx context.Context, auth *waybill.Authority, what string, handle func(context.Context) error) (visit, Headers) {
	c.t.Helper()
	s, visits := c.service(auth, handle)
	answer, err := c.Call(ctx, auth, s)
	if err != nil {
		c.t.Fatalf("%s: the call failed: %v", what, err)
	}
	return c.visited(visits, what), answer
}

// change is an Update in a handler.
func (c carrierCheck) change(changes ...waybill.Change) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := waybill.Update(ctx, changes...); err != nil {
			c.t.Errorf("Update in a handler: %v; the carrier must not end the hop before its handler returns", err)
		}
		return nil
	}
}

// brings checks a claim that a hop should see.
func brings[T comparable](c carrierCheck, ctx context.Context, claim waybill.Claim[T], want T, otherwise string) {
	c.t.Helper()
	if got, err := claim.Lookup(ctx); err != nil || got != want {
		c.t.Errorf("claim %s is %v (%v), want %v: %s", claim.Name(), got, err, want, otherwise)
	}
}
