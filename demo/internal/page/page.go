package page

import (
	"embed"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
)

// The browser module of the repository is copied, because an embedded file must be below this one.
//
//go:generate cp ../../../clients/waybill.mjs web/waybill.mjs
//go:embed web
var files embed.FS

// Page serves the page, its stream and its controls. It is safe for concurrent use.
type Page struct {
	feed    feed
	handler http.Handler
}

// New returns a page with these controls. It shows nothing before the first [Page.Publish].
func New(c Controls) *Page {
	p := &Page{}
	web, err := fs.Sub(files, "web")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(web))
	mux.HandleFunc("GET /api/stream", p.feed.serveStream)
	mux.HandleFunc("GET /api/snapshot", p.feed.serveLatest)
	c.route(mux)
	p.handler = local(http.NewCrossOriginProtection().Handler(strict(mux)))
	return p
}

// Publish shows a snapshot to every browser. Only the newest counts: a slow browser misses those
// between.
func (p *Page) Publish(s Snapshot) { p.feed.publish(s) }

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// policy lets the page load its own files and talk to its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// strict sets the headers of every answer.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// local refuses requests that were not sent to one of this machine's own names. A foreign name that
// resolves to it (DNS rebinding) would make a foreign page the same origin as this one.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "The demo answers to localhost, 127.0.0.1 and [::1] only.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport // without a port
	}
	if host == "localhost" {
		return true
	}
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
