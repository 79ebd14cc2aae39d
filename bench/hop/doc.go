// Package hop measures what a hop costs: a call over loopback from client to server and back, bare, with our code on both
// sides and no waybill, with a waybill, and with a waybill that the server changes. Connections, servers and the broker are
// real, and in this process, so that its CPU time is that of all of them.
//
//	go test -bench . -benchmem
//	go test -run 'Wire|Allocations' -v
//	WAYBILL_RATIOS=1 go test -run Ratio -v
//
// Wall time is left out: on loopback it measures the scheduler.
package hop
