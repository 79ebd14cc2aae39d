package waybillhttp

import (
	"net/http"
	"strings"
)

// hopKey is the header that a [Transport] sends with each waybill: the caller is a hop of the
// journey, and merges a token from the header or the trailer of the response. The header gives no
// right: it only switches off what an edge does for clients, and allows late changes to be returned
// in a trailer. The value is "1".
const hopKey = "Waybill-Hop"

// fromHop reports whether the request comes from a [Transport]. Without a waybill it does not: the
// function of [StartWith] may refuse clients, and no header lets a client pass it by.
func fromHop(h http.Header) bool {
	v := h[hopKey]
	return len(v) == 1 && v[0] == "1" && h[headerKey] != nil
}

// arriving is what the layers of our middleware know about the request.
type arriving struct {
	hop    bool        // a Transport sent it
	source http.Header // identifies the request
}

// arrive describes a request as it was before an outer middleware removed our headers. An outer
// middleware is recognised by its writer: a layer in between that replaced the header map still
// answers with that writer, so it is the same request. Whether its waybill is the one in the
// request's context is for [waybill.Authority.Receive] to decide.
func arrive(w http.ResponseWriter, h http.Header) arriving {
	outer := unwrap(w)
	if outer == nil || h[headerKey] != nil {
		return arriving{fromHop(h), h}
	}
	return arriving{outer.fromHop, outer.seen}
}

// isUpgrade reports whether a request asks for another protocol. Its response has no trailer.
func isUpgrade(h http.Header) bool { return h["Upgrade"] != nil }

// askForTrailers adds TE: trailers to an outgoing request. TE must be listed in Connection (RFC
// 9110, section 10.1.4), but net/http refuses that value for HTTP/2, and which version of HTTP the
// base will use is not known here. Under a name that is not in canonical form, HTTP/1.1 sends the
// field, and HTTP/2 leaves it out like every field that belongs to the connection.
func askForTrailers(h http.Header, trailers, te []string) {
	if isUpgrade(h) {
		return
	}
	if !listsTrailers(h["Te"]) {
		if h["Te"] == nil {
			h["Te"] = trailers
		} else {
			h.Add("Te", "trailers")
		}
	}
	h["connection"] = te
}

// wantsTrailers reports whether the client accepts a trailer in the response. Some browsers do, and
// show it to no script: see [writer.canHaveTrailer].
func wantsTrailers(r *http.Request) bool {
	return r.Method != http.MethodHead && r.ProtoAtLeast(1, 1) && listsTrailers(r.Header["Te"])
}

// listsTrailers reports whether the TE header says "trailers".
func listsTrailers(te []string) bool {
	for _, value := range te {
		for coding := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(coding, " \t"), "trailers") {
				return true
			}
		}
	}
	return false
}
