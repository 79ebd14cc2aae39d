package driver

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/waybill-go/waybill/demo/internal/ledger"
	"github.com/waybill-go/waybill/demo/internal/tracing"
	"github.com/waybill-go/waybill/demo/internal/trip"
	"github.com/waybill-go/waybill/demo/services/gateway"
)

// Report is the result of "demo drive", which sends travellers to a running fleet and judges by
// their ledger alone whether anything was lost.
type Report struct {
	OK       bool    `json:"ok"`
	Lane     string  `json:"lane"`
	URL      string  `json:"url"`
	Seconds  float64 `json:"seconds"`
	Started  int     `json:"started"`
	Finished int     `json:"finished"`
	Steps    int     `json:"steps"` // acknowledged
	Lost     int     `json:"lost"`  // journeys that lost something which was acknowledged

	Retries   int64 `json:"retries"` // calls made again
	Misrouted int64 `json:"misrouted"`

	Unavailable float64 `json:"unavailable"` // seconds in which the lane answered no request although there were some

	Replicas map[string]int `json:"replicas"` // answers that each had a part in
	Keys     map[string]int `json:"keys"`     // steps whose waybill came under each

	Losses   []string `json:"losses,omitempty"`   // what was lost
	Failures []string `json:"failures,omitempty"` // why journeys ended early: some step could not be done for 30 s
}

// drive is one run of travellers.
type drive struct {
	url    string
	driver Driver
	began  time.Time

	mu       sync.Mutex
	replicas map[string]int
	keys     map[string]int
	failures []string
}

// errVerdict is why the command fails when the fleet did.
var errVerdict = errors.New("drive: a journey was lost or not finished")

// Command drives the fleet at --url, and prints the verdict. It fails if a journey was lost or
// could not be finished. In the other lanes, which promise nothing, a loss is the result and no
// failure.
func Command(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("demo drive", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	where := flags.String("url", "http://127.0.0.1:7718", "where the balancer is")
	name := flags.String("lane", Waybill.Name, "waybill, sticky or store: how the travellers' sessions are kept")
	seconds := flags.Float64("seconds", 60, "for how long journeys begin; 0: until it is interrupted")
	rate := flags.Float64("rate", 10, "how many begin in a second")
	file := flags.String("report", "", "file for the report, as JSON")
	format := flags.String("o", "text", "text or json: with json there is a report a second, each a line")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("drive: %w", err)
	}
	lane, known := map[string]Lane{Waybill.Name: Waybill, Sticky.Name: Sticky, Store.Name: Store}[*name]
	u, err := url.Parse(*where)
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("drive: unexpected argument %q", flags.Arg(0))
	case err != nil || u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("drive: --url %q: want one such as http://127.0.0.1:7718", *where)
	case !known:
		return fmt.Errorf("drive: --lane %q: want waybill, sticky or store", *name)
	case !(*seconds >= 0) || !(*rate > 0 && *rate <= 1000):
		return errors.New("drive: --seconds is 0 or more, --rate between 0 and 1000")
	case *format != "text" && *format != "json":
		return errors.New("drive: -o is text or json")
	}
	if tracing.Redirected() {
		flush, err := tracing.Setup("travellers", nil)
		if err != nil {
			return err
		}
		defer flush()
	}
	u.Path = ""
	d := newDrive(u, lane)
	d.run(ctx, *seconds, *rate, w, *format == "json")
	r := d.report()
	if *file != "" {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*file, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if *format == "json" {
		json.NewEncoder(w).Encode(r)
	} else {
		r.print(w)
	}
	if !r.OK && r.Lane == Waybill.Name {
		return errVerdict
	}
	return nil
}

func newDrive(balancer *url.URL, lane Lane) *drive {
	d := &drive{url: balancer.String(), began: time.Now(), replicas: map[string]int{}, keys: map[string]int{}}
	d.driver = Driver{Lane: lane, Ledger: &ledger.Ledger{}, Seed: 1, Think: 250 * time.Millisecond, Heard: d.heard}
	d.driver.Connect(balancer)
	return d
}

// run begins bookings for so many seconds, or until ctx ends, and returns when the last is over. It
// tells its progress to w: every second as JSON, or every five seconds as text.
func (d *drive) run(ctx context.Context, seconds, rate float64, w io.Writer, asJSON bool) {
	beginning := ctx
	if seconds > 0 {
		var cancel context.CancelFunc
		beginning, cancel = context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
		defer cancel()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		crowd := Crowd{Rate: rate, Traced: 1, Over: d.over}
		// An end from outside ends the beginning of journeys, and not those that are under way.
		crowd.Run(context.WithoutCancel(ctx), func() []*Driver { return []*Driver{&d.driver} },
			func(int) bool { return beginning.Err() == nil })
	}()
	every := 5 * time.Second
	if asJSON {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		r := d.report()
		if asJSON {
			json.NewEncoder(w).Encode(r)
			continue
		}
		fmt.Fprintf(w, "%4.0f s: %d booked, %d under way, %d failed, %d calls made again%s, lost: %d\n", r.Seconds,
			r.Finished, r.Started-r.Finished-len(r.Failures), len(r.Failures), r.Retries, r.outage(), r.Lost)
	}
}

func (d *drive) heard(sent ledger.Sent, a gateway.Answer) {
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

func (d *drive) over(_ *Driver, err error) {
	if err == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failures = append(d.failures, err.Error())
}

// report returns the result so far.
func (d *drive) report() Report {
	totals, losses, trouble := d.driver.Ledger.Totals(), d.driver.Ledger.Lost(), &d.driver.Trouble
	d.mu.Lock()
	defer d.mu.Unlock()
	r := Report{
		Lane: d.driver.Lane.Name, URL: d.url, Seconds: time.Since(d.began).Seconds(),
		Started: totals.Started, Finished: totals.Finished, Steps: totals.Steps, Lost: len(losses),
		Retries: trouble.Retries.Load(), Misrouted: trouble.Misrouted.Load(),
		Unavailable: d.driver.Unavailable().Seconds(),
		Replicas:    maps.Clone(d.replicas), Keys: maps.Clone(d.keys),
		Losses: losses, Failures: append([]string(nil), d.failures...),
	}
	r.OK = r.Lost == 0 && r.Misrouted == 0 && len(r.Failures) == 0 && r.Finished == r.Started && r.Finished > 0
	return r
}

// print prints the report in a few lines.
func (r Report) print(w io.Writer) {
	fmt.Fprintf(w, "%d journeys begun, %d finished, %d failed in %.0f s; %d steps by %d replicas under %d keys\n",
		r.Started, r.Finished, len(r.Failures), r.Seconds, r.Steps, len(r.Replicas), len(r.Keys))
	fmt.Fprintf(w, "%d calls made again, %d misrouted%s\n", r.Retries, r.Misrouted, r.outage())
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
