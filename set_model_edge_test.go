package waybill_test

import (
	"context"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/keyring"
)

const (
	modelLife    = waybill.DefaultLife
	modelIdle    = 2 * time.Hour
	modelJourney = waybill.DefaultJourney
	modelBegin   = 1_750_000_000
)

// modelClock is the time of the model. Each replica has a clock that differs from it.
type modelClock struct{ now time.Time }

func newModelClock() *modelClock { return &modelClock{time.Unix(modelBegin, 0)} }

func (c *modelClock) step(d time.Duration) { c.now = c.now.Add(d) }

// modelEdge is one replica of an edge, with a service behind it.
type modelEdge struct {
	auth   *waybill.Authority
	inner  *waybill.Authority // declares more claims
	tokens int                // how many tokens it accepts
}

// modelRing returns the ring of the replicas.
func modelRing(t testing.TB) *keyring.Ring {
	t.Helper()
	set, err := keyring.ParseSet([]byte(vectorRings()["ring.jwks"]))
	return keyring.NewRing(must(set, err)(t))
}

func newModelEdge(t testing.TB, ring *keyring.Ring, clock *modelClock, skew time.Duration) *modelEdge {
	t.Helper()
	opts := []waybill.Option{
		waybill.Clock(func() time.Time { return clock.now.Add(skew) }),
		waybill.AcceptLimit(waybill.MaxAcceptLimit), waybill.IssueLimit(waybill.MaxAcceptLimit),
	}
	return &modelEdge{
		auth:   must(waybill.New(vectorDomain, ring, append(opts, modelEdges)...))(t),
		inner:  must(waybill.New(vectorDomain, ring, append(opts, waybill.Claims(modelTheme))...))(t),
		tokens: 1000,
	}
}

// modelVisit is a request at an edge.
type modelVisit struct {
	edge *modelEdge
	ctx  context.Context
	hop  waybill.Hop
}

func (e *modelEdge) arrive(tokens []string) *modelVisit {
	ctx, hop := e.auth.ReceiveClient(context.Background(), waybill.Client{
		Tokens: tokens, Idle: modelIdle, MaxTokens: e.tokens, MaxBytes: 1 << 20,
	})
	return &modelVisit{edge: e, ctx: ctx, hop: hop}
}

// view returns what the handler sees, or nil if there is no waybill.
func (v *modelVisit) view() modelView {
	wb, err := waybill.FromContext(v.ctx)
	if err != nil {
		return nil
	}
	return viewOf(wb)
}

func (v *modelVisit) start(changes ...waybill.Change) error {
	_, err := v.edge.auth.Start(v.ctx, changes...)
	return err
}

// call lets a service behind the edge make a change.
func (v *modelVisit) call(change waybill.Change) error {
	call, err := v.edge.auth.Send(v.ctx)
	if err != nil {
		return err
	}
	ctx, hop := v.edge.inner.Receive(context.Background(), []string{call.Token()}, nil)
	if err := waybill.Update(ctx, change); err != nil {
		return err
	}
	_, err = call.Merge(hop.Commit(waybill.Succeeded), waybill.Succeeded)
	return err
}

// modelAnswer is what an answer tells the client: a new token, or to forget what the request
// carried, or nothing.
type modelAnswer struct {
	token  string
	forget bool
	name   string
	view   modelView
}

// answer ends the request.
func (v *modelVisit) answer(failed bool) modelAnswer {
	tokens := v.hop.Commit(ended(!failed))
	switch {
	case len(tokens) > 1:
		panic("an edge answered with several tokens")
	case len(tokens) == 0:
		return modelAnswer{}
	case tokens[0] == "":
		return modelAnswer{forget: true}
	}
	wb := v.hop.Returned()
	if wb.Token() != tokens[0] {
		panic("Returned is not the waybill that was returned")
	}
	return modelAnswer{token: tokens[0], name: wb.Name(), view: viewOf(wb)}
}
