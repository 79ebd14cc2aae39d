package show

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/report"
)

// Report is the whole of a run, as report.json has it.
type Report struct {
	*Verdict
	Written time.Time    `json:"written"`
	Charts  page.Charts  `json:"charts"`
	Events  []page.Event `json:"events"`
}

// ReportFile is where the report is; the plots are beside it.
const ReportFile = "report.json"

// files returns the report and the plots, by name, of what came since then: seconds after the stage's start.
func (v *Verdict) files(s *stage, since float64) (map[string][]byte, error) {
	events, charts := s.last(maxEvents, maxPoints)
	events = slices.DeleteFunc(events, func(e page.Event) bool { return e.At < since })
	charts.Points = slices.DeleteFunc(charts.Points, func(p page.Point) bool { return p.At < since })
	charts.Marks = slices.DeleteFunc(charts.Marks, func(m page.Mark) bool { return m.At < since })
	files, err := report.Plots(charts, s.driver.Pace.Sizes())
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(Report{v, time.Now(), charts, events}, "", "  ")
	if err != nil {
		return nil, err
	}
	files[ReportFile] = append(data, '\n')
	return files, nil
}

// write writes the report and the plots into a directory, which it makes.
func (v *Verdict) write(dir string, s *stage) error {
	files, err := v.files(s, 0)
	if err != nil {
		return err
	}
	return save(dir, files)
}

func save(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
