// Package report draws what a run came to, as SVG files that show the same time axis, with a mark for each event.
package report

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/page"
)

var (
	blue = color.RGBA{0x1f, 0x6f, 0xb4, 0xff}
	red  = color.RGBA{0xc0, 0x39, 0x2b, 0xff}
	grey = color.RGBA{0x99, 0x99, 0x99, 0xff}
)

// series is one line of a plot.
type series struct {
	name  string
	color color.Color
	value func(page.Point) float64
	holds func(page.Point) bool // whether a point has this value; nil if all have
}

// busy reports whether there was anything to measure.
func busy(p page.Point) bool { return p.Rate > 0 }

// Plots returns latency.svg, lost.svg and token-size.svg by these names.
func Plots(c page.Charts, sizes []driver.Size) (map[string][]byte, error) {
	latency, err := overTime(c, "Steps of travellers with waybills, with all retries", "ms",
		series{"p50", blue, func(p page.Point) float64 { return p.P50 }, busy},
		series{"p99", red, func(p page.Point) float64 { return p.P99 }, busy})
	if err != nil {
		return nil, err
	}
	lost, err := overTime(c, "Journeys lost", "journeys",
		series{"waybill", blue, func(p page.Point) float64 { return float64(p.Lost) }, nil},
		series{"sticky sessions", red, func(p page.Point) float64 { return float64(p.StickyLost) }, nil})
	if err != nil {
		return nil, err
	}
	size, err := tokens(sizes)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, p := range map[string]*plot.Plot{"latency.svg": latency, "lost.svg": lost, "token-size.svg": size} {
		if files[name], err = svg(p); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func overTime(c page.Charts, title, unit string, all ...series) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "seconds since the start", unit
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	for _, s := range all {
		var xys plotter.XYs
		for _, point := range c.Points {
			if s.holds == nil || s.holds(point) {
				xys = append(xys, plotter.XY{X: point.At, Y: s.value(point)})
			}
		}
		if len(xys) == 0 {
			continue
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		line.Color, line.Width = s.color, vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(s.name, line)
	}
	p.Y.Max = max(p.Y.Max, 1) * 1.15 // room for the legend
	p.Add(marks(c.Marks))
	return p, nil
}

// marks draws a dashed line at each event, with its label beside it.
type marks []page.Mark

// Plot implements plot.Plotter.
func (m marks) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	line := draw.LineStyle{Color: grey, Width: vg.Points(0.5), Dashes: []vg.Length{vg.Points(3), vg.Points(2)}}
	text := p.X.Tick.Label
	text.Font.Size, text.Color, text.Rotation = vg.Points(6), grey, 1.5708
	text.XAlign, text.YAlign = draw.XRight, draw.YBottom
	for _, e := range m {
		if e.At < p.X.Min || e.At > p.X.Max {
			continue
		}
		at, top := x(e.At), y(p.Y.Max)
		c.StrokeLine2(line, at, y(p.Y.Min), at, top)
		c.FillText(text, vg.Point{X: at, Y: top}, e.Label)
	}
}

// tokens draws how many tokens were how large.
func tokens(sizes []driver.Size) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "Size of the tokens that were sent", "bytes", "tokens"
	var bins plotter.XYs
	for _, s := range sizes {
		bins = append(bins, plotter.XY{X: float64(s.Bytes), Y: float64(s.Tokens)})
	}
	if len(bins) == 0 {
		return p, nil
	}
	h, err := plotter.NewHistogram(bins, 40)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	h.FillColor, h.LineStyle.Width = blue, 0
	p.Add(h)
	return p, nil
}

func svg(p *plot.Plot) ([]byte, error) {
	w, err := p.WriterTo(8*vg.Inch, 3.5*vg.Inch, "svg")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}
