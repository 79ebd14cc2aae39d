package waybill_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// TestLifeOverMaximum opens a token of an Authority with a longer life.
func TestLifeOverMaximum(t *testing.T) {
	long := issue(t, authority(t, waybill.Life(2*time.Hour)))
	_, err := authority(t).Open(long.Token())
	wantIs(t, err, waybill.ErrLifetime)
	if _, err := authority(t, waybill.MaxLife(2*time.Hour)).Open(long.Token()); err != nil {
		t.Errorf("MaxLife(2h): got %v", err)
	}
}

// TestJourneyOverMaximum opens a token of an Authority with longer journeys.
func TestJourneyOverMaximum(t *testing.T) {
	long := issue(t, authority(t, waybill.Journey(25*time.Hour)))
	_, err := authority(t).Open(long.Token())
	wantIs(t, err, waybill.ErrLifetime)
	for name, opt := range map[string]waybill.Option{
		"MaxJourney": waybill.MaxJourney(25 * time.Hour), "Journey": waybill.Journey(25 * time.Hour),
	} {
		if _, err := authority(t, opt).Open(long.Token()); err != nil {
			t.Errorf("%s(25h): got %v", name, err)
		}
	}
}

// TestRoomForChanges checks that every journey that can begin can also change and be renewed.
func TestRoomForChanges(t *testing.T) {
	for _, shape := range shapes {
		auth := authority(t, shape.opt)
		var largest *waybill.Waybill
		for n := range waybill.DefaultIssueLimit {
			wb, err := auth.Issue(Cell.To(strings.Repeat("x", n)))
			if err != nil {
				break
			}
			largest = wb
		}
		ctx, _ := receive(t, auth, largest.Token())
		change(t, ctx, Cell.To("y"+strings.Repeat("x", len(must(Cell.Lookup(ctx))(t))-1)))
		if _, err := waybill.Reissue(ctx); err != nil {
			t.Errorf("%s: Reissue: %v", shape.name, err)
		}
		joined := must(auth.Join(t.Context(), waybill.RefuseDisagreement, ctx))(t)
		send(t, auth, joined)
	}
}

func TestLimits(t *testing.T) {
	small := authority(t, waybill.IssueLimit(512))
	size := func(n int) waybill.Change { return Cell.To(strings.Repeat("x", n)) }
	wb := issue(t, small, size(0))
	room := (512 - len(wb.Token())) * 3 / 4
	for _, shape := range shapes {
		auth := authority(t, shape.opt, waybill.IssueLimit(512))
		refused := 0
		for n := range room + 3 {
			wb, err := auth.Issue(size(n))
			switch {
			case err == nil && len(wb.Token()) > 512:
				t.Fatalf("%s: got a token of %d bytes, want at most 512", shape.name, len(wb.Token()))
			case err != nil && !errors.Is(err, waybill.ErrTooLarge):
				t.Fatal(err)
			case err != nil:
				refused++
				// The error names the size that the token has after its first change.
				later := authority(t, shape.opt)
				ctx, _ := receive(t, later, issue(t, later, size(n)).Token())
				change(t, ctx, Stamp.To("x"))
				change(t, ctx, Stamp.Delete())
				longer := send(t, later, ctx).Token()
				if want := fmt.Sprintf("%d bytes, the limit is 512", len(longer)); !strings.Contains(err.Error(), want) || len(longer) <= 512 {
					t.Fatalf("%s: got %v, want %s", shape.name, err, want)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s: no change was too large", shape.name)
		}
	}
	large := issue(t, authority(t, waybill.AcceptLimit(7168), waybill.IssueLimit(7168)), size(4000))
	_, err := authority(t).Open(large.Token())
	wantIs(t, err, waybill.ErrTooLarge)
	if _, err := authority(t, waybill.AcceptLimit(7168)).Open(large.Token()); err != nil {
		t.Errorf("within the limit: got %v", err)
	}
	// A low AcceptLimit alone also bounds issued tokens.
	low := authority(t, waybill.AcceptLimit(1024))
	_, err = low.Issue(size(1000))
	wantIs(t, err, waybill.ErrTooLarge)
	if _, err := low.Open(issue(t, low, size(500)).Token()); err != nil {
		t.Errorf("within a low limit: got %v", err)
	}
}

// TestManyClaims checks that more claims than a token can contain are a clear error.
func TestManyClaims(t *testing.T) {
	var declared []waybill.Declaration
	var changes []waybill.Change
	for i := range 300 {
		c := waybill.NewClaim[int](fmt.Sprint("c", i))
		declared = append(declared, c)
		changes = append(changes, c.To(i))
	}
	auth := waybilltest.Authority(t, waybill.Claims(declared...), waybill.AcceptLimit(7168), waybill.IssueLimit(7168))
	_, err := auth.Issue(changes...)
	if !errors.Is(err, waybill.ErrTooLarge) || !strings.Contains(err.Error(), "more than 256 claims") {
		t.Errorf("got %v, want ErrTooLarge that names the limit", err)
	}
	if _, err := auth.Issue(changes[:240]...); err != nil {
		t.Errorf("240 claims: got %v", err)
	}
}
