package natstest

import (
	"github.com/waybill-go/waybill"
)

// The claims of the tests.
var (
	Cell   = waybill.NewClaim[string]("cell")
	Seats  = waybill.NewClaim[int]("seats").Merge(waybill.Max)
	Tags   = waybill.NewClaim[[]string]("tags").Merge(waybill.Union)
	Coupon = waybill.NewClaim[string]("coupon").OnSuccess()
)

var claims = waybill.Claims(Cell, Seats, Tags, Coupon)

// tag adds one to the list.
func tag(name string) waybill.Change {
	return Tags.With(func(tags []string) []string { return append(tags, name) })
}
