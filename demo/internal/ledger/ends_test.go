package ledger

import (
	"testing"

	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// TestEndsBeforeTime checks which ends of a journey are losses.
func TestEndsBeforeTime(t *testing.T) {
	l := &Ledger{Keep: 1}
	begun := func() *Journey {
		j := l.Begin()
		j.Acknowledge(gateway.Search, nil, Sent{}, gateway.Answer{
			Gateway: "sticky-2", Journey: "j", State: trip.State{"to": []byte(`"AMS"`), "cell": []byte(`"eu"`)},
		})
		return j
	}
	fresh := l.Begin()
	fresh.Forgotten(gateway.Flight)
	if got := l.Totals(); got.Lost != 0 {
		t.Errorf("nothing was acknowledged: got %+v, want no loss", got)
	}
	begun().Forgotten(gateway.Flight)
	if got := l.Totals(); got.Lost != 1 || l.LostAt("sticky-2") != 1 || l.LostAt("sticky-1") != 0 {
		t.Errorf("an unknown session: got %+v, want a loss at sticky-2", got)
	}
	begun().Refused(gateway.Flight, Sent{KID: "k"})
	if got := l.Totals(); got.Lost != 2 || got.Revoked != 0 {
		t.Errorf("a token refused: got %+v, want a loss", got)
	}
	l.Revoked("other")
	if got := l.Totals(); got.Lost != 2 || got.Revoked != 0 {
		t.Errorf("another key revoked: got %+v, want the same losses", got)
	}
	l.Revoked("k")
	if got := l.Totals(); got.Lost != 1 || got.Revoked != 1 || l.LostAt("sticky-2") != 1 {
		t.Errorf("the key revoked: got %+v, want that the refused journey is no loss", got)
	}
	begun().Refused(gateway.Flight, Sent{KID: "k"})
	if got := l.Totals(); got.Lost != 1 || got.Revoked != 2 {
		t.Errorf("refused after that: got %+v, want no loss", got)
	}
	for range 10 {
		begun().Close()
	}
	if got := len(l.journeys); got > 3+4 {
		t.Errorf("%d pages are kept, want the open ones and about one", got)
	}
	if got := l.Totals(); got.Live != 4 || got.Started != 14 {
		t.Errorf("got %+v, want 4 live of 14", got)
	}
}
