package show

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// Row is one hop of a journey.
type Row struct {
	Step    string   `json:"step"`
	Replica string   `json:"replica"`
	Via     string   `json:"via"`
	Bytes   int      `json:"bytes"` // of the token that came
	KID     string   `json:"kid"`
	Changed []string `json:"changed"`
}

func hops(of []watch.Hop) []Row {
	rows := make([]Row, len(of))
	for i, h := range of {
		rows[i] = Row{h.Step, h.Replica, h.Via, h.Bytes, h.KID, h.Changed}
	}
	return rows
}

func printHops(w io.Writer, rows []Row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  STEP\tREPLICA\tVIA\tBYTES\tKEY\tCHANGED")
	last := ""
	for _, r := range rows {
		step := r.Step
		if step == last {
			step = ""
		}
		last = r.Step
		changed := strings.Join(r.Changed, " ")
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\t%s\n", step, r.Replica, r.Via, r.Bytes, r.KID, changed)
	}
	t.Flush()
}

// printTrace prints the spans below each other, each below its parent.
func printTrace(w io.Writer, spans []tracing.Span) {
	below := map[string][]tracing.Span{}
	for _, s := range spans {
		below[s.Parent] = append(below[s.Parent], s)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var show func(parent, indent string)
	show = func(parent, indent string) {
		for _, s := range below[parent] {
			fmt.Fprintf(t, "  %s%s\t%s\t%v\n", indent, s.Name, s.Service, s.Duration.Round(100*time.Microsecond))
			show(s.ID, indent+"  ")
		}
	}
	show("", "")
	t.Flush()
	if len(spans) > 0 {
		fmt.Fprintf(w, "\n  %d spans, trace %s\n", len(spans), spans[0].Trace)
	}
}

// Print prints the verdict for people.
func (v *Verdict) Print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range v.Lines {
		mark := "ok"
		if !l.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", mark, l.Name, l.Value)
	}
	t.Flush()
	for _, l := range v.Lines {
		if l.OK {
			continue
		}
		fmt.Fprintf(w, "\nFAIL %s: %s\n", l.Name, l.Value)
		for i, d := range l.Detail {
			if i == 5 {
				fmt.Fprintf(w, "  and %d more\n", len(l.Detail)-i)
				break
			}
			fmt.Fprintf(w, "  %s\n", d)
		}
	}
	fmt.Fprintf(w, "\n%.1f s, %s\n", v.Seconds, v.memory())
}
