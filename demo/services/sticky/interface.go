// Package sticky is the baseline: an application server that keeps sessions in the usual way. It
// books the same trips in the same steps as the gateway and the services behind it, takes as long
// for each, and is not made worse than it has to be: its balancer tries other servers when one is
// down, and it drains before a planned restart.
//
// It serves two lanes. Below /sticky/ a session is in this process's memory, and the balancer sends
// its requests here, by its own cookie. Below /store/ a session is in one central store, and any
// server takes any request.
package sticky

// Cookie is the cookie's name. Its value is the session's id.
const Cookie = "session"

// Paths of the lanes. A step follows.
const (
	Memory = "/sticky/"
	Store  = "/store/"
)
