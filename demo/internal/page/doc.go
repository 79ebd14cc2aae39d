// Package page is the one page of the demo: its contents, its buttons, and its files.
//
// The owner of the fleet passes it the controls, and a snapshot of everything five times a second:
//
//	p := page.New(controls)
//	go http.Serve(listener, p)
//	for range tick {
//		p.Publish(snapshot())
//	}
//
// A snapshot is whole: a browser that missed some, or that came late, needs only the next one. The
// page draws the snapshot and computes nothing itself, so it shows only what the fleet's owner has
// measured.
package page
