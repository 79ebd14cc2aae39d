package driver

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage
		want := func(what string, d time.Duration) {
			t.Helper()
			if got := o.sum(); got != d {
				t.Errorf("%s: got %v, want %v", what, got, d)
			}
		}
		time.Sleep(time.Hour)
		want("nobody asked", 0)
		o.asked()
		time.Sleep(short / 2)
		o.over(true)
		want("a short wait", 0)
		time.Sleep(time.Hour)
		want("nobody waits", 0)
		o.asked()
		o.asked()
		time.Sleep(short / 2)
		o.over(true)
		time.Sleep(short / 2)
		want("one waits, and another was answered just now", 0)
		time.Sleep(2 * time.Second)
		want("one waits for long", 2*time.Second+short/2)
		o.over(true)
		time.Sleep(time.Hour)
		want("it was answered", 2*time.Second+short/2)
		o.asked()
		time.Sleep(time.Minute)
		o.over(false)
		o.asked()
		o.over(true)
		want("one that was given up is not counted alone", 2*time.Second+short/2)
	})
}

func TestPace(t *testing.T) {
	var p Pace
	if got := p.Lap(); got != (Figures{}) {
		t.Errorf("nothing happened: got %+v", got)
	}
	for i := range 100 {
		p.took(time.Duration(i+1) * time.Millisecond)
	}
	lap := p.Lap()
	if lap.Steps != 100 || lap.P50 < 49 || lap.P50 > 51 || lap.P99 < 98 || lap.P99 > 100 {
		t.Errorf("got %+v, want 100 steps of 50 ms and 99 ms", lap)
	}
	p.took(2 * time.Hour)
	if lap, all := p.Lap(), p.Total(); lap.Steps != 1 || all.Steps != 101 || all.Max < 59e3 {
		t.Errorf("then: got %+v and %+v, want 1 and 101 steps, a minute at most", lap, all)
	}
}
