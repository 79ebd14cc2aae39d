package waybillhttp

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/waybill-go/waybill"
)

// parameter is the name of the parameter and the form field that carry a token.
const parameter = waybill.Header

// target is the URL of a request without our parameter. The zero target is a URL that did not have
// it.
type target struct {
	url *url.URL
	uri string // the RequestURI
}

// cut takes our parameter out of the URL of a request, and returns its values. If only is not nil,
// values for which it returns false belong to the application and stay.
func (t *target) cut(r *http.Request, only func(string) bool) (values []string) {
	if r.URL == nil || r.URL.RawQuery == "" {
		return nil
	}
	query, values := cutParameter(r.URL.RawQuery, only)
	if values == nil {
		return nil
	}
	u := *r.URL
	u.RawQuery = query
	t.url, t.uri = &u, cutURI(r.RequestURI, only)
	return values
}

// cutReferer takes our parameter out of the address of the page that the request comes from.
func (v *visit) cutReferer(only func(string) bool) {
	for i, referer := range v.header["Referer"] {
		if cut := cutQuery(referer, only); cut != referer {
			v.own()["Referer"][i] = cut
		}
	}
}

// show makes the target the URL of a request.
func (t *target) show(r *http.Request) {
	if t.url == nil {
		return
	}
	r.URL, r.RequestURI = t.url, t.uri
	r.Form = without(r.Form)
}

// without returns the values of a form without our field.
func without(form url.Values) url.Values {
	if form[parameter] == nil {
		return form
	}
	form = url.Values(http.Header(form).Clone())
	delete(form, parameter)
	return form
}

// cutURI returns a RequestURI without our parameter. It has no fragment: net/http reads # as any other
// character.
func cutURI(uri string, only func(string) bool) string {
	before, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	query, values := cutParameter(query, only)
	switch {
	case values == nil:
		return uri
	case query == "":
		return before
	}
	return before + "?" + query
}

// cutQuery returns a URL without our parameter. A fragment stays as it is.
func cutQuery(u string, only func(string) bool) string {
	before, fragment, hasFragment := strings.Cut(u, "#")
	cut := cutURI(before, only)
	if hasFragment {
		cut += "#" + fragment
	}
	return cut
}

// cutParameter returns a query without our parameter, and the parameter's values. Everything else
// stays byte for byte.
func cutParameter(query string, only func(string) bool) (rest string, values []string) {
	if !strings.Contains(query, parameter) && !strings.Contains(query, "%") {
		return query, nil
	}
	var kept strings.Builder
	begin, separator := 0, "" // of what is kept next, and what goes in front of it
	keep := func(end int) {
		if end >= begin {
			kept.WriteString(separator + query[begin:end])
			separator = "&"
		}
	}
	at := 0
	for part := range strings.SplitSeq(query, "&") {
		end := at + len(part)
		key, value, _ := strings.Cut(part, "=")
		if unescape(key) == parameter {
			if value = unescape(value); only == nil || only(value) {
				values = append(values, value)
				keep(at - len("&"))
				begin = end + len("&")
			}
		}
		at = end + len("&")
	}
	if values == nil {
		return query, nil
	}
	keep(len(query))
	return kept.String(), values
}

// unescape decodes a part of a query, or returns it as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}
