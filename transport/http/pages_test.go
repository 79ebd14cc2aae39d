package waybillhttp_test

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/waybill-go/waybill"
	waybillhttp "github.com/waybill-go/waybill/transport/http"
)

// A page carries the token in its links and forms, with the changes made so far.
func TestPages(t *testing.T) {
	for protection, p := range protections {
		auth := authority(t, waybill.Protect(p))
		page := template.Must(template.New("").Funcs(template.FuncMap{}).Parse(
			`<a href="{{.Here}}">next</a> <a href="{{.There}}">away</a><form action="/" method="post">{{.Field}}</form>`))
		s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if r.Method == http.MethodPost {
				check(t, waybill.Update(ctx, cell.To(r.PostFormValue("cell"))))
			}
			in, _ := cell.Get(ctx)
			w.Header().Set("In", in)
			check(t, page.Execute(w, map[string]any{
				"Here": waybillhttp.Link(ctx, "/next?a=1#top"), "There": waybillhttp.Link(ctx, "https://other.example/"), "Field": waybillhttp.Field(ctx),
			}))
			if err := waybill.Update(ctx, cell.To("late")); !errors.Is(err, waybill.ErrTooLate) && len(in) > 0 {
				t.Errorf("Update after the page: %v, want ErrTooLate", err)
			}
		}, waybillhttp.Pages(), startIn))
		first := get(t, t.Context(), s.Client(), s.URL)
		token := fieldPattern.FindStringSubmatch(first.body)[1]
		if want := `<a href="/next?a=1&amp;waybill=` + token + `#top">next</a> <a href="https://other.example/">away</a>`; !strings.HasPrefix(first.body, want) {
			t.Errorf("%s: got %q, want %q", protection, first.body, want)
		}
		if first.Header[returnKey] != nil || first.Header["Set-Cookie"] != nil {
			t.Errorf("%s: header %v, want no token", protection, first.Header)
		}
		for name, want := range map[string]string{"Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := first.Header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", protection, name, got, want)
			}
		}
		resp, err := s.Client().PostForm(s.URL, url.Values{"waybill": {token}, "cell": {"form"}})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		check(t, err)
		changed := fieldPattern.FindStringSubmatch(string(body))[1]
		if resp.Header.Get("In") != "form" || changed == token {
			t.Errorf("%s: cell %q, another token: %v", protection, resp.Header.Get("In"), changed != token)
		}
		if a := get(t, t.Context(), s.Client(), s.URL+"/?waybill="+changed); a.Header.Get("In") != "form" {
			t.Errorf("%s: by link: cell %q, want form", protection, a.Header.Get("In"))
		}
		// The first page is a branch.
		if a := get(t, t.Context(), s.Client(), s.URL+"/?waybill="+token); a.Header.Get("In") != "new" {
			t.Errorf("%s: the first page's link: cell %q, want new", protection, a.Header.Get("In"))
		}
	}
}

// An unchanged token stays as it is; a client without a journey has no field and no parameter.
func TestFieldOfAnUnchangedJourney(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	for name, tt := range map[string]struct {
		path, want string
		opts       []waybillhttp.EdgeOption
	}{
		"unchanged":    {"/?waybill=" + token, token, nil},
		"lazy":         {"/", "", nil},
		"begins none":  {"/", "", []waybillhttp.EdgeOption{startIn, waybillhttp.BeginsOn(func(*http.Request) bool { return false })}},
		"forgotten":    {"/?waybill=garbage", "", nil},
		"with cookies": {"/", "", []waybillhttp.EdgeOption{waybillhttp.Cookies(), startIn}},
	} {
		opts := tt.opts
		if name != "with cookies" {
			opts = append(opts, waybillhttp.Pages())
		}
		w := httptest.NewRecorder()
		handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s", waybillhttp.Field(r.Context()), waybillhttp.Link(r.Context(), "/next"))
		}, opts...).ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
		want := " /next"
		if tt.want != "" {
			want = `<input type="hidden" name="waybill" value="` + tt.want + `"> /next?waybill=` + tt.want
		}
		if w.Body.String() != want {
			t.Errorf("%s: got %q, want %q", name, w.Body, want)
		}
	}
	if f, l := waybillhttp.Field(context.Background()), waybillhttp.Link(context.Background(), "/"); f != "" || l != "/" {
		t.Errorf("outside of a request: %q %q, want nothing added", f, l)
	}
}

// Inner layers see no token, and everything else byte for byte.
func TestPagesHideTheToken(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	for _, tt := range []struct{ query, want string }{
		{"waybill=T", ""},
		{"a=1&waybill=T&b=%zz&&c", "a=1&b=%zz&&c"},
		{"%77aybill=T&a=1", "a=1"},
		{"a=waybill&waybill2=x&waybill=T", "a=waybill&waybill2=x"},
		{"waybill=T&waybill=T", ""},
	} {
		r := httptest.NewRequest("GET", "/path?"+strings.ReplaceAll(tt.query, "T", token), nil)
		r.Header.Set("Referer", "https://example.com/before?x=1&waybill="+token+"#f")
		before := r.URL.String() + r.RequestURI + r.Header.Get("Referer")
		ran := false
		handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
			ran = true
			uri := strings.TrimSuffix("/path?"+tt.want, "?")
			if r.URL.RawQuery != tt.want || r.RequestURI != uri || r.URL.String() != uri {
				t.Errorf("%s: URL %s, RequestURI %s; want the query %q", tt.query, r.URL, r.RequestURI, tt.want)
			}
			if got := r.Header.Get("Referer"); got != "https://example.com/before?x=1#f" {
				t.Errorf("%s: Referer %q", tt.query, got)
			}
			if got, _ := cell.Get(r.Context()); got != "kept" {
				t.Errorf("%s: cell %q, want kept", tt.query, got)
			}
		}, waybillhttp.Pages()).ServeHTTP(httptest.NewRecorder(), r)
		if after := r.URL.String() + r.RequestURI + r.Header.Get("Referer"); after != before || !ran {
			t.Errorf("%s: the original request has changed, or the handler did not run", tt.query)
		}
	}
}

// Fields are read from small forms only. The handler reads every body as it was sent, without our
// field.
func TestPagesReadForms(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	const urlencoded = "application/x-www-form-urlencoded"
	large := strings.Repeat("x", 64<<10)
	for _, tt := range []struct {
		name, kind, body, want string
		found                  bool
	}{
		{"field", urlencoded, "a=1&waybill=T&b=2", "a=1&b=2", true},
		{"charset", urlencoded + "; charset=utf-8", "waybill=T", "", true},
		{"none", urlencoded, "a=1&b=2", "a=1&b=2", false},
		{"empty", urlencoded, "", "", false},
		{"large", urlencoded, "waybill=T&a=" + large, "waybill=T&a=" + large, false},
		{"json", "application/json", "waybill=T", "waybill=T", false},
		{"multipart", "multipart/form-data; boundary=b", "waybill=T", "waybill=T", false},
	} {
		for _, chunked := range []bool{false, true} {
			s := serve(t, handleEdge(auth, func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				want := strings.ReplaceAll(tt.want, "T", token)
				if string(b) != want || err != nil {
					t.Errorf("%s: the body has %d bytes, %v; want %d", tt.name, len(b), err, len(want))
				}
				if !chunked && (r.ContentLength != int64(len(want)) || r.Header.Get("Content-Length") != fmt.Sprint(len(want))) {
					t.Errorf("%s: length %d, header %q; want %d", tt.name, r.ContentLength, r.Header.Get("Content-Length"), len(want))
				}
				if got, _ := cell.Get(r.Context()); (got == "kept") != tt.found {
					t.Errorf("%s: cell %q, want the journey: %v", tt.name, got, tt.found)
				}
			}, waybillhttp.Pages()))
			var body io.Reader = strings.NewReader(strings.ReplaceAll(tt.body, "T", token))
			if chunked {
				body = io.MultiReader(body)
			}
			resp, err := s.Client().Post(s.URL, tt.kind, body)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %v, %v", tt.name, resp, err)
			}
			resp.Body.Close()
		}
	}
}

// A form that an outer layer has parsed is shown without the field as well.
func TestPagesBehindAParsedForm(t *testing.T) {
	auth := authority(t)
	token := issue(t, auth, cell.To("kept"))
	r := httptest.NewRequest("POST", "/?waybill="+token+"&a=1", strings.NewReader("b=2&waybill="+token))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	check(t, r.ParseForm())
	handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		if got := r.Form.Encode() + " " + r.PostForm.Encode(); got != "a=1&b=2 b=2" {
			t.Errorf("the handler sees the form %q, want it without the token", got)
		}
		if got, _ := cell.Get(r.Context()); got != "kept" {
			t.Errorf("cell %q, want kept", got)
		}
	}, waybillhttp.Pages()).ServeHTTP(httptest.NewRecorder(), r)
	if r.Form.Get("waybill") != token {
		t.Error("the original request has changed")
	}
}

// A body that breaks off breaks off for the handler, too.
func TestPagesKeepTheErrorOfABody(t *testing.T) {
	auth := authority(t)
	broken := errors.New("broken")
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("a=1"), failing{broken}))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	handleEdge(auth, func(_ http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); string(b) != "a=1" || err != broken {
			t.Errorf("got %q, %v; want a=1 and the error", b, err)
		}
	}, waybillhttp.Pages()).ServeHTTP(httptest.NewRecorder(), r)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A script can use the header at an edge with pages.
func TestHeaderAtPages(t *testing.T) {
	auth := authority(t)
	v := &script{s: serve(t, handleEdge(auth, reporter(t), waybillhttp.Pages(), startIn))}
	first := v.visit(t, "POST", "/cell=set")
	if again := v.visit(t, "GET", "/"); again.cell != "set" || again.sid != first.sid || strings.Contains(again.body, "<input") {
		t.Errorf("got %q, want the journey of the header and no field", again.body)
	}
}
