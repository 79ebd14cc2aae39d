// Package page is the one page of the demo: what it shows, what its buttons do, and the files that
// it is made of.
//
// Whoever runs the fleet gives it the controls, and a snapshot of everything five times a second:
//
//	p := page.New(controls)
//	go http.Serve(listener, p)
//	for range tick {
//		p.Publish(snapshot())
//	}
//
// A snapshot is whole: a browser that missed some, or that came late, needs only the next one. The
// page draws what the snapshot says and computes nothing of its own; so what it shows is what the
// fleet's owner has measured.
package page
