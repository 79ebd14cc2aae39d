package drive

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"time"

	"github.com/waybill-go/waybill/demo/internal/driver"
	"github.com/waybill-go/waybill/demo/internal/tracing"
)

// every is the time between two lines that tell how it goes.
const every = 5 * time.Second

// options are what the flags say.
type options struct {
	url     string
	lane    driver.Lane
	seed    uint64
	seconds float64
	rate    float64
	most    int
	report  string
	json    bool
	every   time.Duration
}

// lanes by what --lane calls them.
var lanes = map[string]driver.Lane{"waybill": driver.Waybill, "sticky": driver.Sticky, "store": driver.Store}

// Command drives the fleet at --url, and prints the verdict. It fails if a journey was lost or could not be finished; but
// in the other lanes, which promise nothing, that is the result, and no failure.
func Command(ctx context.Context, args []string, w io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if tracing.Redirected() {
		flush, err := tracing.Setup("travellers", "")
		if err != nil {
			return err
		}
		defer flush()
	}
	d := New(o.url, o.lane, o.seed)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		wait(ctx, o.seconds)
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// An end from outside ends the beginning of journeys, and not those that are under way.
		d.Run(context.WithoutCancel(ctx), stop, o.rate, o.most)
	}()
	o.follow(d, done, w)
	return o.conclude(d.Report(), w)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo drive", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.url, "url", "http://127.0.0.1:7718", "where the balancer is")
	lane := flags.String("lane", "waybill", "waybill, sticky or store: how the travellers' sessions are kept")
	flags.Uint64Var(&o.seed, "seed", 1, "decides who books what")
	flags.Float64Var(&o.seconds, "seconds", 60, "for how long journeys begin; 0: until it is interrupted")
	flags.Float64Var(&o.rate, "rate", 10, "how many begin in a second")
	flags.IntVar(&o.most, "most", 60, "how many are under way at once, at most")
	flags.StringVar(&o.report, "report", "", "file for the report, as JSON")
	format := flags.String("o", "text", "text or json: with json there is a report a second, each a line")
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("drive: %w", err)
	}
	o.lane, o.every, o.json = lanes[*lane], every, *format == "json"
	if o.json {
		o.every = time.Second
	}
	u, err := url.Parse(o.url)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("drive: what is %q for?", flags.Arg(0))
	case err != nil || u.Scheme != "http" || u.Host == "":
		return o, fmt.Errorf("drive: --url %q: want one such as http://127.0.0.1:7718", o.url)
	case o.lane.Name == "":
		return o, fmt.Errorf("drive: --lane %q: want waybill, sticky or store", *lane)
	case !(o.seconds >= 0) || !(o.rate > 0 && o.rate <= 1000) || o.most < 1:
		return o, fmt.Errorf("drive: --seconds is 0 or more, --rate between 0 and 1000, --most 1 or more")
	case *format != "text" && *format != "json":
		return o, fmt.Errorf("drive: -o is text or json")
	}
	return o, nil
}

// wait returns after so many seconds, for ever if they are 0, or when ctx ends.
func wait(ctx context.Context, seconds float64) {
	d := time.Duration(math.MaxInt64)
	if seconds > 0 {
		d = time.Duration(seconds * float64(time.Second))
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// follow tells how it goes until it is over.
func (o options) follow(d *Drive, done <-chan struct{}, w io.Writer) {
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		r := d.Report()
		if o.json {
			json.NewEncoder(w).Encode(r)
			continue
		}
		fmt.Fprintf(w, "%4.0f s: %d booked, %d under way, %d failed, %d calls made again%s, lost: %d\n", r.Seconds,
			r.Finished, r.Started-r.Finished-len(r.Failures), len(r.Failures), r.Retries, r.outage(), r.Lost)
	}
}

// conclude prints the verdict.
func (o options) conclude(r Report, w io.Writer) error {
	if o.report != "" {
		if err := r.Save(o.report); err != nil {
			return err
		}
	}
	if o.json {
		json.NewEncoder(w).Encode(r)
	} else {
		r.Print(w)
	}
	if !r.OK && r.Lane == driver.Waybill.Name {
		return errVerdict
	}
	return nil
}
