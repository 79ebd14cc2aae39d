package waybill_test

import (
	"testing"

	"github.com/waybill-go/waybill"
)

// TestNoWaybill checks that every method of nil and new(Waybill) returns an empty value.
func TestNoWaybill(t *testing.T) {
	for name, wb := range map[string]*waybill.Waybill{"nil": nil, "new": new(waybill.Waybill)} {
		for method, got := range map[string]string{
			"Token": wb.Token(), "ID": wb.ID(), "Domain": wb.Domain(), "Issuer": wb.Issuer(), "Subject": wb.Subject(),
			"KeyID": wb.KeyID(), "Payload": string(wb.Payload()),
		} {
			if got != "" {
				t.Errorf("%s: %s: got %q, want nothing", name, method, got)
			}
		}
		if wb.Protection() != 0 || wb.Has("cell") || !wb.Began().IsZero() || !wb.Issued().IsZero() || !wb.Expires().IsZero() || !wb.Ends().IsZero() {
			t.Errorf("%s: got %v, %v, %v, %v, %v, %v, want zero values",
				name, wb.Protection(), wb.Has("cell"), wb.Began(), wb.Issued(), wb.Expires(), wb.Ends())
		}
		if wb.String() != "no waybill" || wb.LogValue().String() != "no waybill" {
			t.Errorf("%s: got %s and %s, want no waybill", name, wb.String(), wb.LogValue())
		}
		if got, ok := Cell.Of(wb); ok || got != "" {
			t.Errorf("%s: got the claim %q", name, got)
		}
	}
}
