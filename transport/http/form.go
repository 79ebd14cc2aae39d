package waybillhttp

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
)

// maxForm is the size of the largest body whose fields are read.
const maxForm = 64 << 10

// form is the body of a request that was read to find our field.
type form struct {
	body   io.ReadCloser // what inner layers read
	length int64         // of the body if the field was taken out; else -1

	form, post url.Values // without the field, if an outer layer has parsed them
	parsed     bool
	parts      *multipart.Form
}

// takeForm reads the body of a small form, and returns it without our field, and the field's
// values. It returns nil if the request has no such body.
func takeForm(r *http.Request) (*form, []string) {
	switch {
	case r.PostForm != nil:
		values := r.PostForm[parameter]
		f := &form{form: without(r.Form), post: without(r.PostForm), parsed: true, parts: r.MultipartForm}
		if f.parts != nil {
			f.parts = &multipart.Form{Value: without(f.parts.Value), File: f.parts.File}
		}
		return f, values
	case r.Body == nil, r.Body == http.NoBody, r.Method == http.MethodGet, r.Method == http.MethodHead,
		r.ContentLength > maxForm, mediaType(r.Header) != "application/x-www-form-urlencoded":
		return nil, nil
	}
	read, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	f := &form{length: -1}
	if err != nil || len(read) > maxForm {
		f.body = rest{io.MultiReader(bytes.NewReader(read), after{r.Body, err}), r.Body}
		return f, nil
	}
	fields, values := cutParameter(string(read), nil)
	if values != nil {
		read, f.length = []byte(fields), int64(len(fields))
	}
	f.body = rest{bytes.NewReader(read), r.Body}
	return f, values
}

// show makes the form the body of a request, whose header is a copy if the field was taken out.
func (f *form) show(r *http.Request) {
	switch {
	case f == nil:
	case f.parsed:
		r.Form, r.PostForm, r.MultipartForm = f.form, f.post, f.parts
	default:
		r.Body = f.body
		if f.length >= 0 && r.ContentLength >= 0 {
			r.ContentLength = f.length
			if r.Header["Content-Length"] != nil {
				r.Header["Content-Length"] = []string{strconv.FormatInt(f.length, 10)}
			}
		}
	}
}

// rest is a body of which a part has been read.
type rest struct {
	io.Reader
	io.Closer
}

// after reads on after an error that must not be lost.
type after struct {
	io.Reader
	err error
}

// Read returns the error, if there was one.
func (a after) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	return a.Reader.Read(p)
}
