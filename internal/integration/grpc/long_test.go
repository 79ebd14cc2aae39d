package grpctest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/waybilltest"
)

// A stream that is open for several lives of its token calls onward with Reissue, and brings its own changes and those of
// its callees home at its end.
func TestLongStream(t *testing.T) {
	var passed atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	auth := waybilltest.Authority(t, waybill.Claims(Cell, Seats), waybill.Clock(clock))
	last := dial(t, serve(t, func(ctx context.Context) error {
		n, _ := Seats.Get(ctx)
		return waybill.Update(ctx, Seats.To(n+1))
	}, serverOptions(auth)...), dialOptions(auth, allow)...)
	middle := dial(t, serve(t, func(ctx context.Context) error {
		for life := range 4 {
			if life > 0 {
				passed.Add(int64(20 * time.Minute))
				if err := unary(ctx, last); !errors.Is(err, waybill.ErrExpired) {
					t.Errorf("life %d, without Reissue: got %v, want %v", life, err, waybill.ErrExpired)
				}
			}
			ctx, err := waybill.Reissue(ctx)
			if err != nil {
				return err
			}
			if err := unary(ctx, last); err != nil {
				t.Errorf("life %d: onward: %v", life, err)
			}
		}
		return waybill.Update(ctx, Cell.To("home"))
	}, serverOptions(auth)...), dialOptions(auth, allow)...)
	ctx, err := auth.Start(t.Context(), Seats.To(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := kinds[1].call(ctx, middle); err != nil {
		t.Fatal(err)
	}
	seats, _ := Seats.Of(current(t, ctx))
	if cell, _ := Cell.Of(current(t, ctx)); seats != 5 || cell != "home" {
		t.Errorf("at the end: got %d seats and cell %q, want 5 and home; lost: %v", seats, cell, waybill.Lost(ctx))
	}
}

func current(t *testing.T, ctx context.Context) *waybill.Waybill {
	t.Helper()
	wb, err := waybill.FromContext(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return wb
}
