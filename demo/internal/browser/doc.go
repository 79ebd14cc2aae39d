// Package browser tests the demo's page in a real browser, against the real demo: the program is built and started, its
// page is opened, and what a visitor would click is clicked.
//
// The tests need chromium on the path and are skipped without it; with WAYBILL_NEED_BROWSER=1 they fail instead. With
// WAYBILL_SCREENSHOTS=DIR the screenshots are written to DIR.
package browser
