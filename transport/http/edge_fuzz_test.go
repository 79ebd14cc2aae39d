package waybillhttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// In the inputs of the fuzz targets, ~ is a token.

// Inner layers see the cookies of others as they came, and none of ours. A cookie with a good token
// is used.
func FuzzCookies(f *testing.F) {
	for _, line := range []string{
		"a=1; __Host-wb-x=~; b=2", "__Host-wb-x=~", "a=\"x; __Host-wb-x=~\"", "a=__Host-wb-x=~", ";;  a = 1 ;__Host-wb-", "=__Host-wb-x=~",
		"\t__Host-wb-x =\t~; __host-wb-y=~", "__Host-wb-x=~,__Host-wb-y=~", "$Version=1; __Host-wb-x=~", "\u2000__Host-wb-x=~; \xff=\xfe",
	} {
		f.Add(line, "c=3")
		f.Add("", line)
	}
	auth := authority(f)
	token := issue(f, auth, cell.To("kept"))
	var seen []string
	var kept bool
	h := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		seen = r.Header["Cookie"]
		got, _ := cell.Get(r.Context())
		kept = got == "kept"
	}, waybillhttp.Cookies(), waybillhttp.Logger(nolog))
	f.Fuzz(func(t *testing.T, first, second string) {
		var want, got []string
		holds, parts := false, 0
		lines := []string{strings.ReplaceAll(first, "~", token), strings.ReplaceAll(second, "~", token)}
		for _, line := range lines {
			for part := range strings.SplitSeq(line, ";") {
				part = strings.Trim(part, " \t")
				if parts++; !strings.HasPrefix(part, "__Host-wb-") {
					want = append(want, part)
					continue
				}
				_, value, _ := strings.Cut(part, "=")
				holds = holds || strings.Trim(value, " \t") == token
			}
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = slices.Clone(lines)
		seen, kept = nil, false
		h.ServeHTTP(httptest.NewRecorder(), r)
		if !slices.Equal(r.Header["Cookie"], lines) {
			t.Error("the original request has changed")
		}
		for _, line := range seen {
			for part := range strings.SplitSeq(line, ";") {
				got = append(got, strings.Trim(part, " \t"))
			}
		}
		empty := func(s string) bool { return s == "" }
		if got, want = slices.DeleteFunc(got, empty), slices.DeleteFunc(want, empty); parts < 1000 && !slices.Equal(got, want) {
			t.Errorf("%q: the handler sees %q, want %q", lines, got, want)
		}
		if holds && !kept && parts < 100 {
			t.Errorf("%q: the token is not used", lines)
		}
	})
}

// A good token in the list is used, whatever else is in it, and inner layers see nothing of the
// list. A parameter that does not follow from the list is not used.
func FuzzList(f *testing.F) {
	for _, list := range []string{"~", "", ",,~ ,", "~\t,x", "a.b.c", "\"~\"", "~;q=1", "~ ~"} {
		f.Add(list, "~", "a=1")
		f.Add("x", list, "waybill=~&a=1")
	}
	auth := authority(f)
	token, theirs := issue(f, auth, cell.To("kept")), issue(f, auth, cell.To("theirs"))
	var seen *http.Request
	var got string
	h := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		seen = r
		got, _ = cell.Get(r.Context())
	}, waybillhttp.Logger(nolog))
	f.Fuzz(func(t *testing.T, first, second, query string) {
		lines := []string{strings.ReplaceAll(first, "~", token), strings.ReplaceAll(second, "~", token)}
		if len(first)+len(second) > 200 {
			t.Skip()
		}
		u, err := url.ParseRequestURI("/?" + strings.ReplaceAll(query, "~", theirs))
		if err != nil {
			t.Skip()
		}
		holds := slices.ContainsFunc(strings.Split(strings.Join(lines, ","), ","), func(s string) bool { return strings.Trim(s, " \t") == token })
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.RequestURI = u, u.String()
		r.Header[headerKey] = lines
		seen = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		if seen == nil {
			t.Fatalf("%q: the request was refused", lines)
		}
		if seen.Header[headerKey] != nil || seen.Header[returnKey] != nil {
			t.Errorf("%q: the handler sees the list", lines)
		}
		if holds && got != "kept" || !holds && got == "kept" {
			t.Errorf("%q: cell %q, in the list: %v", lines, got, holds)
		}
		for _, value := range seen.URL.Query()["waybill"] {
			if value == theirs {
				t.Errorf("%q: the handler sees the token in the URL", query)
			}
		}
	})
}

// Inner layers see every parameter as it came, but for ours.
func FuzzParameters(f *testing.F) {
	for _, query := range []string{
		"waybill=~", "a=1&waybill=~&b=%zz&&c", "%77aybill=~&a=1", "a=1;waybill=~", "waybill", "waybill=~#&waybill=~", "?waybill=~", "a=%", "&&",
		"way+bill=~&Waybill=~&waybill[]=~", "waybill=~&waybill=~&=&", "a=b=c&waybill==~", "\xff=\xfe&waybill=\x80",
	} {
		f.Add(query, query)
	}
	auth := authority(f)
	token := issue(f, auth, cell.To("kept"))
	var seen *http.Request
	h := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) { seen = r }, waybillhttp.Pages(), waybillhttp.Logger(nolog))
	f.Fuzz(func(t *testing.T, query, referer string) {
		query, referer = strings.ReplaceAll(query, "~", token), strings.ReplaceAll(referer, "~", token)
		target := "/path?" + query
		u, err := url.ParseRequestURI(target)
		if err != nil || u.RawQuery != query {
			t.Skip()
		}
		want, cut := withoutParameter(query)
		uri := target
		if cut {
			uri = strings.TrimSuffix("/path?"+want, "?")
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.RequestURI = u, target
		r.Header["Referer"] = []string{"https://example.com/?" + referer}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if seen.URL.RawQuery != want || seen.RequestURI != uri {
			t.Errorf("%q: the handler sees %q in %q, want %q in %q", query, seen.URL.RawQuery, seen.RequestURI, want, uri)
		}
		sameFields(t, query, want)
		if !strings.Contains(referer, "#") {
			rest, cut := withoutParameter(referer)
			want := "https://example.com/?" + rest
			if cut {
				want = strings.TrimSuffix(want, "?")
			}
			if got := seen.Header.Get("Referer"); got != want {
				t.Errorf("%q: the handler sees the Referer %q, want %q", referer, got, want)
			}
		}
	})
}

// Inner layers read the body of a form as it came, but for our field.
func FuzzForm(f *testing.F) {
	for _, body := range []string{"waybill=~", "a=1&waybill=~&b=2", "a=1;waybill=~", "%77aybill=~", "", "{\"waybill\":\"~\"}", "\x00&waybill=~\r\n"} {
		f.Add(body, "application/x-www-form-urlencoded", true)
		f.Add(body, "Application/X-WWW-Form-Urlencoded ; charset=utf-8", false)
		f.Add(body, "multipart/form-data; boundary=b", true)
	}
	auth := authority(f)
	token := issue(f, auth, cell.To("kept"))
	var got string
	var length int64
	var kind string
	h := handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, length, kind = string(b), r.ContentLength, r.Header.Get("Content-Length")
	}, waybillhttp.Pages(), waybillhttp.Logger(nolog))
	f.Fuzz(func(t *testing.T, body, contentType string, known bool) {
		body = strings.ReplaceAll(body, "~", token)
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header["Content-Type"] = []string{contentType}
		r.Header["Content-Length"] = []string{"known"}
		if !known {
			r.ContentLength = -1
			delete(r.Header, "Content-Length")
		}
		got = ""
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got == body {
			probe := httptest.NewRequest("POST", "/", strings.NewReader(body))
			probe.Header["Content-Type"] = []string{contentType}
			if probe.ParseForm(); len(body) <= 64<<10 && probe.PostForm["waybill"] != nil {
				t.Errorf("%q, %q: net/http reads our field, and the handler sees it", contentType, body)
			}
			return
		}
		want, _ := withoutParameter(body)
		if got != want || known && (length != int64(len(want)) || kind == "known") || !known && length != -1 {
			t.Errorf("%q, %q: the handler reads %q of %d bytes, header %q; want %q", contentType, body, got, length, kind, want)
		}
		sameFields(t, body, want)
	})
}

// withoutParameter is written independently of the edge.
func withoutParameter(query string) (rest string, cut bool) {
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(part string) bool {
		key, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(key)
		return err == nil && name == "waybill"
	})
	rest = strings.Join(kept, "&")
	return rest, len(kept) != strings.Count(query, "&")+1
}

// sameFields checks that net/http reads the same fields, but for ours.
func sameFields(t *testing.T, before, after string) {
	t.Helper()
	want, _ := url.ParseQuery(before)
	got, _ := url.ParseQuery(after)
	if got["waybill"] != nil {
		t.Errorf("%q: our field is still there", after)
	}
	if delete(want, "waybill"); !reflect.DeepEqual(got, want) {
		t.Errorf("%q became %q: other fields have changed", before, after)
	}
}

// A token goes to the client's own origin only, however a redirect is written, and no redirect
// carries a token that the edge did not put there.
func FuzzLocation(f *testing.F) {
	for _, to := range []string{
		"/next", "next?a=1#top", "//shop.example/", "https://shop.example:443/?waybill=~", "HTTPS://SHOP.example", "https://evil.example/?waybill=~",
		"//evil.example", `/\evil.example`, `\\evil.example`, "///evil.example", "/\t/evil.example?waybill=~", "https:evil.example", "https:/evil.example",
		"https://shop.example@evil.example/", "https://evil.example#@shop.example", "https://evil.example?@shop.example", `https://evil.example\@shop.example`,
		"https://[::1]/", "https://shop.example%2eevil.example/", "https://shop%2eexample/", "/a\r\nSet-Cookie: x=1", "http://shop.example/", "?a=1",
		"#?waybill=~", "/#a?waybill=7", "/?way\nbill=~", "%2f/evil.example", "..//evil.example", "./https://evil.example", "x:/a", "https://shop.example:0443/",
		"https://ſhop.example/", " //evil.example", "\x00//evil.example", "/?%77aybill=~", "https://shop.example:/", "https://shop.example。evil.example",
	} {
		f.Add(to, "shop.example", true)
		f.Add(to, "shop.example:8080", false)
		f.Add(to, "[::1]:443", true)
	}
	auth := authority(f)
	theirs := issue(f, auth, cell.To("theirs"))
	var location, link string
	h := func(opts ...waybillhttp.EdgeOption) http.Handler {
		return handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			link = waybillhttp.Link(r.Context(), location)
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusSeeOther)
		}, append(opts, waybillhttp.Logger(nolog), startIn)...)
	}
	edges := []http.Handler{h(), h(waybillhttp.Pages())}
	plain := regexp.MustCompile(`^([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]*)?$`)
	f.Fuzz(func(t *testing.T, to, host string, secure bool) {
		if !plain.MatchString(host) || len(to) > 1000 {
			t.Skip()
		}
		location = strings.ReplaceAll(to, "~", theirs)
		scheme := "http"
		if secure {
			scheme = "https"
		}
		for i, edge := range edges {
			r := httptest.NewRequest("POST", "/", nil)
			r.Host = host
			if secure {
				r.Header.Set("X-Forwarded-Proto", "https")
			}
			if i == 0 {
				r.Header.Set(headerKey, "")
			}
			w := httptest.NewRecorder()
			edge.ServeHTTP(w, r)
			for _, got := range []string{w.Header().Get("Location"), link} {
				theirURL, _, _ := strings.Cut(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(location), "#")
				if got == location && (got == link || !strings.Contains(theirURL, "?")) {
					continue // as it was
				}
				goes := originInBrowser(got, scheme, host)
				own := goes == originInBrowser("/", scheme, host) || goes == originInBrowser("/", "https", host) // TLS ends at a proxy
				for _, value := range valuesInBrowser(got) {
					if value == theirs {
						t.Errorf("%q became %q: it has the token of another one", location, got)
					} else if len(value) > 100 && strings.Count(value, ".") == 2 && !own && !slices.Contains(valuesInBrowser(location), value) {
						t.Errorf("%q became %q: the token goes to another origin than %s://%s", location, got, scheme, host)
					}
				}
			}
		}
	})
}

// valuesInBrowser returns the values of our parameter, as the next edge reads them.
func valuesInBrowser(to string) []string {
	to = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(to)
	to, _, _ = strings.Cut(to, "#")
	_, query, _ := strings.Cut(to, "?")
	values, _ := url.ParseQuery(query)
	return values["waybill"]
}

// originInBrowser returns the origin of a redirect's target as browsers read it (WHATWG URL), or the
// scheme of a URL that has no host.
func originInBrowser(to, scheme, host string) string {
	to = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimFunc(to, func(c rune) bool { return c <= ' ' }))
	end := len(to)
	if i := strings.IndexAny(to, "?#"); i >= 0 {
		end = i
	}
	to = strings.ReplaceAll(to[:end], `\`, "/")
	if m := regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`).FindStringSubmatch(to); m != nil {
		s := strings.ToLower(m[1])
		rest := to[len(m[0]):]
		switch {
		case s != "http" && s != "https":
			return s + ":"
		case s == scheme && !strings.HasPrefix(rest, "//"):
			to = rest // relative
		default:
			scheme, to = s, "//"+strings.TrimLeft(rest, "/")
		}
	}
	if strings.HasPrefix(to, "//") {
		host, _, _ = strings.Cut(strings.TrimLeft(to, "/"), "/")
		host = host[strings.LastIndex(host, "@")+1:]
	}
	host = strings.TrimSuffix(strings.ToLower(host), map[string]string{"http": ":80", "https": ":443"}[scheme])
	return scheme + "://" + host
}
