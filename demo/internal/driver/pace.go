package driver

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Pace is how quickly the travellers' steps are acknowledged, from when they wanted them, with all
// retries and, for the first step of a journey, from when it was due. The zero value is ready for
// use.
type Pace struct {
	mu          sync.Mutex
	all, recent *hdrhistogram.Histogram // recent: since the last Lap
}

func (p *Pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.make()
	p.all.RecordValue(min(d.Microseconds(), longest))
	p.recent.RecordValue(min(d.Microseconds(), longest))
}

// longest is a minute: a traveller gives up before.
const longest = int64(time.Minute / time.Microsecond)

func (p *Pace) make() {
	if p.all == nil {
		p.all, p.recent = hdrhistogram.New(1, longest, 3), hdrhistogram.New(1, longest, 3)
	}
}

// Figures are the results of a Pace. Times are in milliseconds.
type Figures struct {
	Steps int64   `json:"steps"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// Lap returns the figures since the last Lap.
func (p *Pace) Lap() Figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.make()
	defer p.recent.Reset()
	return p.figures(p.recent)
}

// Total returns the figures since the start.
func (p *Pace) Total() Figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.make()
	return p.figures(p.all)
}

func (p *Pace) figures(h *hdrhistogram.Histogram) Figures {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return Figures{h.TotalCount(), ms(h.ValueAtQuantile(50)), ms(h.ValueAtQuantile(99)), ms(h.Max())}
}
