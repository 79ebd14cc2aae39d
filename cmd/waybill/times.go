package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// duration is a flag: a Go duration that may begin with days, as 90d or 1d12h. Whole seconds, up to
// ten years.
type duration time.Duration

const (
	day         = 24 * time.Hour
	maxDuration = 3650 * day
)

func (d *duration) Set(s string) error {
	errForm := errors.New("must be whole seconds from 0 to 3650d, as in 90d, 12h or 15m30s")
	var sum time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 12)
		if err != nil {
			return errForm
		}
		sum, rest = time.Duration(n)*day, after
	}
	if rest != "" || s == "" {
		tail, err := time.ParseDuration(rest)
		if err != nil || tail < 0 || tail > maxDuration {
			return errForm
		}
		sum += tail
	}
	if sum > maxDuration || sum%time.Second != 0 {
		return errForm
	}
	*d = duration(sum)
	return nil
}

func (d *duration) Type() string { return "duration" }

// String writes days, hours, minutes and seconds, and leaves out what is zero.
func (d duration) String() string {
	rest := time.Duration(d)
	var b strings.Builder
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := rest / unit.of; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + unit.name)
			rest %= unit.of
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// moment is a flag: a time as RFC 3339 or in seconds since 1970.
type moment struct{ time.Time }

func (m *moment) Set(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1<<40 {
		m.Time = time.Unix(n, 0).UTC()
		return nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return errors.New("must be RFC 3339, as in 2026-05-01T12:00:00Z, or seconds since 1970")
	}
	m.Time = t.UTC()
	return nil
}

func (m *moment) Type() string { return "time" }

func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return stamp(m.Time)
}
