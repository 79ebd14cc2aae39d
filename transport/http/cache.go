package waybillhttp

import (
	"net/http"
	"strings"
)

// forbidCaching makes every field that controls caches forbid the storage of the response. The
// fields for CDNs and proxies take precedence over Cache-Control, so each one that is present gets
// its own value.
func forbidCaching(h http.Header) {
	if !onlyNoStore(h) {
		h["Cache-Control"] = []string{"no-store"}
	}
	forbidTargeted(h)
	for key := range h {
		if strings.EqualFold(key, "Expires") {
			h[key] = []string{"0"}
		}
	}
}

// forbidTargeted makes the fields for CDNs and proxies forbid the storage of the response.
func forbidTargeted(h http.Header) {
	for key := range h {
		switch {
		case key == "Cache-Control":
		case isCacheControl(key):
			h[key] = []string{"no-store"}
		case strings.EqualFold(key, "X-Accel-Expires"):
			h[key] = []string{"0"}
		}
	}
}

// onlyNoStore reports whether Cache-Control is no-store and nothing else.
func onlyNoStore(h http.Header) bool {
	cc := h["Cache-Control"]
	return len(cc) == 1 && cc[0] == "no-store"
}

// isCacheControl reports whether a field has the syntax of Cache-Control: Cache-Control itself, the
// targeted fields of RFC 9213, such as CDN-Cache-Control, and two that are older. A handler may have
// set the key directly, and HTTP ignores case.
func isCacheControl(key string) bool {
	const suffix = "Cache-Control"
	return len(key) >= len(suffix) && strings.EqualFold(key[len(key)-len(suffix):], suffix) ||
		strings.EqualFold(key, "Surrogate-Control") || strings.EqualFold(key, "Edge-Control")
}

// cacheable reports whether a response may be stored and reused: a field says so, or it has
// Last-Modified and nothing else, which allows a cache to guess. A response with no-cache, such as
// a stream of events, must be validated before reuse. It cannot be reused if it has no validator
// (RFC 9111, sections 4.2.2, 4.3 and 5.2).
func cacheable(h http.Header) bool {
	for key, values := range h {
		if key != "Cache-Control" && isCacheControl(key) {
			if storable, said := allows(values, h); storable && said {
				return true // whatever Cache-Control says
			}
		}
	}
	if expires(h["X-Accel-Expires"]) {
		return true // the same
	}
	storable, said := allows(h["Cache-Control"], h)
	return storable && (said || expires(h["Expires"]) || h["Last-Modified"] != nil)
}

// expires reports whether a field says when the response expires. The values 0 and -1 mean at once.
func expires(values []string) bool {
	return values != nil && (len(values) > 1 || values[0] != "0" && values[0] != "-1")
}

// allows reports whether the directives allow a shared cache to store and reuse the response, and
// whether there are any.
func allows(values []string, h http.Header) (storable, said bool) {
	for _, value := range values {
		for directive := range strings.SplitSeq(value, ",") {
			switch strings.ToLower(strings.Trim(directive, " \t")) {
			case "no-store", "private":
				return false, true
			case "no-cache":
				if h["Etag"] == nil && h["Last-Modified"] == nil {
					return false, true
				}
			}
			said = true
		}
	}
	return true, said
}

// setVary adds the headers that carry tokens to Vary, because the response may depend on the waybill. A
// response that is not stored does not need it.
func (w *writer) setVary(h http.Header) {
	if !w.varies {
		return
	}
	if onlyNoStore(h) {
		return
	}
	vary := h["Vary"]
	if vary == nil {
		w.vary[0] = w.m.vary
		h["Vary"] = w.vary[:]
		return
	}
	for key := range strings.SplitSeq(w.m.vary, ", ") {
		if !varies(vary, key) {
			vary = append(vary[:len(vary):len(vary)], key)
		}
	}
	h["Vary"] = vary
}

// varies reports whether the values of Vary name a header, or all.
func varies(vary []string, header string) bool {
	for _, value := range vary {
		for key := range strings.SplitSeq(value, ",") {
			if key = strings.Trim(key, " \t"); key == "*" || strings.EqualFold(key, header) {
				return true
			}
		}
	}
	return false
}
