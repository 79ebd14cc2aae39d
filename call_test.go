package waybill_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestForeignDomain(t *testing.T) {
	auth, foreign := authority(t), authority(t)
	ctx := waybilltest.Context(t, foreign)
	if _, err := auth.Send(ctx); err != waybill.ErrForeignDomain {
		t.Errorf("got %v, want ErrForeignDomain", err)
	}
	if _, err := foreign.Send(ctx); err != nil {
		t.Errorf("own waybill: got %v", err)
	}
	if _, err := auth.Send(t.Context()); err != waybill.ErrNoWaybill {
		t.Errorf("no waybill: got %v, want ErrNoWaybill", err)
	}
	started := must(auth.Start(ctx, Cell.To("a")))(t)
	if _, err := auth.Send(started); err != nil {
		t.Errorf("a new journey started in the context: got %v", err)
	}
}

func TestSendExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t)
		ctx, _ := receive(t, auth, issue(t, auth).Token())
		time.Sleep(waybill.DefaultLife - time.Second - time.Nanosecond)
		send(t, auth, ctx)
		time.Sleep(time.Nanosecond)
		if _, err := auth.Send(ctx); err != waybill.ErrExpired {
			t.Errorf("got %v, want ErrExpired", err)
		}
	})
	// The margin is a tenth of a short life.
	synctest.Test(t, func(t *testing.T) {
		auth := authority(t, waybill.Life(time.Second))
		ctx, _ := receive(t, auth, issue(t, auth).Token())
		time.Sleep(800 * time.Millisecond)
		send(t, auth, ctx)
		time.Sleep(100 * time.Millisecond)
		if _, err := auth.Send(ctx); err != waybill.ErrExpired {
			t.Errorf("short life: got %v, want ErrExpired", err)
		}
	})
	auth := authority(t)
	refused, _ := auth.Receive(t.Context(), []string{"x"}, nil)
	if _, err := auth.Send(refused); !errors.Is(err, waybill.ErrMalformed) {
		t.Errorf("malformed token: got %v, want ErrMalformed", err)
	}
}
