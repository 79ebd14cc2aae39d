// Package hop measures the cost of a hop: a call over loopback from a client to a server and back.
// It compares the bare call, our code on both sides without a waybill, a call with a waybill, and a
// call whose server changes the waybill. Connections, servers and the broker are real and run in
// this process, so its CPU time includes all of them.
//
//	go test -bench . -benchmem
//	go test -run 'Wire|Allocations' -v
//	WAYBILL_RATIOS=1 go test -run Ratio -v
//
// Wall time is not measured, because on loopback it depends on the scheduler.
package hop
