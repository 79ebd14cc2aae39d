// Package browser tests the demo's page in a real browser, against the real demo: the program is
// built and started, its page is opened, and what a visitor would click is clicked.
//
// The tests need chromium on the path and are skipped without it; with WAYBILL_NEED_BROWSER=1 they
// fail instead. With WAYBILL_SCREENSHOTS=DIR the screenshots are written to DIR. Those in docs/img
// are such ones, made smaller:
//
//	WAYBILL_SCREENSHOTS=/tmp/shots go test ./internal/browser
//	pngquant --output ../docs/img/demo-desk-dark.png /tmp/shots/desk-dark.png
package browser
