package waybill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

var discard = slog.New(slog.DiscardHandler)

// printed returns the output of v in all usual ways of printing.
func printed(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T", "%10v", "%-5s"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	fmt.Fprintln(&b, v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "v", v)
	text, err := json.Marshal(v)
	fmt.Fprintln(&b, string(text), err)
	fmt.Fprintln(&b, fmt.Errorf("wrapped: %v", v))
	return b.String()
}

func TestWaybillPrintsNoToken(t *testing.T) {
	type holder struct {
		Waybill *waybill.Waybill
		hidden  *waybill.Waybill
		Context context.Context
		Call    *waybill.Call
		Hop     waybill.Hop
	}
	for _, shape := range shapes {
		auth := authority(t, shape.opt)
		wb := issue(t, auth, Cell.To("the-secret-cell"))
		fresh := issue(t, auth, Cell.To("the-secret-cell")) // its token is not made yet
		ctx, hop := receive(t, auth, wb.Token())
		call := send(t, auth, ctx)
		local, _ := auth.Start(context.Background(), Cell.To("the-secret-cell"))
		h := holder{wb, wb, ctx, call, hop}
		visited, visit := auth.ReceiveClient(context.Background(), waybill.Client{Tokens: []string{wb.Token(), "rubbish"}})
		over := must(auth.OpenEnded(wb.Token()))(t)
		for name, v := range map[string]any{
			"waybill": wb, "fresh": fresh, "holder": h, "pointer": &h, "list": []*waybill.Waybill{wb}, "map": map[string]any{"a": wb},
			"context": ctx, "child": context.WithValue(ctx, holder{}, wb), "local": local, "detached": waybill.Detach(ctx),
			"call": call, "hop": hop, "authority": auth, "change": Cell.To("x"), "contexts": []context.Context{ctx},
			"visited": visited, "visit": visit, "visits": &[]waybill.Hop{visit}, "ended": over, "ended value": *over,
		} {
			out := printed(v)
			for _, secret := range []string{wb.Token(), wb.Token()[80:120], "the-secret-cell", fmt.Sprintf("%x", wb.Token()), fmt.Sprintf("%x", "secret-cell")} {
				if strings.Contains(out, secret) {
					t.Errorf("%s %s: the output contains %q:\n%s", shape.name, name, secret, out)
				}
			}
		}
		out := printed(wb)
		for _, want := range []string{wb.ID(), wb.KeyID(), shape.name, "sid"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: got %s, want it to contain %s", shape.name, out, want)
			}
		}
	}
	if got := fmt.Sprintf("%v %s %+v", (*waybill.Waybill)(nil), (*waybill.Waybill)(nil), (*waybill.Waybill)(nil)); got != "no waybill no waybill no waybill" {
		t.Errorf("nil: got %q", got)
	}
	if got := (*waybill.Waybill)(nil).LogValue().String(); got != "no waybill" {
		t.Errorf("nil in a log: got %q", got)
	}
}

// TestErrorsHoldNoToken checks that the errors of invalid tokens do not contain the token.
func TestErrorsHoldNoToken(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth).Token()
	for _, raw := range []string{token + "x", token[:len(token)-1], "x" + token, token[4:], strings.Replace(token, ".", "..", 1), token + token} {
		ctx, hop := auth.Receive(t.Context(), []string{raw}, nil)
		if hop.Err() == nil {
			t.Fatalf("%s: got no error", raw)
		}
		for _, out := range []string{hop.Err().Error(), printed(hop.Err()), printed(ctx)} {
			if strings.Contains(out, token[20:60]) {
				t.Errorf("the output contains the token: %s", out)
			}
		}
	}
}

// TestPanicPrintsNoToken runs this test binary again, to see what the runtime prints for a waybill
// passed to panic.
func TestPanicPrintsNoToken(t *testing.T) {
	if os.Getenv("WAYBILL_TEST_PANIC") != "" {
		auth := authority(t)
		wb := issue(t, auth, Cell.To("the-secret-cell"))
		fmt.Println("token:", wb.Token())
		ctx, _ := receive(t, auth, wb.Token())
		switch os.Getenv("WAYBILL_TEST_PANIC") {
		case "waybill":
			panic(wb)
		case "context":
			panic(ctx)
		default:
			panic(struct{ W *waybill.Waybill }{wb})
		}
	}
	for _, what := range []string{"waybill", "context", "struct"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPanicPrintsNoToken$", "-test.v")
		cmd.Env = append(os.Environ(), "WAYBILL_TEST_PANIC="+what, "GOTRACEBACK=all")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		_, token, ok := strings.Cut(stdout.String(), "token: ")
		if err == nil || !ok || !strings.Contains(stderr.String()+stdout.String(), "panic:") {
			t.Fatalf("%s: got %v, %s%s, want a panic", what, err, &stdout, &stderr)
		}
		token, rest, _ := strings.Cut(token, "\n")
		if out := rest + stderr.String(); strings.Contains(out, token[80:120]) || strings.Contains(out, "the-secret-cell") {
			t.Errorf("%s: the panic contains the token: %s", what, out)
		}
	}
}

// TestContextNamesItself checks that a printed context shows its kind, like the contexts of the
// standard library.
func TestContextNamesItself(t *testing.T) {
	ctx := waybilltest.Context(t, authority(t))
	// A pointer would be printed as "(0x…". The ids are base64url and may contain "0x".
	if got := fmt.Sprint(ctx); !strings.Contains(got, ".Waybill(signed waybill ") || strings.Contains(got, "(0x") {
		t.Errorf("got %s, want a name", got)
	}
}
