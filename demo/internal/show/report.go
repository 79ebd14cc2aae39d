package show

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// write writes report.json and the plots into a directory, which it makes.
func (v *Verdict) write(dir string, s *stage) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	events, charts := s.last(maxEvents, maxPoints)
	data, err := json.MarshalIndent(Report{v, time.Now(), charts, events}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	return report.Write(dir, charts, s.driver.Pace.Sizes())
}
