package waybillhttp

import (
	"net/http"
	"strings"

	"github.com/waybill-go/waybill/internal/carrier/telemetry"
)

const (
	// defaultBudget is the size of response headers that proxies accept with default settings: one
	// page of memory in nginx.
	defaultBudget = 4 << 10

	// serverFields is the room for what the server adds to the header: the status line, Date,
	// Content-Type, and Content-Length or Transfer-Encoding.
	serverFields = 192

	// maxTrailer is the greatest trailer that Go's HTTP/1.1 client accepts: the default size of its
	// read buffer. A larger one fails the reading of the body.
	maxTrailer = 4 << 10
)

// fits reports whether the response header with the token stays within the budget.
func (w *writer) fits(h http.Header, tokens []string) bool { return w.size(h, tokens) <= w.m.budget }

// size returns the size of the response header with the tokens in our header.
func (w *writer) size(h http.Header, tokens []string) int {
	size := serverFields + fieldsSize(returnKey, tokens) + fieldSize("Cache-Control", "no-store")
	for key, values := range h {
		if key == returnKey || strings.HasPrefix(key, http.TrailerPrefix) {
			continue
		}
		for _, value := range values {
			size += fieldSize(key, value)
		}
	}
	return size
}

// trailerFits reports whether the trailer with the token stays within the budget.
func (w *writer) trailerFits(h http.Header, tokens []string) bool {
	size := len("\r\n") + fieldsSize(returnKey, tokens)
	for key, values := range h {
		name, isTrailer := strings.CutPrefix(key, http.TrailerPrefix)
		if !isTrailer && !declares(h["Trailer"], key) {
			continue
		}
		for _, value := range values {
			size += fieldSize(name, value)
		}
	}
	if w.http2 {
		return size <= w.m.budget
	}
	return size <= min(w.m.budget, maxTrailer)
}

// declares reports whether the Trailer header names key.
func declares(trailer []string, key string) bool {
	for _, value := range trailer {
		for name := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(name, " \t"), key) {
				return true
			}
		}
	}
	return false
}

func fieldSize(key, value string) int { return len(key) + len(": ") + len(value) + len("\r\n") }

// tooLarge counts a token that is left out because it does not fit, and logs the first one.
func (w *writer) tooLarge() {
	w.m.rec.Returned(w.ctx, telemetry.TooLarge)
	w.m.large.Do(func() {
		w.m.logger.WarnContext(w.ctx, "waybill: changes are not returned, because the returned token does not "+
			"fit into the headers of the response; see HeaderBudget", "budget", w.m.budget)
	})
}

// fieldsSize returns the size of a field with several values.
func fieldsSize(key string, values []string) (size int) {
	for _, v := range values {
		size += fieldSize(key, v)
	}
	return size
}
