package waybillhttp

import (
	"net/http"
	"strings"
)

// maxRoutes bounds the routes that are logged because shared caches may store their responses.
const maxRoutes = 256

// keepPrivate keeps the response to a client that is on a journey out of shared caches, because its
// handler may have used the claims, and some caches ignore Vary. The browser's own cache may store
// it. The fields for CDNs, which take precedence over Cache-Control, forbid to store it.
func (w *writer) keepPrivate(h http.Header) {
	if w.visit == nil || !w.visit.journey || !cacheable(h) {
		return
	}
	w.reportShared()
	h["Cache-Control"] = []string{private(h["Cache-Control"])}
	forbidTargeted(h)
}

// private returns the directives of Cache-Control that concern private caches, and private.
func private(values []string) string {
	kept := []string{"private"}
	for _, value := range values {
		for directive := range strings.SplitSeq(value, ",") {
			directive = strings.Trim(directive, " \t")
			name, _, _ := strings.Cut(strings.ToLower(directive), "=")
			switch strings.TrimRight(name, " \t") {
			case "", "public", "private", "s-maxage", "proxy-revalidate":
			default:
				kept = append(kept, directive)
			}
		}
	}
	return strings.Join(kept, ", ")
}

// reportShared logs once for each route that its response allows shared caches to store it.
func (w *writer) reportShared() {
	e, v := w.m.edge, w.visit
	if v.reported {
		return
	}
	v.reported = true
	route := v.route()
	if _, known := e.shared.Load(route); known || e.routes.Load() >= maxRoutes {
		return
	}
	if _, known := e.shared.LoadOrStore(route, struct{}{}); !known {
		e.routes.Add(1)
		e.logger.WarnContext(w.ctx, "waybill: the response to a client on a journey allows shared caches to store it; "+
			"it was made private", "route", route)
	}
}
