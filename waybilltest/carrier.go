package waybilltest

import (
	"context"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

// Headers are the headers of a request, a message or a response. The waybill's headers have the
// names [waybill.Header] and [waybill.HeaderReturn] here, even if your carrier spells them
// differently.
type Headers map[string][]string

// Service is the service that a [Carrier] sends a request to.
type Service struct {
	Auth *waybill.Authority

	// Context is the context that requests inherit, as from the BaseContext of an http.Server.
	// Ignore it if your carrier has no such context.
	Context context.Context

	// Handle is the application. Call it with the request's context and the headers that a handler
	// can see and copy. It may panic: recover the panic outside your server side, where the users
	// of your carrier would.
	Handle func(ctx context.Context, seen Headers) error
}

// Carrier is your carrier, in the form that [CheckCarrier] needs. Call, Raw and Answer are
// required. They are called concurrently. Resources that they open must be closed when the test
// ends.
type Carrier struct {
	// Call sends one request in ctx through your client side and your server side. It waits for the
	// response, or for the dispatch of a message. It returns the headers that the caller can see in
	// the response, and the call's error: the handler's error, or the refusal.
	Call func(ctx context.Context, auth *waybill.Authority, s Service) (Headers, error)

	// Raw sends a request with exactly these headers to your server side alone, like a client that
	// knows nothing about waybills. It waits until the server side has finished the request or
	// message, and returns all headers of the response.
	Raw func(s Service, h Headers) (Headers, error)

	// Answer sends one request in ctx through your client side alone, to a peer that knows nothing
	// about waybills. The peer passes the headers it receives to answer, and sends the headers that
	// answer returns back to the client.
	Answer func(ctx context.Context, auth *waybill.Authority, answer func(Headers) Headers) error

	OneWay bool // your carrier sends messages, which have no response
}

// CheckCarrier checks that your carrier has the properties of this module's transports:
//
//   - The token arrives exactly as it was sent.
//   - Only a request with exactly one valid token has a waybill.
//   - Two requests never share a hop or a journey.
//   - Changes return from calls that succeed and from calls that fail.
//   - Returned tokens are verified, and never change the result of the call.
//   - No error and no refusal shows a token.
//
// Each failure says what goes wrong for a user of your carrier, and which call to change. With a
// *testing.T each property is a subtest.
//
//	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: call, Raw: raw, Answer: answer})
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

// property is one requirement on a carrier.
type property struct {
	name string
	run  func(carrierCheck)
}

// run runs check as a subtest if t is a *testing.T.
func run(t testing.TB, name string, check func(testing.TB)) {
	if t, ok := t.(*testing.T); ok {
		t.Run(name, func(t *testing.T) { check(t) })
		return
	}
	check(t)
}

// carrierPatience is how long each step of a check may take.
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

// reader returns an Authority that can verify and cannot issue.
func (c carrierCheck) reader(opts ...waybill.Option) *waybill.Authority {
	c.t.Helper()
	var public []*keyring.Key
	for _, k := range keys.Keys() {
		if k.Protection() == keyring.Public {
			public = append(public, k.Public())
		}
	}
	set, err := keyring.NewSet(Domain, public...)
	if err != nil {
		c.t.Fatalf("waybilltest: %v", err)
	}
	auth, err := waybill.New(Domain, keyring.NewRing(set), append(opts, waybill.Claims(checkCell, checkSeats, checkReceipt))...)
	if err != nil {
		c.t.Fatalf("waybilltest: %v", err)
	}
	return auth
}

// journey returns the context of a caller that has a waybill.
func (c carrierCheck) journey(auth *waybill.Authority) context.Context {
	c.t.Helper()
	return Context(c.t, auth, checkCell.To("a"), checkSeats.To(1), checkReceipt.To("r1"))
}

// token issues a valid token.
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
	err  error // why wb is nil
	seen Headers
}

// service returns a service, and the channel that receives each visit of its handler when the visit
// is over. A nil handle does nothing.
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
		c.t.Fatalf("%s: the handler did not run within %v: call Service.Handle for every request that "+
			"you admit", what, carrierPatience)
		return visit{}
	}
}

// call makes a Call that must succeed, and returns its visit.
func (c carrierCheck) call(ctx context.Context, auth *waybill.Authority, what string, handle func(context.Context) error) (visit, Headers) {
	c.t.Helper()
	s, visits := c.service(auth, handle)
	answer, err := c.Call(ctx, auth, s)
	if err != nil {
		c.t.Fatalf("%s: the call failed: %v", what, err)
	}
	return c.visited(visits, what), answer
}

// change returns a handler that calls Update.
func (c carrierCheck) change(changes ...waybill.Change) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := waybill.Update(ctx, changes...); err != nil {
			c.t.Errorf("a handler cannot change claims: %v; call Hop.Commit only after the handler has "+
				"returned", err)
		}
		return nil
	}
}

// wantClaim checks the value of a claim in ctx.
func wantClaim[T comparable](c carrierCheck, ctx context.Context, claim waybill.Claim[T], want T, otherwise string) {
	c.t.Helper()
	if got, err := claim.Lookup(ctx); err != nil || got != want {
		c.t.Errorf("claim %s is %v (%v), want %v: %s", claim.Name(), got, err, want, otherwise)
	}
}
