// Package sessiond is one central store of sessions, as many a fleet has one. It is not made worse than it has to be: it
// writes each change to a file before it acknowledges it, so a crash loses no session. While it is down, nobody has one.
package sessiond

import "errors"

// ErrUnknown says that there is no such session.
var ErrUnknown = errors.New("unknown session")

// path is where a session is, below the store's URL.
const path = "/sessions/"
