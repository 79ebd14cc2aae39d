// Package browser tests the edge and clients/waybill.mjs in a real chromium, over TLS with HTTP/1.1
// and HTTP/2. Two replicas of the edge serve each page in turn.
//
// The tests need chromium on the path and are skipped without it; with WAYBILL_NEED_BROWSER=1 they
// fail instead. The test of the module in Node.js needs node. TestLostUpdates prints the table of
// docs/edge.md, and writes it there with -update:
//
//	go test ./browser -run TestLostUpdates -v -update
package browser
