package waybillhttp

import (
	"net/http"
	"net/url"
	"strings"
)

// origin is where a request was sent to.
type origin struct {
	host   string
	secure bool // over https, as far as is known
}

// originOf returns the origin of a request. A proxy that ends TLS says so in X-Forwarded-Proto.
func originOf(r *http.Request) origin {
	secure := r.TLS != nil
	if proto := r.Header["X-Forwarded-Proto"]; proto != nil {
		secure = secure || strings.EqualFold(strings.Trim(proto[0], " \t"), "https")
	}
	return origin{r.Host, secure}
}

// with returns a URL with the token as our parameter, if the URL is relative or of the same origin,
// and otherwise the URL as it is. A URL that browsers and package net/url may read differently is
// not changed.
func (o origin) with(link, token string) string {
	trimmed := strings.Trim(link, " ")
	if trimmed == "" || trimmed[0] == '#' || !o.owns(trimmed) {
		return link
	}
	before, fragment, hasFragment := strings.Cut(cutQuery(trimmed, nil), "#")
	separator := "?"
	if strings.Contains(before, "?") {
		separator = "&"
	}
	before += separator + parameter + "=" + url.QueryEscape(token)
	if hasFragment {
		before += "#" + fragment
	}
	return before
}

// owns reports whether a URL is relative, or of this origin.
func (o origin) owns(link string) bool {
	for i := range len(link) {
		// Browsers remove some control characters, and read a backslash as a slash.
		if c := link[i]; c < ' ' || c == 0x7f || c == '\\' {
			return false
		}
	}
	u, err := url.Parse(link)
	if err != nil || u.Opaque != "" || u.User != nil {
		return false
	}
	if u.Scheme == "" && u.Host == "" {
		return !strings.HasPrefix(link, "//") // browsers read /// as //
	}
	scheme := u.Scheme
	switch {
	case u.Host == "":
		return false
	case scheme == "" && o.secure:
		scheme = "https"
	case scheme == "":
		scheme = "http"
	case scheme == "http" && o.secure:
		return false // everyone on the way could read the token
	case scheme != "http" && scheme != "https":
		return false
	}
	return o.host != "" && normalPort(scheme, u.Host) == normalPort(scheme, o.host)
}

// normalPort returns a host in lower case, without the default port of the scheme.
func normalPort(scheme, host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ":"+defaultPorts[scheme])
}
