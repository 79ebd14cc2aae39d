package waybillhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// With cookies, other origins can neither change anything nor open a WebSocket. The header and
// pages need no check.
func TestCrossOrigin(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	trusting := http.NewCrossOriginProtection()
	check(t, trusting.AddTrustedOrigin("https://partner.example"))
	const evil, partner, own = "https://evil.example", "https://partner.example", "https://shop.example"
	cookies := []waybillhttp.EdgeOption{waybillhttp.Cookies()}
	for _, tt := range []struct {
		name    string
		opts    []waybillhttp.EdgeOption
		method  string
		origin  string
		header  http.Header
		refused bool
	}{
		{"get", cookies, "GET", evil, nil, false},
		{"post", cookies, "POST", evil, nil, true},
		{"post without Sec-Fetch-Site", cookies, "POST", evil, http.Header{"Sec-Fetch-Site": nil}, true},
		{"own post", cookies, "POST", own, http.Header{"Sec-Fetch-Site": {"same-origin"}}, false},
		{"post of a program", cookies, "POST", "", http.Header{"Sec-Fetch-Site": nil}, false},
		{"websocket", cookies, "GET", evil, http.Header{"Upgrade": {"websocket"}}, true},
		{"own websocket", cookies, "GET", own, http.Header{"Upgrade": {"websocket"}, "Sec-Fetch-Site": {"same-origin"}}, false},
		{"connect", cookies, "CONNECT", evil, nil, true},
		{"by header", cookies, "POST", evil, http.Header{headerKey: {token}, "Cookie": {"a=1"}}, false},
		{"header and cookie", cookies, "POST", evil, http.Header{headerKey: {token}}, true},
		{"hop", cookies, "POST", evil, http.Header{headerKey: {token}, hopKey: {"1"}}, false},
		{"trusted", append(cookies, waybillhttp.CrossOrigin(trusting)), "POST", partner, nil, false},
		{"not trusted", append(cookies, waybillhttp.CrossOrigin(trusting)), "POST", evil, nil, true},
		{"no cookies", nil, "POST", evil, nil, false},
		{"pages", []waybillhttp.EdgeOption{waybillhttp.Pages()}, "POST", evil, nil, false},
		{"report only", append(cookies, waybillhttp.ReportOnly()), "POST", evil, nil, false},
	} {
		m := &meter{}
		ran := false
		h := handleEdge(auth, func(http.ResponseWriter, *http.Request) { ran = true }, append(tt.opts, startIn, waybillhttp.MeterProvider(m))...)
		r := httptest.NewRequest(tt.method, "https://shop.example/", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", tt.origin)
		r.Header.Set("Cookie", "__Host-wb-a="+token)
		for name, values := range tt.header {
			if r.Header[name] = values; values == nil {
				delete(r.Header, name)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		want := 200
		if tt.refused {
			want = 403
		}
		if w.Code != want || ran == tt.refused || tt.refused && w.Header()["Set-Cookie"] != nil {
			t.Errorf("%s: %d, handler ran: %v, Set-Cookie %q; want %d", tt.name, w.Code, ran, w.Header()["Set-Cookie"], want)
		}
		if tt.refused && !strings.Contains(w.Body.String(), `"reason":"cross_origin"`) {
			t.Errorf("%s: %s, want the reason cross_origin", tt.name, w.Body)
		}
		if refused := m.count("waybill.refuse", "cross_origin") == 1; refused != tt.refused {
			t.Errorf("%s: counted %v", tt.name, m.all())
		}
		if observed := m.count("waybill.observe", "cross_origin") == 1; observed != (tt.name == "report only") {
			t.Errorf("%s: counted %v", tt.name, m.all())
		}
	}
}
