package driver

import "github.com/waybill-go/waybill/demo/services/sticky"

// Lane is a way to keep sessions, as a traveller's browser sees it.
type Lane struct {
	Name string // "waybill", "sticky", "store"

	path    string // of the steps
	cookies bool   // the browser holds cookies; otherwise it is a client with a Jar
}

// The lanes. Tab is not a separate lane: it is the waybill lane for a browser that holds its
// waybill in cookies.
var (
	Waybill = Lane{"waybill", "/", false}
	Tab     = Lane{"waybill", "/", true}
	Sticky  = Lane{"sticky", sticky.Memory, true}
	Store   = Lane{"store", sticky.Store, true}
)
