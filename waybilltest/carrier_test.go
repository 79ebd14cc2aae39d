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

// loop is the smallest carrier, a function call with headers. It has the one given fault.
type loop struct {
	fault string

	calls sync.Map // context → its first call
}

func (l *loop) carrier() waybilltest.Carrier {
	return waybilltest.Carrier{Call: l.call, Raw: l.serve, Answer: l.answer, OneWay: l.fault == "one way"}
}

// call sends a request through the client side and the server side.
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
	case errors.Is(err, waybill.ErrForeignDomain) && l.fault == "sends foreign tokens",
		errors.Is(err, waybill.ErrExpired) && l.fault == "sends expired tokens":
		wb, _ := waybill.FromContext(ctx)
		h[waybill.Header] = []string{wb.Token()}
	case errors.Is(err, waybill.ErrExpired):
		return nil, err
	}
	if l.fault == "no token" {
		delete(h, waybill.Header)
	}
	answer, failure := trip(h)
	if failure == nil || l.fault != "no return on error" {
		l.merge(auth, ctx, call, answer[waybill.HeaderReturn], failure != nil)
	}
	answer = maps.Clone(answer)
	if l.fault != "return shown" {
		delete(answer, waybill.HeaderReturn)
	}
	switch {
	case l.fault == "errors vanish":
		failure = nil
	case l.fault == "lost returns fail" && call != nil && waybill.Lost(ctx) != nil:
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

// merge merges the returned tokens.
func (l *loop) merge(auth *waybill.Authority, ctx context.Context, call *waybill.Call, returned []string, failed bool) {
	switch {
	case l.fault == "one call for a context":
		first, _ := l.calls.LoadOrStore(ctx, call)
		call = first.(*waybill.Call)
	case l.fault == "pinned late":
		call, _ = auth.Send(ctx)
	case l.fault == "merges uninvited" && call == nil && len(returned) > 0:
		auth.Start(ctx)
		return
	}
	if call == nil || len(returned) == 0 || l.fault == "no way back" {
		return
	}
	if l.fault == "first of several returned" {
		returned = returned[:1]
	}
	call.Merge(returned, resultOf(failed && l.fault != "merges success"))
}

// serve is the server side. It returns a panic as an error.
func (l *loop) serve(s waybilltest.Service, h waybilltest.Headers) (answer waybilltest.Headers, err error) {
	ctx, hop := l.receive(s, h)
	seen := waybilltest.Headers{"other": h["other"]}
	switch l.fault {
	case "token seen":
		seen[waybill.Header] = h[waybill.Header]
	case "return seen":
		seen[waybill.HeaderReturn] = h[waybill.HeaderReturn]
	case "all headers gone":
		seen = nil
	case "names normalised":
		seen = waybilltest.Headers{"Other": h["other"]}
	}
	if err := hop.Err(); err != nil && !errors.Is(err, waybill.ErrNoWaybill) && l.fault != "lets all in" {
		if l.fault == "silent refusal" {
			return nil, nil
		}
		if l.fault == "refusal shows the token" {
			return nil, fmt.Errorf("refused: %s", h[waybill.Header])
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
			answer = returnOf(hop.Commit(waybill.Failed))
		}
		hop.Discard()
	}()
	if l.fault == "handler not called" {
		return nil, nil
	}
	err = s.Handle(ctx, seen)
	switch l.fault {
	case "never ends":
		return returnOf(hop.Return(resultOf(err != nil))), err
	case "commits success":
		return returnOf(hop.Commit(waybill.Succeeded)), err
	case "empty return":
		return waybilltest.Headers{waybill.HeaderReturn: {strings.Join(hop.Commit(resultOf(err != nil)), "")}}, err
	case "returns one of several":
		tokens := hop.Commit(resultOf(err != nil))
		return returnOf(tokens[:min(1, len(tokens))]), err
	}
	return returnOf(hop.Commit(resultOf(err != nil))), err
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

func returnOf(tokens []string) waybilltest.Headers {
	if len(tokens) == 0 {
		return nil
	}
	return waybilltest.Headers{waybill.HeaderReturn: tokens}
}

func TestCheckCarrier(t *testing.T) {
	for _, test := range []struct {
		fault string
		want  string // in a failure; "": no failure
	}{
		{"", ""},
		{"one way", ""},
		{"lets all in", ""},
		{"no token", "although its caller has one: waybill: no waybill in this context; an edge, or Authority.Start, begins a journey; send Call.Token()"},
		{"token in lower case", "the call failed: refused"},
		{"token cut", "the call failed: refused"},
		{"empty for absent", "the call failed: refused: malformed"},
		{"sends expired tokens", "an expired token was sent"},
		{"sends foreign tokens", "sent 1 tokens of another Authority"},
		{"first of several", "two tokens: the handler has a waybill"},
		{"silent refusal", "its caller got no error"},
		{"token seen", "sees the header waybill,"},
		{"return seen", "the handler sees the header waybill-update,"},
		{"all headers gone", "remove the waybill's headers only"},
		{"names normalised", `the request brings the header "other" with the value "kept"`},
		{"absent is skipped", "got the waybill of the server's context"},
		{"committed early", "call Hop.Commit only after the handler has returned"},
		{"never ends", "call Hop.Commit or Hop.Discard when the handler has returned"},
		{"panic commits", "after a panic call Hop.Discard, not Hop.Commit"},
		{"no way back", "in the response as waybill.HeaderReturn"},
		{"return shown", "sees the header waybill-update in the response"},
		{"no return on error", "send the returned token with an error response as well"},
		{"errors vanish", "the caller does not learn that the handler failed"},
		{"lost returns fail", "a call that its peer answers failed"},
		{"commits success", "the error response returns a change of an OnSuccess claim"},
		{"merges success", "by a call that failed: pass waybill.Failed to Call.Merge"},
		{"empty return", "leave the header out"},
		{"pinned late", "merge the returned token with the Call whose token was sent"},
		{"one call for a context", "make a new Call with Authority.Send"},
		{"shared journeys", "two users share one journey"},
		{"merges uninvited", "got one from its response"},
		{"handler not called", "the handler did not run within"},
		{"first of several returned", "pass all values"},
		{"refusal shows the token", "the refusal of two tokens shows a token"},
		{"returns one of several", "send all tokens of Hop.Commit"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // timeouts pass at once
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

// TestLoop checks that each property is a subtest, which documents can name.
func TestLoop(t *testing.T) { waybilltest.CheckCarrier(t, new(loop).carrier()) }

func ExampleCheckCarrier() {
	var t exampleTB // the *testing.T of a test

	pipe := new(loop) // your carrier
	waybilltest.CheckCarrier(t, waybilltest.Carrier{Call: pipe.call, Raw: pipe.serve, Answer: pipe.answer})
	// Output:
}
