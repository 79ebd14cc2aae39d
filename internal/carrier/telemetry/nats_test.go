package telemetry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

func TestUndecided(t *testing.T) {
	m := newMeter()
	telemetry.New("jetstream", m, nil).Undecided(t.Context())
	m.want(t, "undecided", "waybill.refuse outcome=undecided,transport=jetstream 1")
}

// The first message to each subject is logged, whether or not another one to it was suppressed.
func TestUntraced(t *testing.T) {
	m := newMeter()
	var log bytes.Buffer
	r := telemetry.New("nats", m, slog.New(slog.NewTextHandler(&log, nil)))
	r.Suppressed(t.Context(), "a", "test")
	for _, subject := range []string{"a", "a", "b"} {
		r.Untraced(t.Context(), subject)
	}
	m.want(t, "untraced", "waybill.inject outcome=suppressed,transport=nats 1", "waybill.inject outcome=untraced,transport=nats 3")
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "destination=b") {
		t.Errorf("got %d warnings, want one for each subject:\n%s", n, &log)
	}
}
