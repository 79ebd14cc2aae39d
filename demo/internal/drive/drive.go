// Package drive sends travellers to a fleet that somebody else runs, such as the containers of the compose stack, and
// judges by their ledger alone whether anything was lost.
package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// Report is what the travellers can tell.
type Report struct {
	OK       bool    `json:"ok"`
	Lane     string  `json:"lane"`
	URL      string  `json:"url"`
	Seed     uint64  `json:"seed"`
	Seconds  float64 `json:"seconds"`
	Started  int     `json:"started"`
	Finished int     `json:"finished"`
	Steps    int     `json:"steps"` // acknowledged
	Lost     int     `json:"lost"`  // journeys that lost something which was acknowledged

	Cut       int64 `json:"cut"`     // calls whose callee died while it was answering
	Retries   int64 `json:"retries"` // calls made again
	Misrouted int64 `json:"misrouted"`

	Unavailable float64 `json:"unavailable"` // seconds in which the lane answered nobody though somebody asked

	Replicas map[string]int `json:"replicas"` // answers that each had a part in
	Keys     map[string]int `json:"keys"`     // steps whose waybill came under each

	Losses   []string `json:"losses,omitempty"`   // what was lost
	Failures []string `json:"failures,omitempty"` // why journeys ended early: some step could not be done for 30 s
}

// Drive is one run of travellers.
type Drive struct {
	url    string
	driver driver.Driver
	began  time.Time

	mu       sync.Mutex
	replicas map[string]int
	keys     map[string]int
	failures []string
}

// New returns travellers in a lane of the fleet whose balancer is at url.
func New(url string, lane driver.Lane, seed uint64) *Drive {
	d := &Drive{url: strings.TrimSuffix(url, "/"), began: time.Now(), replicas: map[string]int{}, keys: map[string]int{}}
	d.driver = driver.Driver{Lane: lane, Ledger: &ledger.Ledger{}, Seed: seed, Think: 250 * time.Millisecond, Heard: d.heard}
	d.driver.Connect(d.url)
	return d
}

// Run begins rate bookings in a second, most at once, until stop is closed, and returns when the last is over.
func (d *Drive) Run(ctx context.Context, stop <-chan struct{}, rate float64, most int) {
	d.driver.Crowd(ctx, stop, rate, most, d.over)
}

func (d *Drive) heard(sent ledger.Sent, a gateway.Answer) {
	var stamps []string
	json.Unmarshal(a.State[trip.Stamps.Name()], &stamps)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(stamps) == 0 { // a session has none; the answer says who gave it
		stamps = []string{a.Gateway}
	}
	for _, replica := range stamps {
		d.replicas[replica]++
	}
	if sent.KID != "" { // a first step has no waybill yet
		d.keys[sent.KID]++
	}
}

func (d *Drive) over(err error) {
	if err == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failures = append(d.failures, err.Error())
}

// Report returns what came of it so far.
func (d *Drive) Report() Report {
	totals, losses, trouble := d.driver.Ledger.Totals(), d.driver.Ledger.Lost(), &d.driver.Trouble
	d.mu.Lock()
	defer d.mu.Unlock()
	r := Report{
		Lane: d.driver.Lane.Name, URL: d.url, Seed: d.driver.Seed, Seconds: time.Since(d.began).Seconds(),
		Started: totals.Started, Finished: totals.Finished, Steps: totals.Steps, Lost: len(losses),
		Cut: trouble.Cut.Load(), Retries: trouble.Retries.Load(), Misrouted: trouble.Misrouted.Load(),
		Unavailable: d.driver.Unavailable().Seconds(),
		Replicas:    maps.Clone(d.replicas), Keys: maps.Clone(d.keys),
		Losses: losses, Failures: append([]string(nil), d.failures...),
	}
	r.OK = r.Lost == 0 && r.Misrouted == 0 && len(r.Failures) == 0 && r.Finished == r.Started && r.Finished > 0
	return r
}

// Print says it in a few lines.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d journeys begun, %d finished, %d failed in %.0f s; %d steps by %d replicas under %d keys\n",
		r.Started, r.Finished, len(r.Failures), r.Seconds, r.Steps, len(r.Replicas), len(r.Keys))
	fmt.Fprintf(w, "%d calls cut off, %d made again, %d misrouted%s\n", r.Cut, r.Retries, r.Misrouted, r.outage())
	for _, f := range r.Failures {
		fmt.Fprintf(w, "  failed: %s\n", f)
	}
	for _, l := range r.Losses {
		fmt.Fprintf(w, "  lost: %s\n", l)
	}
	fmt.Fprintf(w, "lost: %d\n", r.Lost)
}

// outage says for how long the lane was unavailable, if it was.
func (r Report) outage() string {
	if r.Unavailable == 0 {
		return ""
	}
	return fmt.Sprintf(", unavailable for %.1f s", r.Unavailable)
}

// Save writes the report to a file.
func (r Report) Save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// errVerdict is why the command fails when the fleet did.
var errVerdict = errors.New("drive: a journey was lost or not finished")
