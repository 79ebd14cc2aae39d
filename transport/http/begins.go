package waybillhttp

import (
	"net/http"
	"strings"
)

// isPreflight reports whether the request is a CORS preflight. Browsers send it without
// credentials.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header["Access-Control-Request-Method"] != nil
}

// beginsJourney reports whether the request may begin a journey: it is not made ahead of time, and
// not for a part of a page. Programs other than browsers do not say what a request is for.
func beginsJourney(r *http.Request) bool {
	if purpose := r.Header["Sec-Purpose"]; purpose != nil && strings.Contains(strings.ToLower(purpose[0]), "prefetch") {
		return false
	}
	dest := r.Header["Sec-Fetch-Dest"]
	if dest == nil {
		return true
	}
	switch dest[0] {
	case "document", "iframe", "frame", "fencedframe", "embed", "object", "empty", "websocket", "webtransport":
		return true
	}
	return false
}
