// Package page is the one page of the demo: its contents, its buttons, and its files.
//
// The owner of the fleet passes it the controls, and a whole snapshot five times a second. A browser
// that missed some, or that came late, needs only the next one.
package page
