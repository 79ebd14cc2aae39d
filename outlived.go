package waybill

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
)

// maxSites bounds the call sites that are logged.
const maxSites = 64

var sites struct {
	sync.Mutex
	logged map[uintptr]bool
}

// outlived logs the first use of a context after its request has ended, once for each call site outside
// of this module.
func outlived() {
	var pcs [16]uintptr
	n := runtime.Callers(3, pcs[:])
	frames := runtime.CallersFrames(pcs[:n])
	for {
		frame, more := frames.Next()
		if frame.PC == 0 {
			return
		}
		if more && ours(frame.Function) {
			continue
		}
		if firstAt(frame.PC) {
			slog.Warn("waybill: a context was used after its request had ended; use waybill.Detach for background work",
				"caller", fmt.Sprintf("%s:%d", frame.File, frame.Line))
		}
		return
	}
}

// ours reports whether a function belongs to the core or to a carrier.
func ours(function string) bool {
	const module = "github.com/waybill-go/waybill"
	rest, ok := strings.CutPrefix(function, module)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "/transport/") || strings.HasPrefix(rest, "/internal/carrier/"))
}

func firstAt(pc uintptr) bool {
	sites.Lock()
	defer sites.Unlock()
	if sites.logged[pc] || len(sites.logged) >= maxSites {
		return false
	}
	if sites.logged == nil {
		sites.logged = map[uintptr]bool{}
	}
	sites.logged[pc] = true
	return true
}
