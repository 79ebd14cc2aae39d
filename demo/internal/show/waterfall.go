package show

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// Trace implements page.Controls.
func (l *Live) Trace(_ context.Context, id string) ([]page.Span, error) {
	spans := l.stage.spans.Trace(id)
	if len(spans) == 0 {
		return nil, fmt.Errorf("%w as the trace %q; the newest ones are kept", page.ErrUnknown, id)
	}
	return waterfall(spans), nil
}

// waterfall orders spans, a parent before its children. One whose parent died with its process is put below nothing.
func waterfall(spans []tracing.Span) []page.Span {
	below := map[string][]tracing.Span{}
	known := map[string]bool{}
	for _, s := range spans {
		known[s.ID] = true
	}
	began := spans[0].Began
	for _, s := range spans {
		if !known[s.Parent] {
			s.Parent = ""
		}
		below[s.Parent] = append(below[s.Parent], s)
	}
	var bars []page.Span
	var add func(parent string)
	add = func(parent string) {
		for _, s := range below[parent] {
			bars = append(bars, page.Span{
				ID: s.ID, Parent: s.Parent, Service: s.Service, Name: s.Name, Failed: s.Failed, Attrs: worth(s.Attrs),
				Start: ms(s.Began.Sub(began)), Millis: ms(s.Duration),
			})
			add(s.ID)
		}
	}
	add("")
	return bars
}

// worth leaves the attributes that tell something.
func worth(attrs map[string]string) map[string]string {
	kept := map[string]string{}
	for name, v := range attrs {
		if strings.HasPrefix(name, "waybill.") || name == "http.response.status_code" || name == "rpc.method" ||
			name == "rpc.response.status_code" || name == "error.type" {
			kept[name] = v
		}
	}
	return kept
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
