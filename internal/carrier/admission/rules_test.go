package admission_test

import (
	"context"
	"errors"
	"testing"

	"github.com/waybill-go/waybill"
	"github.com/waybill-go/waybill/internal/carrier/admission"
	"github.com/waybill-go/waybill/internal/carrier/telemetry"
	"github.com/waybill-go/waybill/waybilltest"
)

func TestJudge(t *testing.T) {
	cell, seats := waybill.NewClaim[string]("cell"), waybill.NewClaim[*int]("seats")
	auth := waybilltest.Authority(t, waybill.Claims(cell, seats))
	receive := func(values ...string) context.Context {
		ctx, _ := auth.Receive(t.Context(), values, nil)
		return ctx
	}
	started, err := auth.Start(receive(), cell.To("a"))
	if err != nil {
		t.Fatal(err)
	}
	anew, err := auth.Start(receive("garbage"))
	if err != nil {
		t.Fatal(err)
	}
	contexts := map[string]context.Context{
		"absent":       receive(),
		"no hop":       t.Context(),
		"invalid":      receive("garbage"),
		"two":          receive("a", "b"),
		"bare":         waybilltest.Context(t, auth),
		"with cell":    waybilltest.Context(t, auth, cell.To("")),
		"with both":    waybilltest.Context(t, auth, cell.To("a"), seats.To(nil)), // null is a value
		"started":      started,
		"started anew": anew,
	}
	var optional, required, observe, cells, both, watched admission.Rules
	required.Required = true
	observe.ReportOnly = true
	for rules, claim := range map[*admission.Rules][]waybill.Declaration{&cells: {cell}, &both: {cell, seats}} {
		if err := rules.Require(claim); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][]waybill.Declaration{nil, {cell, nil}} {
		if err := new(admission.Rules).Require(bad); err == nil {
			t.Errorf("Require(%v): got no error", bad)
		}
	}
	watched = admission.Rules{Required: true, ReportOnly: true, Claims: []waybill.Declaration{cell}}
	rec := telemetry.New("http", nil, nil)
	for _, test := range []struct {
		name string
		admission.Rules
		refused map[string]error
	}{
		{"optional", optional, map[string]error{"invalid": waybill.ErrMalformed, "two": waybill.ErrAmbiguous}},
		{"required", required, map[string]error{"absent": waybill.ErrNoWaybill, "no hop": waybill.ErrNoWaybill, "invalid": waybill.ErrMalformed,
			"two": waybill.ErrAmbiguous}},
		{"observe", observe, nil},
		{"observe required", watched, nil},
		{"cell required", cells, map[string]error{"absent": waybill.ErrNoWaybill, "no hop": waybill.ErrNoWaybill, "invalid": waybill.ErrMalformed,
			"two": waybill.ErrAmbiguous, "bare": waybill.ErrMissingClaim, "started anew": waybill.ErrMissingClaim}},
		{"both required", both, map[string]error{"absent": waybill.ErrNoWaybill, "no hop": waybill.ErrNoWaybill, "invalid": waybill.ErrMalformed,
			"two": waybill.ErrAmbiguous, "bare": waybill.ErrMissingClaim, "with cell": waybill.ErrMissingClaim,
			"started": waybill.ErrMissingClaim, "started anew": waybill.ErrMissingClaim}},
	} {
		for name, ctx := range contexts {
			err := test.Judge(ctx)
			if want := test.refused[name]; !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s, %s: got %v, want %v", test.name, name, err, want)
			}
			if admitted := test.Admit(ctx, rec); waybill.Reason(admitted) != waybill.Reason(err) {
				t.Errorf("%s, %s: Admit: got %v, want %v", test.name, name, admitted, err)
			}
		}
	}
}
