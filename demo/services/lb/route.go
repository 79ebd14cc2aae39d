package lb

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
)

// Route is the cookie by which the balancer knows again to which backend a session sticks. It is
// the balancer's own, as with HAProxy's "cookie route insert": the backends need not know of it.
const Route = "route"

// routeTo names a backend without a word about where it is.
func routeTo(backend string) string {
	sum := sha256.Sum256([]byte(backend))
	return hex.EncodeToString(sum[:6])
}

// home returns the backend that the request's cookie names, if it is one of these.
func home(r *http.Request, backends []string) (backend string, ok bool) {
	c, err := r.Cookie(Route)
	if err != nil {
		return "", false
	}
	i := slices.IndexFunc(backends, func(b string) bool { return routeTo(b) == c.Value })
	if i < 0 {
		return "", false
	}
	return backends[i], true
}

// stick has the client come back to the backend that answered, if it does not anyway.
func stick(r *http.Request, res *http.Response, backend string) {
	if c, err := r.Cookie(Route); err == nil && c.Value == routeTo(backend) {
		return
	}
	c := http.Cookie{Name: Route, Value: routeTo(backend), Path: "/", HttpOnly: true}
	res.Header.Add("Set-Cookie", c.String())
}
