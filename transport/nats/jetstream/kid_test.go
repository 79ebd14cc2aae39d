package waybilljetstream

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestKidOf(t *testing.T) {
	for _, p := range []waybill.Protection{waybill.Signed, waybill.Sealed, waybill.Public} {
		wb, err := waybilltest.Authority(t, waybill.Protect(p)).Issue()
		if err != nil {
			t.Fatal(err)
		}
		if got := kidOf(nats.Header{"WAYBILL": {wb.Token()}}); got != wb.KeyID() || got == "" {
			t.Errorf("%v: kid %q, want %q", p, got, wb.KeyID())
		}
		if got := kidOf(nats.Header{"Waybill": {wb.Token(), wb.Token()}}); got != "" {
			t.Errorf("%v: kid %q of two tokens, want none", p, got)
		}
	}
	head := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) + ".x.y" }
	long := strings.Repeat("k", 65)
	for name, text := range map[string]string{
		"empty": "", "a text": "none", "not base64url": "=.x.y", "not JSON": head("{"), "no kid": head("{}"),
		"not a text": head(`{"kid":7}`), "with spaces": head(`{"kid":"a b"}`), "with a line": head(`{"kid":"a\nb"}`),
		"too long": head(`{"kid":"` + long + `"}`), "long header": head(`{"kid":"k","x":"` + strings.Repeat("x", 512) + `"}`),
	} {
		if got := kidOf(nats.Header{"Waybill": {text}}); got != "" {
			t.Errorf("%s: kid %q, want none", name, got)
		}
	}
	if got := kidOf(nil); got != "" {
		t.Errorf("kid %q without a token, want none", got)
	}
}
