package waybilltest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// loop is the least carrier: a function call, with headers. It keeps to the contract, but for one fault.
type loop struct {
	fault string

	calls sync.Map // of the contexts
}

func (l *loop) carrier() waybilltest.Carrier {
	return waybilltest.Carrier{Call: l.call, Raw: l.serve, Answer: l.answer, OneWay: l.fault == "one way"}
}

// call is the client side in front of the server side.
func (l *loop) call(ctx context.Context, auth *waybill.Authority, s waybilltest.Service) (waybilltest.Headers, error) {
	return l.send(ctx, auth, func(h waybilltest.Headers) (waybilltest.Headers, error) { return l.serve(s, h) })
}

func (l *loop) answer(ctx context.Context, auth *waybill.Authority, answer func(waybilltest.Headers) waybilltest.Headers) error {
	_, err := l.send(ctx, auth, func(h waybilltest.Headers) (waybilltest.Headers, error) { return answer(h), nil })
	return err
}

// send is the client side.
func (l *loop) send(
	ctx context.Context, auth *waybill.Authority, trip func(waybilltest.Headers) (waybilltest.Headers, error),
) (waybilltest.Headers, error) {
	h := waybilltest.Headers{}
	call, err := auth.Send(ctx)
	switch {
	case err == nil:
		h[waybill.Header] = []string{l.written(call.Token())}
	case errors.Is(err, waybill.ErrExpired) && l.fault == "expired tokens leave":
		wb, _ := waybill.FromContext(ctx)
		h[waybill.Header] = []string{wb.Token()}
	case errors.Is(err, waybill.ErrExpired):
		return nil, err
	}
	if l.fault == "no token" {
		delete(h, waybill.Header)
	}
	answer, failure := trip(h)
	if failure == nil || l.fault != "no update on error" {
		l.takeBack(auth, ctx, call, answer[waybill.HeaderReturn], failure != nil)
	}
	answer = maps.Clone(answer)
	if l.fault != "update shown" {
		delete(answer, waybill.HeaderReturn)
	}
	switch {
	case l.fault == "errors vanish":
		failure = nil
	case l.fault == "lost updates fail" && call != nil && waybill.Lost(ctx) != nil:
		failure = waybill.Lost(ctx)
	}
	return answer, failure
}

func (l *loop) written(token string) string {
	switch l.fault {
	case "token in lower case":
		return strings.ToLower(token)
	case "token cut":
		return token[:len(token)-1]
	}
	return token
}

// takeBack merges what came back.
func (l *loop) takeBack(auth *waybill.Authority, ctx context.Context, call *waybill.Call, updates []string, failed bool) {
	switch {
	case l.fault == "one call for a context":
		first, _ := l.calls.LoadOrStore(ctx, call)
		call = first.(*waybill.Call)
	case l.fault == "pinned late":
		call, _ = auth.Send(ctx)
	case l.fault == "takes uninvited" && call == nil && len(updates) > 0:
		auth.Start(ctx)
		return
	}
	if call == nil || len(updates) == 0 || l.fault == "no way back" {
		return
	}
	update := strings.Join(updates, ",")
	if l.fault == "first of two" {
		update = updates[0]
	}
	call.Merge(update, resultOf(failed && l.fault != "always succeeded"))
}

// serve is the server side. Its caller learns of a panic as of an error.
func (l *loop) serve(s waybilltest.Service, h waybilltest.Headers) (answer waybilltest.Headers, err error) {
	ctx, hop := l.receive(s, h)
	seen := waybilltest.Headers{"other": h["other"]}
	switch l.fault {
	case "token seen":
		seen[waybill.Header] = h[waybill.Header]
	case "update seen":
		seen[waybill.HeaderReturn] = h[waybill.HeaderReturn]
	case "all headers gone":
		seen = nil
	}
	if err := hop.Err(); err != nil && !errors.Is(err, waybill.ErrNoWaybill) && l.fault != "lets all in" {
		if l.fault == "silent refusal" {
			return nil, nil
		}
		return nil, fmt.Errorf("refused: %s", waybill.Reason(err))
	}
	if l.fault == "committed early" {
		hop.Commit(waybill.Succeeded)
	}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		err = errors.New("panic")
		if l.fault == "panic commits" {
			answer = updateOf(hop.Commit(waybill.Failed))
		}
		hop.Discard()
	}()
	if l.fault == "handler not called" {
		return nil, nil
	}
	err = s.Handle(ctx, seen)
	switch l.fault {
	case "never ends":
		return updateOf(hop.Return(resultOf(err != nil))), err
	case "always succeeds":
		return updateOf(hop.Commit(waybill.Succeeded)), err
	case "empty update":
		return waybilltest.Headers{waybill.HeaderReturn: {hop.Commit(resultOf(err != nil))}}, err
	}
	return updateOf(hop.Commit(resultOf(err != nil))), err
}

func (l *loop) receive(s waybilltest.Service, h waybilltest.Headers) (context.Context, waybill.Hop) {
	values := h[waybill.Header]
	switch {
	case l.fault == "first of several" && len(values) > 1:
		values = values[:1]
	case l.fault == "empty for absent" && len(values) == 0:
		values = []string{""}
	case l.fault == "absent is skipped" && len(values) == 0:
		ctx, hop := s.Auth.Receive(context.Background(), nil, nil)
		if _, err := waybill.FromContext(s.Context); err == nil {
			ctx = s.Context
		}
		return ctx, hop
	case l.fault == "shared journeys" && len(values) == 0:
		_, hop := s.Auth.Receive(context.Background(), nil, nil)
		return s.Context, hop
	}
	return s.Auth.Receive(s.Context, values, nil)
}

func resultOf(failed bool) waybill.Result {
	if failed {
		return waybill.Failed
	}
	return waybill.Succeeded
}

func updateOf(update string) waybilltest.Headers {
	if update == "" {
		return nil
	}
	return waybilltest.Headers{waybill.HeaderReturn: {update}}
}

func TestCheckCarrier(t *testing.T) {
	for _, test := range []struct {
		fault string
		want  string // in a failure; "": no failure
	}{
		{"", ""},
		{"one way", ""},
		{"lets all in", ""},
		{"no token", "has none: waybill: no waybill in this context; put Call.Token()"},
		{"token in lower case", "the call failed: refused"},
		{"token cut", "the call failed: refused"},
		{"empty for absent", "the call failed: refused: malformed"},
		{"expired tokens leave", "an expired token went out"},
		{"first of several", "two tokens: the handler got a waybill"},
		{"silent refusal", "the caller was not told"},
		{"token seen", "sees the header waybill:"},
		{"update seen", "sees the header waybill-update:"},
		{"all headers gone", "take out the waybill's only"},
		{"absent is skipped", "got the waybill of the server's context"},
		{"committed early", "must not end the hop before its handler returns"},
		{"never ends", "call Hop.Commit or Hop.Discard when the handler has returned"},
		{"panic commits", "call Hop.Discard then, and not Hop.Commit"},
		{"no way back", "under waybill.HeaderReturn into the answer"},
		{"update shown", "sees the header waybill-update in the answer"},
		{"no update on error", "with an answer that is an error, too"},
		{"errors vanish", "an update does not change the result"},
		{"lost updates fail", "what comes back must not change the result"},
		{"always succeeds", "the error answer has an OnSuccess claim"},
		{"always succeeded", "pass Failed to Call.Return"},
		{"empty update", "leave the header out"},
		{"pinned late", "return the answer to the Call whose token was sent"},
		{"one call for a context", "a good update of a peer was not taken"},
		{"shared journeys", "two requests are on one journey"},
		{"takes uninvited", "came back with one"},
		{"handler not called", "the handler did not run within"},
		{"first of two", "two updates came back and was taken"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // what never comes is waited for in no time
				var locked lockedRecorder
				failed := failures(t, func(tb testing.TB) {
					locked.TB = tb
					waybilltest.CheckCarrier(&locked, (&loop{fault: test.fault}).carrier())
				})
				all := strings.Join(failed, "\n")
				if test.want == "" && all != "" || !strings.Contains(all, test.want) {
					t.Errorf("fault %q: failures\n%s\nwant %q", test.fault, all, test.want)
				}
			})
		})
	}
	if got := failures(t, func(t testing.TB) { waybilltest.CheckCarrier(t, waybilltest.Carrier{}) }); len(got) != 1 || !strings.Contains(got[0], "required") {
		t.Errorf("without functions: got %q, want one failure", got)
	}
}

// With a test of package testing the properties are subtests, which documents can name.
func TestLoop(t *testing.T) { waybilltest.CheckCarrier(t, new(loop).carrier()) }

func ExampleCheckCarrier() {
	var t exampleTB // stands for the *testing.T of a test

	pipe := new(loop) // the carrier of one's own
	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: pipe.call, Raw: pipe.serve, Answer: pipe.answer})
	// Output:
}
