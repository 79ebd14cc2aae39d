package natstest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/waybill-go/waybill"
	waybilljetstream "github.com/waybill-go/waybill/transport/nats/jetstream"
	"github.com/waybill-go/waybill/waybilltest"
)

// secrets returns the tokens of a message, as sent and decoded.
func secrets(h nats.Header) (texts []string) {
	for name, values := range h {
		if !strings.EqualFold(name, waybill.Header) {
			continue
		}
		for _, token := range values {
			texts = append(texts, token)
			for part := range strings.SplitSeq(token, ".") {
				if text, err := base64.RawURLEncoding.DecodeString(part); err == nil {
					texts = append(texts, string(text))
				}
			}
		}
	}
	return texts
}

// leaks returns 8 bytes of secret that are in text.
func leaks(text, secret string) string {
	for i := range max(len(secret)-7, 0) {
		if piece := secret[i : i+8]; strings.Contains(text, piece) {
			return piece
		}
	}
	return ""
}

// Advisories and logs contain no 8 bytes of a refused message's token, claims or sid. Only the dead
// letter does.
func TestReasonsTellNothing(t *testing.T) {
	q := newQueue(t)
	var cases []refused
	for _, c := range refusals(t) {
		if c.name != "absent" {
			cases = append(cases, c)
		}
	}
	sealed := waybilltest.Authority(t, claims, waybill.Protect(waybill.Sealed))
	wb, err := sealed.Issue(Cell.To("secret-cell"))
	check(t, err)
	cases = append(cases, refused{name: "sealed", header: func(*testing.T) nats.Header {
		return nats.Header{"Waybill": {wb.Token()}, "X": {string(wb.Payload())}} // what is in the envelope
	}, reason: "protection"})
	advisories := listen(t, q.nc, terminated)
	var log logBuffer
	q.consume(t, waybilltest.Authority(t, claims), q.consumer(t), func(context.Context, jetstream.Msg) error {
		t.Error("the handler runs")
		return nil
	}, waybilljetstream.RequireClaims(Seats),
		waybilljetstream.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := c.header(t)
			texts := append(secrets(h), h["X"]...)
			if len(texts) < 2 {
				t.Fatalf("%d texts to look for, want the token and what is in it", len(texts))
			}
			_, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders." + strconv.Itoa(i), Header: h})
			check(t, err)
			answer, a := q.answered(t), nextAdvisory(t, advisories)
			if want := "waybill: " + c.reason; a.Reason != want || answer != "+TERM "+want {
				t.Errorf("answer %q, reason %q, want %q", answer, a.Reason, want)
			}
			for _, secret := range texts {
				logged := public.ReplaceAllString(log.String(), "")
				for where, text := range map[string]string{"answer": answer, "reason": a.Reason, "log": logged} {
					if piece := leaks(text, secret); piece != "" {
						t.Errorf("the %s has %q of a secret", where, piece)
					}
				}
			}
		})
	}
}

// public is what the log may say: its own sentences, and the name of a key, which is no secret.
var public = regexp.MustCompile(`msg="[^"]*"|kid=[A-Za-z0-9_-]{1,64}\s`)
