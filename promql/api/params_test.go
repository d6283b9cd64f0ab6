package api

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"
)

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"0":                                   time.Unix(0, 0),
		"1.0006":                              time.Unix(1, 1e6), // rounded to a millisecond
		"-1.5":                                time.Unix(-2, 5e8),
		"1e3":                                 time.Unix(1000, 0),
		"1700000000000":                       time.Unix(1_700_000_000_000, 0), // milliseconds sent as seconds: far, but a time
		"2023-01-02T03:04:05Z":                time.Date(2023, 1, 2, 3, 4, 5, 0, time.UTC),
		"2023-01-02T03:04:05.6+02:00":         time.Date(2023, 1, 2, 1, 4, 5, 6e8, time.UTC),
		"-292273086-05-16T16:47:06Z":          minTime(),
		"292277025-08-18T07:12:54.999999999Z": maxTime(),
		"1e300":                               maxTime(),
		"-1e300":                              minTime(),
		"+Inf":                                maxTime(),
	} {
		if got, err := parseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %s, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "NaN", "now", "5m", "2023-01-02", "1e400x"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%q: got %s, want an error", s, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"15": 15 * time.Second, "0.5": 500 * time.Millisecond, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour,
		"-3": -3 * time.Second, "1e-9": 1, "0": 0,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "NaN", "Inf", "1e300", "-1e300", "5 m", "1x", "9223372036.854775808"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q: got %s, want an error", s, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"0", "1.5", "1e308", "-1e308", "9223372036854775807", "-9223372036854775", "2023-01-02T03:04:05.678Z", "NaN", "0x1p-2", "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTime(s)
		if err != nil {
			return
		}
		if got.Before(minTime()) || got.After(maxTime()) {
			t.Errorf("%q: %s is out of bounds", s, got)
		}
		if ms := timestamp.FromTime(got); ms > 0 != got.After(time.Unix(0, 999_999)) {
			t.Errorf("%q: %s has %d ms", s, got, ms)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1", "1e18", "-9223372036.854775808", "9223372036.854775807", "5m", "1y2w3d", "NaN", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseDuration(s); err == nil && math.Abs(float64(d)) > math.MaxInt64 {
			t.Errorf("%q: %d", s, d)
		}
	})
}
