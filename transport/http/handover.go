package waybillhttp

import (
	"net/http"
	"strings"
)

// A script's fetch follows a redirect by itself: it repeats the header Waybill, and the script
// never sees the update of the first answer. So the redirect hands the update over: its Location
// carries the token as a parameter, which the edge takes out of the next request.

// takeHandover moves the token from the parameter to v, for a request that a redirect led to. A
// token that does not follow from the tokens in the header is not used: a link must not put a
// client on another client's journey.
func (v *visit) takeHandover(r *http.Request) {
	if r.Header[headerKey] == nil {
		return
	}
	looksLikeToken := func(value string) bool { return plausible(value, v.edge.auth.AcceptsUpTo()) }
	values := v.target.cut(r, looksLikeToken)
	v.cutReferer(looksLikeToken)
	if len(values) == 0 {
		return
	}
	// An edge adds one token.
	token := values[len(values)-1]
	if v.ignored += len(values) - 1; !v.follows(token) {
		v.ignored++
		return
	}
	v.handed = v.tokens == nil
	v.add(token)
}

// follows reports whether a token can be the update of a request that carried what the header has
// now: it is of the same journey, or answers one of these tokens, as the token of a login does. A
// client that has no tokens yet gets its first one. Of more tokens than an edge uses, the last ones
// are asked.
func (v *visit) follows(next string) bool {
	last := v.tokens[max(0, len(v.tokens)-v.by.maxTokens()):]
	return len(last) == 0 || v.edge.auth.Follows(next, last...)
}

// redirects reports whether a status sends the client to the response's Location.
func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// handOver adds a token to the Location of a redirect, and reports whether it did. Another token
// there is removed, even if the edge adds none: a client would use it as its update, and a visitor
// may choose where an application redirects to.
func handOver(h http.Header, o origin, token string) bool {
	location := h["Location"]
	if len(location) != 1 {
		return false
	}
	own := withoutToken(location[0])
	with := own
	if token != "" {
		with = o.with(own, token)
	}
	if with != location[0] {
		h["Location"] = []string{with}
	}
	return with != own
}

// withoutToken returns a URL without a token in our parameter, as browsers read it: they ignore
// tabs and line breaks.
func withoutToken(u string) string {
	read := strings.Map(func(c rune) rune {
		if c == '\t' || c == '\n' || c == '\r' {
			return -1
		}
		return c
	}, u)
	cut := cutQuery(read, func(value string) bool { return plausible(value, len(value)) })
	if cut == read {
		return u
	}
	return cut
}
